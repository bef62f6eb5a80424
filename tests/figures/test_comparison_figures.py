"""Figures of compared runs: the tables' numbers, on a setting's axis where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import planted_run
from planted_comparison import NAMES, write_comparison_tables
from written import write_table

from analysis import figures
from analysis.comparison.tables import as_frame
from analysis.figures.comparison import named, setting_axis
from cot.errors import InputError
from cot.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = planted_run(tmp_path / "run", tables=["answers", "votes"])
    write_comparison_tables(run, dict.fromkeys(NAMES, run))
    return run


def settings(**values: dict[str, str]) -> pd.DataFrame:
    """The table `compared_settings`: run to setting to value."""
    names = dict.fromkeys(name for own in values.values() for name in own)
    rows = [
        {"run": run, "path": "", "setting": name, "value": own[name]}
        | {"differs": len({each[name] for each in values.values()}) > 1}
        for run, own in values.items()
        for name in names
    ]
    return as_frame("compared_settings", rows)


SWEEP = {
    f"{prompt}{heat}": {"prompt": prompt, "temperature": heat, "seed": "0"}
    for prompt in ("few", "zero")
    for heat in ("0.2", "0.7", "1.2")
}


def caption(figure: Any) -> str:
    return str(figure.layout.title.subtitle.text.replace("<br>", " "))


def test_a_row_a_run_with_the_tables_estimates_and_intervals(run: Run) -> None:
    table = run.table("compared_measures").query("family == 'accuracy'")
    majority, single = figures.compared_measures(run).data
    for series, subject in ((majority, "majority"), (single, "single")):
        rows = table[table["subject"] == subject]
        assert list(series.y) == list(NAMES)
        np.testing.assert_allclose(series.x, rows["estimate"])
        np.testing.assert_allclose(np.subtract(series.x, series.error_x.arrayminus), rows["low"])
        np.testing.assert_allclose(np.add(series.x, series.error_x.array), rows["high"])
        assert list(series.marker.symbol) == ["diamond", "circle", "circle"]


def test_a_difference_is_filled_where_it_is_shown_after_holm(run: Run) -> None:
    majority, single = figures.compared_differences(run).data
    assert list(majority.y) == ["warm", "warm-zero"]
    np.testing.assert_allclose(majority.x, [-0.1, -0.4])
    assert list(majority.marker.symbol) == ["circle-open", "circle"]
    assert set(single.marker.symbol) == {"circle-open"}
    assert "Holm's p 0.003" in majority.customdata[1]


@pytest.mark.slow
def test_both_figures_have_a_row_for_every_run(run: Run) -> None:
    both = (figures.compared_measures(run), figures.compared_differences(run))
    assert {tuple(each.layout.yaxis.categoryarray) for each in both} == {NAMES}
    assert len({each.layout.meta["height"] for each in both}) == 1


def test_a_measure_with_numbers_of_samples_is_a_line_a_run(run: Run) -> None:
    lines = figures.compared_measures(run, "curve").data
    assert [line.name for line in lines] == list(NAMES)
    np.testing.assert_allclose(lines[0].y, [0.62, 0.7])
    np.testing.assert_allclose(lines[0].x, [1, 5])
    assert all(np.abs(np.subtract(line.x, [1, 5])).max() < 0.2 for line in lines)


def test_a_numeric_setting_is_the_axis_and_the_others_are_lines() -> None:
    axis = setting_axis(settings(**SWEEP))
    assert axis is not None
    assert (axis.setting, axis.along) == ("temperature", ())
    assert axis.places["zero0.7"] == 0.7
    assert axis.series == {name: f"prompt={own['prompt']}" for name, own in SWEEP.items()}


def test_a_setting_that_changes_with_the_axis_is_named(run: Run) -> None:
    moved = {name: {**own, "max_tokens": own["temperature"][0]} for name, own in SWEEP.items()}
    confounded = {name: {**own, "top_p": "x" + own["temperature"]} for name, own in moved.items()}
    axis = setting_axis(settings(**confounded))
    assert axis is not None
    assert axis.along == ("max_tokens", "top_p")


def test_a_seed_is_no_axis_and_neither_are_two_values_unless_asked_for() -> None:
    seeds = {name: {"prompt": "p", "seed": name} for name in ("1", "2", "3")}
    assert setting_axis(settings(**seeds)) is None
    two = {name: {"temperature": name} for name in ("0.2", "0.7")}
    assert setting_axis(settings(**two)) is None
    asked = setting_axis(settings(**two), over="temperature")
    assert asked is not None
    assert asked.places == {"0.2": 0.2, "0.7": 0.7}
    assert setting_axis(settings(**SWEEP), over="prompt") is None


def test_runs_along_a_setting_are_drawn_on_it(run: Run) -> None:
    write_table(run, "compared_settings", settings(**SWEEP))
    rows = run.table("compared_measures").query("subject == 'majority' and family == 'accuracy'")
    every = pd.concat(
        [rows.head(1).assign(run=name, estimate=i / 10) for i, name in enumerate(SWEEP)]
    )
    write_table(run, "compared_measures", every)
    few, zero = figures.compared_measures(run).data
    assert (few.name, zero.name) == ("prompt=few", "prompt=zero")
    np.testing.assert_allclose(few.x, [0.2, 0.7, 1.2])
    np.testing.assert_allclose(few.y, [0.0, 0.1, 0.2])
    np.testing.assert_allclose(zero.y, [0.3, 0.4, 0.5])


def test_what_is_beyond_six_measures_is_counted(run: Run) -> None:
    rows = run.table("compared_measures").query("subject == 'majority' and family == 'accuracy'")
    every = pd.concat([rows.assign(subject=f"rule {i}") for i in range(9)])
    write_table(run, "compared_measures", every)
    figure = figures.compared_measures(run)
    assert len(figure.data) == 6
    assert "3 more in the table." in caption(figure)


def test_a_hostile_name_of_a_run_is_text(run: Run) -> None:
    bad = "<b>$x$</b>,<img src=x>"
    for name in ("compared_settings", "compared_measures", "compared_differences"):
        table = run.table(name).replace({"base": bad})
        write_table(run, name, table)
    for figure in (figures.compared_measures(run), figures.compared_differences(run, "curve")):
        text = figure.to_json().replace("\\u003c", "<").replace("<br>", "")
        assert "<b>" not in text
        assert "<img" not in text
        assert "$x$" not in text


def test_a_family_that_no_run_has_is_named(run: Run) -> None:
    with pytest.raises(InputError, match="has no family 'accuracies' to draw: did you mean"):
        figures.compared_measures(run, "accuracies")


def test_measures_in_words() -> None:
    assert named("pass@k", "", 8) == "pass@8"
    assert named("accuracy", "majority", pd.NA) == "accuracy, majority"
    assert named("mean_answer_entropy", "") == "mean answer entropy"


def test_a_measure_that_is_the_same_everywhere_has_a_narrow_axis(run: Run) -> None:
    table = run.table("compared_measures")
    table.loc[table["subject"] == "majority", ["estimate", "low", "high"]] = 0.5
    table.loc[table["subject"] == "single", ["estimate", "low", "high"]] = 0.0
    write_table(run, "compared_measures", table, command="compare", parameters={"seed": 0})
    drawn = figures.compared_measures(run).layout
    assert drawn.xaxis.range == pytest.approx((0.45, 0.55))
    assert drawn.xaxis2.range == pytest.approx((-0.1, 0.1))
