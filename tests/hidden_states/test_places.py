"""Which layers a text means."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.hidden_states.places import check_positions, choose_layers
from cot.errors import InputError


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("every 4th", [4, 8, 12, 16, 20, 24, 28, 30]),
        ("every 10th", [10, 20, 30]),
        ("every 2", list(range(2, 31, 2))),
        ("every 99th", [30]),
        ("all", list(range(31))),
        ("0, 16,8", [0, 8, 16]),
        ("3-5,5,9", [3, 4, 5, 9]),
        ([7, 7, 0], [0, 7]),
        (30, [30]),
        ("0.25,0.5,1.0", [8, 15, 30]),
        ("0.0, 2, .5", [0, 2, 15]),
        ("1.", [30]),
        (0.5, [15]),
        ([0.1, 1, 1.0], [1, 3, 30]),
    ],
)
def test_layers(spec: Any, expected: list[int]) -> None:
    assert choose_layers(spec, 30) == expected


@pytest.mark.parametrize("spec", ["31", [-1], "every 0th", "last", "5-2", "", []])
def test_wrong_layers_name_the_valid_ones(spec: Any) -> None:
    with pytest.raises(InputError, match=r"0 \(embeddings\) to 30|write all, every 4th"):
        choose_layers(spec, 30)


@pytest.mark.parametrize("spec", ["1.5", "2, 30.0", [-0.1]])
def test_fractions_end_at_one(spec: Any) -> None:
    with pytest.raises(InputError, match=r"not a fraction of the depth: from 0.0 to 1.0"):
        choose_layers(spec, 30)


def test_positions() -> None:
    assert check_positions(["mean", "step_end", "mean"]) == ("step_end", "mean")
    some = ["every 16 tokens", "mean", " every  2 tokens", "every 16 tokens"]
    assert check_positions(some) == ("mean", "every 2 tokens", "every 16 tokens")
    for wrong in (["last"], [], ["every 0 tokens"], ["every tokens"]):
        with pytest.raises(InputError, match="prompt_end, step_end, pre_answer, answer, mean"):
            check_positions(wrong)
