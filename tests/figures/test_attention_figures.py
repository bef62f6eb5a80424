"""Attention in figures: each number is the table's, beside its control on the same scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import planted_run
from planted_attention import RECEIVER, add_attention, attention, heads_table
from written import write_table

from analysis import figures
from cot.errors import InputError
from cot.store.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = planted_run(tmp_path_factory.mktemp("attention") / "run", tables=["answers", "steps"])
    add_attention(made)
    return made


def test_receiver_scores_stand_beside_both_controls(run: Run) -> None:
    own, position, adjusted, permuted = figures.receiver_heads(run).data
    layer, head = RECEIVER
    assert own.z[layer - 1][head] == 6.0
    assert own.text[layer - 1][head] == "★"
    assert sum(each == "★" for line in own.text for each in line) == 1
    assert permuted.z[layer - 1][head] == pytest.approx(-0.2)
    assert position.z[layer - 1][head] == pytest.approx(0.4)
    assert {(each.zmin, each.zmid, each.zmax) for each in (own, position, adjusted, permuted)} == {
        (-6, 0, 6)
    }
    assert "receiver head, Holm's p" in own.customdata[layer - 1][head]


def test_a_matrix_is_the_tables(run: Run) -> None:
    (grid,) = figures.attention_matrix(run, "q00", 0, *RECEIVER).data
    for i, later in enumerate(grid.y):
        for j, step in enumerate(grid.x):
            if j <= i:
                assert grid.z[i][j] == pytest.approx(attention(*RECEIVER, int(later), int(step)))
            else:
                assert np.isnan(grid.z[i][j])


def test_what_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weren't kept: choose from q00:0, q03:1, or"):
        figures.attention_matrix(run, "q01", 0, 1, 0)
    with pytest.raises(InputError, match="no head 7 in layer 1: there are layers 1 to 3"):
        figures.attention_matrix(run, "q00", 0, 1, 7)
    bare = planted_run(tmp_path / "run", tables=["answers"])
    with pytest.raises(InputError, match="cot attention"):
        figures.receiver_heads(bare)
    none = heads_table().assign(kurtosis=np.nan)
    write_table(bare, "attention_heads", none, command="attention", parameters={}, inputs=[])
    with pytest.raises(InputError, match="--nearest 0"):
        figures.receiver_heads(bare)
