"""Attributions in figures: each number is the table's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import planted_run
from planted_attributions import RANKS, VALUES, add_attributions
from planted_interventions import loss

from analysis import figures
from cot.errors import InputError
from cot.store.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = planted_run(tmp_path_factory.mktemp("attribution") / "run", tables=["answers", "steps"])
    add_attributions(made)
    return made


def test_each_column_has_its_own_scale_and_shows_nats(run: Run) -> None:
    figure = figures.attribution(run, "q03", 0)
    (cells,) = figure.data
    assert list(cells.x) == ["grad_x_input", "shapley", "knock-out"]
    n = len(cells.y)
    lost = [loss(0, step) for step in range(n)]
    for column, values in enumerate((VALUES["grad_x_input"], VALUES["shapley"], lost)):
        shown = [row[column] for row in cells.z]
        np.testing.assert_allclose(shown, np.array(values[:n]) / np.abs(values[:n]).max())
    assert cells.text[0][0] == "−0.40"
    assert cells.text[1][1] == "1.60"
    assert "Ada starts with 6 pens." in cells.y[0]
    assert "n = 1 trace" in figure.layout.meta["caption"]


def test_the_checks_are_the_findings_with_their_intervals(run: Run) -> None:
    figure = figures.attribution_checks(run)
    assert [series.name for series in figure.data] == list(VALUES)
    for series in figure.data:
        np.testing.assert_allclose(series.x, list(RANKS.values()))
        np.testing.assert_allclose(series.error_x.array, 0.1)
    assert list(figure.layout.yaxis.ticktext) == [
        "knock-out",
        "resampling",
        "random weights (must be 0)",
    ]
    assert "n = 9 questions" in figure.layout.meta["caption"]


def test_a_trace_that_was_not_attributed_is_said(run: Run) -> None:
    with pytest.raises(InputError, match=r"q03:7 of .* has no attribution: choose from q00:0"):
        figures.attribution(run, "q03", 7)


def test_a_missing_table_names_its_command(tmp_path: Path) -> None:
    bare = planted_run(tmp_path / "run", tables=["answers"])
    for draw in (figures.attribution_checks, lambda run: figures.attribution(run, "q00", 0)):
        with pytest.raises(InputError, match="cot attribute"):
            draw(bare)
