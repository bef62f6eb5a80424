"""Faithfulness in figures: curves as in the table, beside another trace; a step's bar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import planted_run
from planted_faithfulness import CHANCE, IMPORTANCE

from analysis import figures
from cot.errors import InputError
from cot.store.run import Run

TABLES = ["answers", "steps", "faithfulness", "faithfulness_traces", "faithfulness_curves"]
TABLES += ["faithfulness_steps", "faithfulness_tests"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("reasoning") / "run"
    return planted_run(folder, tables=TABLES, texts={("q00", 3): "<b>5</b> pens. So 8."})


def test_a_panel_a_test_with_both_kinds_of_traces_and_the_control(run: Run) -> None:
    figure = figures.faithfulness(run)
    table = run.table("faithfulness_curves")
    whole = table[table["n_steps"].isna()]
    assert [title.text for title in figure.layout.annotations] == ["early_answering", "filler"]
    first = {series.name: series for series in figure.data if series.xaxis == "x" and series.name}
    second = {series.name: series for series in figure.data if series.xaxis == "x2" and series.name}
    for series, test, of in (
        (first["all lengths"], "early_answering", False),
        (first["greedy traces"], "early_answering", True),
        (second["all lengths"], "filler", False),
    ):
        rows = whole[(whole["test"] == test) & (whole["greedy"] == of)]
        np.testing.assert_allclose(series.x, rows["share"])
        np.testing.assert_allclose(series.y, rows["same"])
    mine = whole[(whole["test"] == "early_answering") & ~whole["greedy"]]
    ends = np.array(first["all lengths"].customdata, float)[:, :2]
    np.testing.assert_allclose(ends, mine[["low", "high"]])
    for panel in (first, second):
        assert list(panel["another trace of the question"].y) == [0.5, 0.5]


def test_a_bar_a_step_with_its_words(run: Run) -> None:
    figure = figures.importance(run, "q00", 2)
    bars, chance = figure.data
    assert list(chance.x) == [CHANCE, CHANCE]
    assert tuple(bars.x) == IMPORTANCE
    assert list(bars.y) == ["0  Ada starts with 3 pens.", "1  She gets 5 more, so 3 + 5 = 8."]
    assert "n = 10 resamples" in figure.layout.title.subtitle.text
    with pytest.raises(InputError, match=r"q01:0 .* weren't resampled: choose from q00:0, q00:1"):
        figures.importance(run, "q01", 0)
