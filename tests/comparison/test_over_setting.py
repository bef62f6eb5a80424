"""A measure of many runs against a setting: the table's numbers, a line a group of alike runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from written import write_table

from analysis import figures
from analysis.comparison.tables import as_frame
from cot.errors import InputError
from cot.store.run import Run, create_run

HEATS = ("0.2", "0.7", "1.2")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two prompts at three temperatures; the second prompt's estimates are higher by .1."""
    run = create_run(tmp_path / "run", {"model": "m"})
    settings, measures = [], []
    for place, prompt in enumerate(("few <b>", "zero")):
        for step, heat in enumerate(reversed(HEATS)):
            name = f"{prompt}{heat}"
            own = {"prompt": prompt, "prompt_sha256": prompt, "temperature": heat, "model": "m"}
            settings += [
                {"run": name, "path": "", "setting": each, "value": value}
                | {"differs": each != "model"}
                for each, value in own.items()
            ]
            estimate = 0.5 + place / 10 + step / 100
            measures.append(
                {"run": name, "family": "accuracy", "measure": "accuracy", "subject": "majority"}
                | {"unit": "share of questions", "estimate": estimate, "low": estimate - 0.05}
                | {"high": estimate + 0.02, "n_questions": 12, "method": "planted"}
            )
    for table, rows in (("compared_settings", settings), ("compared_measures", measures)):
        write_table(run, table, as_frame(table, rows), command="compare")
    return run


def test_numbers_are_an_axis_and_runs_alike_in_the_rest_a_line(run: Run) -> None:
    figure = figures.measure_over_setting(run, "temperature")
    few, zero = figure.data
    assert list(few.x) == [0.2, 0.7, 1.2]  # sorted, whatever the runs' order
    assert list(few.y) == pytest.approx([0.52, 0.51, 0.5])
    assert list(zero.y) == pytest.approx([0.62, 0.61, 0.6])
    assert list(few.error_y.arrayminus) == pytest.approx([0.05] * 3)
    assert list(few.error_y.array) == pytest.approx([0.02] * 3)
    assert (few.name, zero.name) == ("prompt=few &lt;b&gt;", "prompt=zero")
    caption = figure.layout.title.subtitle.text
    assert "n = 12 questions" in caption
    assert "95%" in caption


def test_other_values_stand_side_by_side(run: Run) -> None:
    figure = figures.measure_over_setting(run, "prompt")
    assert len(figure.data) == len(HEATS)
    assert list(figure.data[0].x) == ["few &lt;b&gt;", "zero"]
    assert figure.layout.xaxis.type == "category"


def test_what_is_not_there_is_refused_with_what_is(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no setting 'heat' of the runs: choose from prompt"):
        figures.measure_over_setting(run, "heat")
    with pytest.raises(InputError, match="no measure 'auroc' was compared: choose from accuracy"):
        figures.measure_over_setting(run, "temperature", "auroc")
    with pytest.raises(InputError, match="cot compare"):
        figures.measure_over_setting(create_run(tmp_path / "bare", {}), "temperature")


def test_several_families_can_have_a_measure_of_one_name(run: Run) -> None:
    table = run.table("compared_measures")
    both = pd.concat([table, table.assign(family="curve", n_samples=3)])
    write_table(run, "compared_measures", both, command="compare")
    assert len(figures.measure_over_setting(run, "temperature").data) == 4
    assert len(figures.measure_over_setting(run, "temperature", family="curve").data) == 2
