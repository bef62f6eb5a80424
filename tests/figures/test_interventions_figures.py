"""Interventions in figures: each number is the table's, beside its control on the same scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import planted_run
from planted_inside import LAYERS, POSITIONS
from planted_interventions import BAND, HEADLINES, PATCHED, STRENGTHS, effect, recovered
from written import write_table

from analysis import figures
from cot.errors import InputError
from cot.store.run import Run

ORDER = ["recovered", "indirect", "slope", "log_odds"]
"""Measures of headlines in the order of their panels."""
TABLES = ["intervention_effects", "intervention_steps"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted_run(tmp_path_factory.mktemp("interventions") / "run", tables=TABLES)


def caption(figure: Any) -> str:
    return str(figure.layout.title.subtitle.text.replace("<br>", " "))


def lines(figure: Any) -> dict[str, Any]:
    return {series.name: series for series in figure.data if series.name}


@pytest.mark.slow
def test_a_map_is_the_table_and_its_controls_have_the_same_scale(run: Run) -> None:
    own, same, other = figures.intervention_map(run, "patching").data
    assert [title.text for title in figures.intervention_map(run).layout.annotations] == [
        "effect",
        "donor with the same answer",
        "donor of another question",
    ]
    assert list(own.x) == POSITIONS
    assert list(own.y) == [str(layer) for layer in LAYERS]
    expected = [[recovered(layer, position) for position in POSITIONS] for layer in LAYERS]
    np.testing.assert_allclose(own.z, expected)
    np.testing.assert_allclose(same.z, np.full((4, 3), PATCHED["same_answer"]))
    np.testing.assert_allclose(other.z, np.full((4, 3), PATCHED["other_question"]))
    assert {(each.zmin, each.zmid, each.zmax) for each in (own, same, other)} == {(-0.7, 0.0, 0.7)}
    starred = {
        (i, j) for i, row in enumerate(own.text) for j, each in enumerate(row) if "★" in each
    }
    assert starred == {
        (LAYERS.index(20), POSITIONS.index("pre_answer")),
        (LAYERS.index(10), POSITIONS.index("step_end")),
    }
    assert not any("★" in each for row in same.text for each in row)
    words = own.customdata[2][2]
    for part in ("0.70 (0.60 to 0.80)", "same answer 0.01 (−0.04 to 0.06)", "0.69 (0.57 to 0.81)"):
        assert part in words
    assert "p = 0.004, Holm = 0.020; 60 traces of 9 questions" in words
    said = caption(figures.intervention_map(run))
    assert "n = 9 questions, 60 traces; 12 left out" in said
    assert "With 12 cells" in said


@pytest.mark.slow
def test_a_map_of_directions_is_of_one_target_and_strength(run: Run) -> None:
    figure = figures.intervention_map(run, "steering", "majority", "log_odds", 0.1)
    np.testing.assert_allclose(figure.data[0].z, [[0.3 * 0.1 * 0.2], [0.3 * 0.1]])
    assert "Strength 0.1." in caption(figure)
    strongest = figures.intervention_map(run, "steering", "majority", "log_odds")
    np.testing.assert_allclose(strongest.data[0].z, [[0.3 * 0.2 * 0.2], [0.3 * 0.2]])
    assert figure.data[0].zmax == figures.interventions.LEAST_REACH  # 0.03 is next to nothing


@pytest.mark.slow
def test_a_cell_that_was_not_tried_is_empty_and_a_method_without_layers_has_no_map(
    tmp_path: Path, run: Run
) -> None:
    table = run.table("intervention_effects")
    gone = (table["layer"] == 10).fillna(False) & (table["position"] == "step_end")
    other = planted_run(tmp_path / "run", tables=[])
    write_table(other, "intervention_effects", table[~gone])
    own = figures.intervention_map(other).data[0]
    assert np.isnan(own.z[1][1])
    assert (own.text[1][1], own.customdata[1][1]) == ("–", "not tried")
    with pytest.raises(InputError, match="knockout acts on all layers at once"):
        figures.intervention_map(run, "knockout")
    with pytest.raises(InputError, match=r"no method 'patchin' to draw: did you mean 'patching'"):
        figures.intervention_map(run, "patchin")
    with pytest.raises(InputError, match=r"cot intervene .* --method patching` makes it"):
        figures.intervention_map(planted_run(tmp_path / "bare", tables=[]))


def test_dose_and_response_stand_in_the_random_band(run: Run) -> None:
    figure = figures.dose_response(run, "correct")
    found = lines(figure)
    own = found["effect"]
    assert list(own.x) == STRENGTHS
    np.testing.assert_allclose(own.y, [4.0 * each for each in STRENGTHS])
    ends = np.array(own.customdata, float)[:, :2]
    np.testing.assert_allclose(ends, [[4.0 * c - 0.1, 4.0 * c + 0.1] for c in STRENGTHS])
    np.testing.assert_allclose(found["random directions"].y, [0.0] * 4)
    np.testing.assert_allclose(found["labels shuffled"].y, [0.02 * each for each in STRENGTHS])
    band = next(series for series in figure.data if series.fill == "toself")
    highs = [BAND * abs(each) / 0.2 for each in STRENGTHS]
    np.testing.assert_allclose(band.y, [*highs, *[-high for high in reversed(highs)]])
    assert "layer 20" in figure.layout.title.text  # the headline's
    assert "Grey band: 2.5 to 97.5%" in caption(figure)
    other = figures.dose_response(run, "majority", 20)
    np.testing.assert_allclose(lines(other)["effect"].y, [0.3 * each for each in STRENGTHS])


def test_side_effects_by_strength_are_changes_beside_the_control(run: Run) -> None:
    figure = figures.dose_response(run, "correct", measure="missing")
    found = lines(figure)
    np.testing.assert_allclose(found["effect"].y, [0.2, 0.1, 0.1, 0.2])
    np.testing.assert_allclose(found["random directions"].y, [0.0] * 4)
    assert figure.layout.yaxis.title.text == "share without an answer, change"
    assert "Grey band" not in caption(figure)
    assert "A change from the unchanged model's traces of the same seeds" in caption(figure)
    with pytest.raises(InputError, match="no layer 10 to draw"):
        figures.dose_response(run, "correct", 10, "missing")


def test_mediation_has_a_line_a_share_its_control_and_the_total(run: Run) -> None:
    figure = figures.mediation_by_layer(run)
    found = lines(figure)
    np.testing.assert_allclose(found["indirect"].y, [layer / 30 for layer in LAYERS])
    np.testing.assert_allclose(found["direct"].y, [1 - layer / 30 for layer in LAYERS])
    control = found["indirect, donor of another question"]
    np.testing.assert_allclose(control.y, [0.1] * 4)
    assert control.line.color == found["indirect"].line.color
    assert len(found) == 3  # the direct one has no control
    assert found["indirect"].line.dash != found["direct"].line.dash
    assert "Total: 1.20 nats (1.10 to 1.30)." in caption(figure)


def test_headlines_stand_beside_controls_differences_and_verdicts(run: Run) -> None:
    figure = figures.intervention_effects(run)
    dots = [series for series in figure.data if series.type == "scatter"]
    assert len(dots) == 4 * 3  # two shares, nats, and nats per σ; control, effect and difference
    found: dict[str, list[Any]] = {}
    for series in dots:
        texts = [""] * len(series.y) if series.text is None else series.text
        for name, value, text in zip(series.y, series.x, texts, strict=True):
            found.setdefault(name, []).append((value, text))
    assert len(found) == len(HEADLINES)
    for (method, target, _, layer, position, value, name, beside, verdict), label in zip(
        sorted(HEADLINES, key=lambda row: ORDER.index(row[2])), found, strict=True
    ):
        assert label.startswith(method)
        assert (target in label, position in label) == (True, True)
        assert ("layer" in label) == (layer is not pd.NA)
        twice = method == "patching" or (method, target) == ("steering", "correct")
        assert label.endswith(name) == twice
        (control, _), (own, _), (less, said) = found[label]
        assert (own, control, said) == (value, beside, verdict)
        assert less == pytest.approx(value - beside)
    assert "no proof of no effect" in caption(figure)


def test_two_headlines_of_one_place_keep_both_controls(tmp_path: Path) -> None:
    place = {"layer": 3, "position": "cue", "headline": True, "verdict": "causal"}
    rows = [
        effect("patching", "recovered", 0.4, control, value, **place)
        for control, value in (("same_answer", 0.1), ("other_question", 0.2))
    ]
    run = planted_run(tmp_path / "run", tables=[])
    write_table(run, "intervention_effects", pd.DataFrame(rows).astype({"layer": "Int64"}))
    control, own, less = figures.intervention_effects(run).data
    assert [name.split(", ")[-1] for name in own.y] == ["same_answer", "other_question"]
    assert list(control.x) == [0.1, 0.2]
    assert list(own.x) == [0.4, 0.4]
    np.testing.assert_allclose(less.x, [0.3, 0.2])
    assert len(figures.intervention_map(run).data) == 3


def test_the_matrix_of_steps_and_its_control_have_one_scale(run: Run, tmp_path: Path) -> None:
    figure = figures.step_matrix(run, "q00", 2)
    own, control = figure.data
    assert list(own.x) == ["1", "2", "answer"]
    assert list(own.y) == ["0", "1", "2"]
    nan = np.nan
    np.testing.assert_allclose(own.z, [[0.78, 0.78, 0.3], [nan, 0.02, 0.3], [nan, nan, 0.3]])
    np.testing.assert_allclose(control.z, [[0.1] * 3, [nan, 0.1, 0.1], [nan, nan, 0.1]])
    assert (own.zmin, own.zmax) == (control.zmin, control.zmax) == (0.0, 0.78)
    assert own.customdata[1][2] == (
        "Step 1 hidden, answer: KL 0.30 nats, random span 0.10; the own answer loses 1.48 nats, "
        "random span 0.10; 6 tokens"
    )
    large = run.table("intervention_steps")
    answer = large["later"].isna()
    other = planted_run(tmp_path / "run", tables=[])
    write_table(other, "intervention_steps", large.assign(kl=large["kl"].where(~answer, 9.0)))
    assert figures.step_matrix(other, "q00", 2).data[0].zmax == 0.78  # steps can still be seen
    with pytest.raises(InputError, match=r"q99:0 .* weren't hidden: choose from q00:0, q00:1"):
        figures.step_matrix(run, "q99", 0)
