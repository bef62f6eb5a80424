"""What the layers hold, on the page: numbers as in the tables, and no claim beyond them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from analysis.page.claims import geometry_claims, lens_claims, probe_claim
from planted import HOSTILE, planted_run
from planted_inside import DEPTH, HOSTILE_TOP, LAYERS, POSITIONS

from analysis.page import write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.section import headlines
from analysis.page.sections.geometry import dimension_figure, similarity_figure
from analysis.page.sections.geometry.states import state_maps, trajectory_figures
from analysis.page.sections.lens import lens_figure, others_agree
from analysis.page.sections.lens import tokens as tokens_module
from analysis.page.sections.lens.tokens import left_out, token_maps
from analysis.page.sections.probes import probe_figures, regression_rows
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


def test_heat_maps_say_what_the_table_says_beside_its_control(evidence: Evidence) -> None:
    figures = probe_figures(evidence)
    assert [figure["target"] for figure in figures] == ["correct", "majority"]
    figure = figures[0]
    assert (figure["layers"], figure["positions"]) == (LAYERS, POSITIONS)
    probes = evidence.get("probes").query("target == 'correct'")
    table = probes.set_index(["layer", "position"])
    columns = {
        "pooled": ("auroc", "control"),
        "within": ("within_question_auroc", "control_within"),
    }
    for measure, (value, control) in columns.items():
        for layer, line in zip(LAYERS, figure["maps"][measure], strict=True):
            for position, cell in zip(POSITIONS, line, strict=True):
                assert cell["value"] == table.loc[(layer, position), value]
                assert cell["control"] == table.loc[(layer, position), control]
                assert abs(cell["value"] - 0.5) <= figure["reach"] + 1e-12
    assert figure["maps"]["within"][2][2]["words"] == (
        "Layer 20 at pre_answer: 0.58 (0.49 to 0.67), labels shuffled 0.49, length 0.52, "
        "TF-IDF 0.55, embedding 0.54, position alone 0.50; 9 questions"
    )
    assert figure["maps"]["within"][2][2]["best"]


def test_columns_that_no_cell_has_are_not_shown(evidence: Evidence) -> None:
    probes = evidence.get("probes").drop(columns="embedding").assign(tfidf=np.nan)
    (figure, _) = probe_figures(of(evidence, probes=probes))
    assert "TF-IDF" not in figure["maps"]["pooled"][0][0]["words"]
    assert "TF-IDF" in figure["maps"]["within"][0][0]["words"]
    assert figure["heads"].count("TF-IDF") == figure["heads"].count("Embedding") == 1
    assert all(len(row) == len(figure["heads"]) for row in figure["rows"])


def test_a_cell_that_was_not_captured_is_empty(evidence: Evidence) -> None:
    probes = evidence.get("probes").query("layer != 10 or position != 'step_end'")
    (figure, _) = probe_figures(of(evidence, probes=probes))
    assert figure["maps"]["pooled"][1][1] is None


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
    findings = evidence.get("findings_probe")[["name", "estimate", "low", "high", "n_questions"]]
    bare = findings.assign(n_traces=88, n_excluded=0, method="planted").head(2)
    (older,) = (h for h in headlines(of(evidence, findings_probe=bare)) if h.key == "probe")
    assert {name: value for name, value, _ in older.rows[1].controls}["length alone"] == 0.52


def test_the_lens_by_layer_is_the_share_over_traces(evidence: Evidence) -> None:
    figure = lens_figure(evidence)
    assert figure is not None
    lens, traces = evidence.get("lens"), evidence.get("lens_traces")
    several = traces.loc[traces["n_candidates"] > 1, "question_id"].unique()
    here = lens[(lens["position"] == "pre_answer") & lens["question_id"].isin(several)]
    wide = here.pivot(index=["question_id", "sample_index"], columns="layer", values="answer")
    raw, calibrated = figure["agreeing"]
    assert raw["name"] == "raw"
    for layer in (0, 10, 20, DEPTH):
        assert raw["y"][layer] == pytest.approx((wide[layer] == wide[DEPTH]).mean())
    assert calibrated["y"][DEPTH] == raw["y"][DEPTH] == 1.0
    assert [line["name"] for line in figure["stated"]] == ["step_end", "pre_answer"]
    known = traces.loc[traces["n_candidates"] > 1, "commitment_layer"]
    assert figure["commitment"]["median"] == known.median()
    assert all(len(row) == len(figure["heads"]) for row in figure["rows"])


def test_the_control_of_the_lens_pairs_a_trace_with_every_other() -> None:
    generator = np.random.default_rng(0)
    said = generator.integers(0, 3, size=(3, 7, 4))  # question, trace, layer
    rows = [
        {"question_id": q, "sample_index": i, "layer": k, "answer": str(said[q, i, k])}
        for q in range(3)
        for i in range(7 - 2 * q)
        for k in range(4)
    ]
    rows += [{"question_id": 9, "sample_index": 0, "layer": k, "answer": "0"} for k in range(4)]
    by_hand = []
    for k in range(4):
        shares = [
            (said[q, i, k] == said[q, j, 3], 1 / (6 - 2 * q))
            for q in range(3)
            for i in range(7 - 2 * q)
            for j in range(7 - 2 * q)
            if i != j
        ]
        by_hand.append(sum(same * w for same, w in shares) / sum(w for _, w in shares))
    assert others_agree(pd.DataFrame(rows)) == pytest.approx(by_hand)


def test_token_maps_hold_the_table_deepest_layer_first(evidence: Evidence) -> None:
    first, second = token_maps(evidence)
    assert (first["id"], first["index"], first["right"]) == ("q03", 1, True)
    assert first["layers"] == list(range(DEPTH, -1, -1))
    assert first["tokens"][0] == " <script>window.hacked"
    assert first["texts"][first["top"][DEPTH - 10][1]] == HOSTILE_TOP
    table = evidence.get("lens_tokens").query("question_id == 'q00' and layer == 29")
    assert second["p_top"][1] == pytest.approx(list(table["p_top"]), abs=1e-3)
    assert second["p_stated"][1] == pytest.approx(list(table["p_stated"]), abs=1e-4)


def test_token_maps_are_bounded_and_say_so(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "TOKENS", 5)
    monkeypatch.setattr(tokens_module, "CELLS", 200)
    maps = token_maps(evidence)
    assert len(maps) == 1
    assert left_out(evidence, maps) == 1
    assert len(maps[0]["tokens"]) == 5
    assert maps[0]["first"] == maps[0]["n_tokens"] - 5
    assert max(map(len, maps[0]["texts"])) <= tokens_module.LENGTH


def test_unknown_probabilities_and_missing_cells_are_null(evidence: Evidence) -> None:
    table = evidence.get("lens_tokens").assign(p_stated=np.nan).iloc[1:]
    first, _ = token_maps(of(evidence, lens_tokens=table, answers=pd.DataFrame()))
    assert first["top"][DEPTH][0] is None
    assert {value for line in first["p_stated"] for value in line} == {None}
    assert first["right"] is None
    json.dumps(first, allow_nan=False)


def test_hostile_tokens_stay_inside_the_json(planted: Run) -> None:
    source = write_report(planted).read_text(encoding="utf-8")
    assert "<img src=x onerror=window.hacked=4>" not in source
    assert "onerror=window.hacked=4" in source


def test_trajectories_compare_right_and_wrong_within_questions(evidence: Evidence) -> None:
    (figure,) = trajectory_figures(evidence)
    right, wrong = figure["sides"]
    answers = evidence.get("answers").dropna(subset="correct")
    assert (right["n"], wrong["n"]) == (answers["correct"].sum(), (~answers["correct"]).sum())
    table = evidence.get("trajectories").merge(answers, on=["question_id", "sample_index"])
    last = table[table["correct"] & (table["step"] == 1)]
    assert right["mean"]["x"][2] == pytest.approx(last["x"].mean(), rel=1e-3)
    assert right["traces"][2] == len(last)
    at_prompt = figure["rows"][0]
    assert at_prompt[:3] == ["prompt_end", "0.00", "0.00 to 0.00"]  # one state a question
    assert float(figure["rows"][1][1]) > 0.5


def test_the_state_map_ranks_answers_and_paths_in_their_question(evidence: Evidence) -> None:
    states = state_maps(evidence)
    assert states is not None
    rows = {(row[0], row[1]): row[2:] for row in states["traces"]}
    assert rows["q02", 0] == [True, 0, 0]
    assert rows["q02", 7] == [False, None, 1]  # cut off: no answer
    assert {rank for _, rank, _ in rows.values()} == {0, 1, 2, None}
    (drawn,) = states["maps"]
    assert len(drawn["x"]) == len(states["traces"]) == drawn["n"] == 96


def test_places_that_are_not_numbers_are_left_out(evidence: Evidence) -> None:
    table = evidence.get("state_map").copy()
    table.loc[:9, "x"] = np.inf
    both = pd.concat([table, table.assign(layer=10)])
    states = state_maps(of(evidence, state_map=both, paths=pd.DataFrame()))
    assert states is not None
    assert [(each["layer"], len(each["x"])) for each in states["maps"]] == [(10, 86), (20, 86)]
    assert all(row[4] is None for row in states["traces"])


def test_right_and_wrong_differ_only_below_what_shuffling_gives(evidence: Evidence) -> None:
    figure = similarity_figure(evidence)
    assert figure is not None
    assert [kind["name"] for kind in figure["kinds"]] == ["CKA", "RSA"]
    values = figure["kinds"][0]["maps"][0]["value"]
    assert values == [list(column) for column in zip(*values, strict=True)]
    assert [values[i][i] for i in range(4)] == [1.0] * 4
    readings = {(row[2], row[-1]) for row in figure["rows"]}
    assert ("0", "less alike than by chance") in readings
    assert ("30", "nothing: as by chance") in readings


def test_dimension_has_its_interval_and_eigen_scores_beside(evidence: Evidence) -> None:
    figure = dimension_figure(evidence)
    assert figure is not None
    assert [line["name"] for line in figure["lines"]] == POSITIONS
    row = next(row for row in figure["rows"] if row[:2] == ["pre_answer", "20"])
    assert row[2:] == ["10.96", "9.96 to 11.96", "96", "−3.00"]


@pytest.mark.parametrize(
    ("control", "guess", "said"),
    [
        (0.1, 0.05, "more than what it says at another question's prompt"),
        (0.1, -0.02, "but not shown to be more than a guess by the question's own answers"),
        (-0.1, -0.1, "nothing"),
    ],
)
def test_what_is_decided_early_is_held_against_both_controls(
    control: float, guess: float, said: str
) -> None:
    def finding(estimate: float, low: float) -> dict[str, Any]:
        return {"estimate": estimate, "low": low, "high": estimate + 0.1}

    found = {
        "decided_at_prompt": finding(0.6, 0.5),
        "decided_at_prompt - control": finding(0.3, control),
        "decided_at_prompt - guess": finding(0.2, guess),
    }
    (claim,) = lens_claims(found)
    assert said in claim
    assert ("nothing" in claim) == (min(control, guess) <= 0)


@pytest.mark.parametrize(
    ("p", "low", "said"),
    [
        (0.01, 0.1, "Right and wrong traces of a question go different ways"),
        (0.4, 0.1, "so this is nothing"),
        (0.01, -0.1, "the interval reaches down to what shuffled labels give"),
        (np.nan, 0.1, "undefined"),
    ],
)
def test_right_and_wrong_part_only_beyond_null_and_interval(
    p: float, low: float, said: str
) -> None:
    finding = {"estimate": 0.2, "low": low, "high": 0.3, "null_mean": 0.0, "p": p}
    (claim,) = geometry_claims({"right_wrong_gap": finding})
    assert said in claim
    assert ("not shown" in claim) == (said.startswith(("so", "the")))


def test_without_the_tables_the_page_names_the_commands(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers"])
    page = write_report(run).read_text(encoding="utf-8")
    for verb, table in {"lens": "lens", "geometry": "similarity", "probe": "probes"}.items():
        assert f"There is no table {table} yet." in page
        assert f"<code>cot {verb} {run.path}" in page


def test_a_large_lens_becomes_a_small_figure(evidence: Evidence) -> None:
    n, depth = 1600, 30
    trace = np.repeat(np.arange(n), depth + 1)
    generator = np.random.default_rng(0)
    lens = pd.DataFrame(
        {"question_id": (trace % 80).astype(str), "sample_index": trace // 80}
        | {"position": "pre_answer", "step": pd.NA, "layer": np.tile(np.arange(depth + 1), n)}
        | {"answer": generator.integers(0, 5, len(trace)).astype(str), "answer_calibrated": "1"}
        | {"p": 0.5, "p_stated": generator.random(len(trace)), "entropy": 1.0}
    )
    figure = lens_figure(of(evidence, lens=lens, lens_traces=pd.DataFrame()))
    assert figure is not None
    assert len(json.dumps(figure)) < 40_000
    assert figure["agreeing"][0]["y"][:depth] == pytest.approx([0.2] * depth, abs=0.05)
    assert figure["others"] == pytest.approx([0.2] * (depth + 1), abs=0.05)
