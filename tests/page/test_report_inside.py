"""What the layers hold, on the page: numbers as in the tables, and no claim beyond them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import HOSTILE, planted_run
from planted_inside import DEPTH, HOSTILE_TOP, LAYERS, POSITIONS
from written import write_table

from analysis import figures
from analysis.figures.text import decimal, interval
from analysis.page import as_json, write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.section import headlines
from analysis.page.sections.geometry import dimension_rows, similarity_rows, step_tables
from analysis.page.sections.geometry.card import geometry_claims
from analysis.page.sections.geometry.states import state_maps
from analysis.page.sections.lens import lens_layers
from analysis.page.sections.lens import tokens as tokens_module
from analysis.page.sections.lens.card import lens_claims
from analysis.page.sections.lens.tokens import left_out, token_maps
from analysis.page.sections.probes import probe_targets, regression_rows
from analysis.page.sections.probes.card import probe_claim
from cot.store.run import Run


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("inside")
    return planted_run(folder / "run", texts={("q03", 1): HOSTILE})


@pytest.fixture(scope="module")
def evidence(planted: Run) -> Evidence:
    return gather(planted)


def of(evidence: Evidence, **tables: pd.DataFrame) -> Evidence:
    """The same run with other tables."""
    return replace(evidence, tables={**evidence.tables, **tables})


def test_targets_are_classes_and_their_tables_have_every_cell(evidence: Evidence) -> None:
    targets = probe_targets(evidence.get("probes"))
    assert [each.target for each in targets] == ["correct", "majority"]
    first = targets[0]
    assert [row[:2] for row in first.rows[:2]] == [["prompt_end", "0"], ["prompt_end", "10"]]
    assert len(first.rows) == len(LAYERS) * len(POSITIONS)
    (best,) = (row for row in first.rows if row[1].endswith("★"))
    assert best[:4] == ["pre_answer", "20 ★", "0.74", "0.66 to 0.82"]


def test_columns_that_no_cell_has_are_not_shown(planted: Run, evidence: Evidence) -> None:
    probes = evidence.get("probes").drop(columns="embedding").assign(tfidf=np.nan)
    (first, _) = probe_targets(probes)
    assert first.heads.count("TF-IDF") == first.heads.count("Embedding") == 1
    assert all(len(row) == len(first.heads) for row in first.rows)


def test_words_of_a_cell_leave_out_what_is_unknown(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "probes"])
    probes = run.table("probes").query("layer != 10 or position != 'step_end'")
    changed = probes.drop(columns="embedding").assign(tfidf=np.nan)
    write_table(run, "probes", changed, command="probe")
    pooled, _, within, _ = figures.probes(run).data
    assert "TF-IDF" not in pooled.customdata[0][0]
    assert "TF-IDF" in within.customdata[0][0]
    assert (pooled.text[1][1], pooled.customdata[1][1]) == ("–", "not captured")


def test_numbers_are_a_table_of_their_own(evidence: Evidence) -> None:
    rows = regression_rows(evidence)
    assert len(rows) == len(LAYERS) * len(POSITIONS)
    assert rows[-1] == ["step_value", "pre_answer", "30 ★", "0.50", "–", "−0.02", "0.60", "88"]
    without = evidence.get("probes").drop(columns=["r2", "spearman", "control_r2"])
    assert regression_rows(of(evidence, probes=without)) == []


def test_a_probe_claim_names_what_it_does_not_clear() -> None:
    said = probe_claim({"low": 0.6}, 0.5, {"length": 0.62, "TF-IDF": 0.55, "embedding": 0.6})
    assert said.endswith("not shown to know more than the length of the trace and its embedding.")
    said = probe_claim({"low": 0.6}, 0.5, {"length": 0.5, "TF-IDF": 0.55}, "majority")
    assert said == (
        "Within a question, the probe for majority tells its traces apart better than chance and "
        "than the length of the trace and its words."
    )
    assert "no baseline" in probe_claim({"low": 0.6}, 0.5, {})


def test_the_headline_has_its_own_controls(evidence: Evidence) -> None:
    probe = next(item for item in headlines(evidence) if item.key == "probe")
    rows = {row.label: {name: value for name, value, _ in row.controls} for row in probe.rows}
    assert rows["Within-question AUROC"]["shuffled labels"] == 0.49
    assert rows["Within-question AUROC"]["length alone"] == 0.52
    assert rows["R², step_value"]["TF-IDF"] == 0.1
    bare = evidence.get("findings_probe").drop(columns=["control", "length"]).head(2)
    (older,) = (h for h in headlines(of(evidence, findings_probe=bare)) if h.key == "probe")
    assert {name: value for name, value, _ in older.rows[1].controls}["length alone"] == 0.52


def test_the_lens_by_layer_is_the_table_beside_its_control(evidence: Evidence) -> None:
    found = lens_layers(evidence)
    assert found is not None
    table = evidence.get("lens_layers")
    row = dict(zip(found.heads, found.rows[10], strict=False))
    own = table[(table["measure"] == "agreement") & (table["layer"] == 10)].iloc[0]
    assert row["Layer"] == "10"
    assert row["As the last, raw"] == f"{100 * own['estimate']:.1f}%"
    assert row["As another trace's last"] == f"{100 * own['control']:.1f}%"
    assert "p(stated) at step_end" in found.heads
    assert len(found.rows) == DEPTH + 1
    assert all(len(row) == len(found.heads) for row in found.rows)
    traces = evidence.get("lens_traces")
    known = traces.loc[traces["n_candidates"] > 1, "commitment_layer"]
    assert found.commitment is not None
    assert found.commitment.median == known.median()
    assert lens_layers(of(evidence, lens_layers=table.assign(estimate=np.nan))) is None


def test_token_maps_hold_the_table_deepest_layer_first(evidence: Evidence) -> None:
    first, second = token_maps(evidence)
    assert (first.id, first.index, first.right) == ("q03", 1, True)
    assert first.layers == list(range(DEPTH, -1, -1))
    assert first.tokens[0] == " <script>window.hacked"
    assert first.texts[first.top[DEPTH - 10][1]] == HOSTILE_TOP
    table = evidence.get("lens_tokens").query("question_id == 'q00' and layer == 29")
    assert second.p_top[1] == pytest.approx(list(table["p_top"]), abs=1e-3)
    assert second.p_stated[1] == pytest.approx(list(table["p_stated"]), abs=1e-4)


def test_token_maps_are_bounded_and_say_so(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "TOKENS", 5)
    monkeypatch.setattr(tokens_module, "CELLS", 200)
    maps = token_maps(evidence)
    assert len(maps) == 1
    assert left_out(evidence, maps) == 1
    assert len(maps[0].tokens) == 5
    assert maps[0].first == maps[0].n_tokens - 5
    assert max(map(len, maps[0].texts)) <= tokens_module.LENGTH


def test_unknown_probabilities_and_missing_cells_are_null(evidence: Evidence) -> None:
    table = evidence.get("lens_tokens").assign(p_stated=np.nan).iloc[1:]
    first, _ = token_maps(of(evidence, lens_tokens=table, answers=pd.DataFrame()))
    assert first.top[DEPTH][0] is None
    assert {value for line in first.p_stated for value in line} == {None}
    assert first.right is None
    json.loads(as_json(first))


def test_hostile_tokens_stay_inside_the_json(report: Path) -> None:
    source = report.read_text(encoding="utf-8")
    assert "<img src=x onerror=window.hacked=4>" not in source
    assert "onerror=window.hacked=4" in source


def test_trajectories_compare_right_and_wrong_within_questions(evidence: Evidence) -> None:
    (steps,) = step_tables(evidence)
    table = evidence.get("trajectory_steps")
    gaps = table[(table["what"] == "difference") & (table["n_questions"] >= 5)].sort_values("step")
    assert [row[-1] for row in steps.rows] == [str(n) for n in gaps["n_questions"]]
    first = gaps.iloc[0]
    span = interval(first["x_low"], first["x_high"], decimal)
    assert steps.rows[0][:3] == ["prompt_end", decimal(first["x"]), span]
    assert [row[1] for row in steps.rows] == [decimal(x) for x in gaps["x"]]


def test_the_state_map_ranks_answers_and_paths_in_their_question(evidence: Evidence) -> None:
    states = state_maps(evidence)
    assert states is not None
    rows = {(row[0], row[1]): row[2:] for row in states.traces}
    assert rows["q02", 0] == [True, 0, 0]
    assert rows["q02", 7] == [False, None, 1]  # cut off: no answer
    assert {rank for _, rank, _ in rows.values()} == {0, 1, 2, None}
    (drawn,) = states.maps
    assert len(drawn.x) == len(states.traces) == drawn.n == 96


def test_places_that_are_not_numbers_are_left_out(evidence: Evidence) -> None:
    table = evidence.get("state_map").copy()
    table.loc[:9, "x"] = np.inf
    both = pd.concat([table, table.assign(layer=10)])
    states = state_maps(of(evidence, state_map=both, paths=pd.DataFrame()))
    assert states is not None
    assert [(each.layer, len(each.x)) for each in states.maps] == [(10, 86), (20, 86)]
    assert all(row[4] is None for row in states.traces)


def test_right_and_wrong_differ_only_below_what_shuffling_gives(evidence: Evidence) -> None:
    readings = {(row[2], row[-1]) for row in similarity_rows(evidence.get("similarity"))}
    assert ("0", "less alike than by chance") in readings
    assert ("30", "nothing: as by chance") in readings


def test_dimension_has_its_interval_and_eigen_scores_beside(evidence: Evidence) -> None:
    row = next(row for row in dimension_rows(evidence) if row[:2] == ["pre_answer", "20"])
    assert row[2:] == ["10.96", "9.96 to 11.96", "96", "−3.00"]


@pytest.mark.parametrize(
    ("control", "guess", "said"),
    [
        (0.1, 0.05, "more than what it says at another question's prompt"),
        (0.1, -0.02, "but not shown to be more than a guess by the question's own answers"),
        (-0.1, -0.1, "but not shown to be more than"),
    ],
)
def test_what_is_decided_early_is_held_against_both_controls(
    control: float, guess: float, said: str
) -> None:
    def finding(baseline: str, estimate: float, low: float) -> dict[str, Any]:
        ends = {"estimate": estimate, "low": low, "high": estimate + 0.1}
        return {"measure": "decided_at_prompt", "subject": "", "baseline": baseline, **ends}

    found = [finding("", 0.6, 0.5), finding("control", 0.3, control), finding("guess", 0.2, guess)]
    (claim,) = lens_claims(pd.DataFrame(found))
    assert said in claim
    assert ("not shown" in claim) == (min(control, guess) <= 0)


@pytest.mark.parametrize(
    ("p", "low", "said"),
    [
        (0.01, 0.1, "Right and wrong traces of a question go different ways"),
        (0.4, 0.1, "shuffled labels explain the difference"),
        (0.01, -0.1, "the interval reaches down to what shuffled labels give"),
        (np.nan, 0.1, "undefined"),
    ],
)
def test_right_and_wrong_part_only_beyond_null_and_interval(
    p: float, low: float, said: str
) -> None:
    finding = {"estimate": 0.2, "low": low, "high": 0.3, "null_mean": 0.0, "p": p}
    finding |= {"measure": "right_wrong_gap", "subject": "", "baseline": ""}
    (claim,) = geometry_claims(pd.DataFrame([finding]))
    assert said in claim
    assert ("not shown" in claim) == (said.startswith(("shuffled", "the")))


def test_without_the_tables_the_page_names_the_commands(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers"])
    page = write_report(run).read_text(encoding="utf-8")
    for verb, table in {
        "lens": "lens_traces",
        "geometry": "findings_geometry",
        "probe": "probes",
    }.items():
        assert f"There is no table {table} yet." in page
        assert f"<code>cot {verb} {run.path}" in page
