"""Which layers a text means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.hidden_states.places import check_positions, choose_layers, spread
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
    assert check_positions(["every:2", "section_end"]) == ("section_end", "every 2 tokens")
    for wrong in (["last"], ["every:0"], [], ["every 0 tokens"], ["every tokens"]):
        with pytest.raises(
            InputError, match="prompt_end, step_end, section_end, pre_answer, answer, mean"
        ):
            check_positions(wrong)


def test_steps_are_taken_evenly_by_tokens_and_the_last_is_among_them() -> None:
    ends = {step: 10 * (step + 1) for step in range(100)}
    assert spread(ends, 4) == [24, 49, 74, 99]
    assert spread(ends, 100) == spread(ends, 0) == list(range(100))
    # many short steps at the beginning don't crowd out the long ones after them
    short = {n: n + 1 for n in range(90)}
    assert spread({**short, 90: 500, 91: 750, 92: 1000}, 4) == [89, 90, 91, 92]
    # a step as long as two parts leaves one of them empty: at most so many
    assert spread({0: 10, 1: 20, 2: 80, 3: 100}, 3) == [1, 3]
    assert spread({}, 3) == []


@pytest.mark.parametrize("most", [1, 2, 7, 64])
def test_a_budget_of_steps_is_never_exceeded(most: int) -> None:
    random = np.random.default_rng(most)
    for _ in range(50):
        ends = np.cumsum(random.integers(1, 400, random.integers(most + 1, 300)))
        chosen = spread(dict(enumerate(ends.tolist())), most)
        assert len(chosen) <= most
        assert chosen == sorted(set(chosen))
        assert chosen[-1] == len(ends) - 1
