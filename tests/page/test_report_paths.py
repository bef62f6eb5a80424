"""Maps, medoids and checked equations: what the page is given to draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import planted_run
from written import write_table

from analysis.page import write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.questions import question_rows
from analysis.page.sections.traces.places import methods, read_places
from analysis.page.sections.traces.questions import question_detail
from analysis.page.sections.traces.traces import Check, Computed, Trace
from cot.store.run import Run


def traces_of(evidence: Evidence, question_id: str) -> list[Trace]:
    found = question_detail(evidence, question_id).traces
    assert found is not None
    return found


PATHS = ["answers", "steps", "votes", "paths", "step_checks", "cluster_names", "path_map"]
PATHS += ["findings_paths"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted_run(tmp_path_factory.mktemp("paths") / "run")


def replace(run: Run, table: str, frame: pd.DataFrame) -> None:
    write_table(run, table, frame, command="paths", parameters={}, inputs=[])


def test_places_keep_their_shape_in_a_unit_square(planted: Run) -> None:
    raw = planted.table("path_map").set_index(["question_id", "sample_index"])
    places = read_places(gather(planted))
    assert set(places) == set(raw.index)
    for question in ("q00", "q03"):
        mine = np.array([places[question, k] for k in range(8)])
        theirs = raw.loc[question][["x", "y"]].to_numpy()
        assert np.abs(mine).max() == 0.5
        scale = np.ptp(theirs, axis=0).max()
        assert np.allclose(np.diff(mine, axis=0) * scale, np.diff(theirs, axis=0), atol=0.01)


def test_traces_without_a_place_are_left_out(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=PATHS)
    places = run.table("path_map")
    places.loc[places["question_id"] == "q00", "x"] = float("nan")
    places.loc[(places["question_id"] == "q01") & (places["sample_index"] > 0), "y"] = np.inf
    places.loc[places["question_id"] == "q02", ["x", "y"]] = 3.0
    replace(run, "path_map", places)
    evidence = gather(run)
    assert "q00" not in methods(evidence)
    at = [trace.at for trace in traces_of(evidence, "q01")]
    assert at == [[0.0, 0.0], *[None] * 7]
    assert {tuple(read_places(evidence)["q02", k]) for k in range(8)} == {(0.0, 0.0)}
    write_report(run)


@pytest.mark.slow
def test_paths_have_terms_and_a_medoid(planted: Run) -> None:
    detail = question_detail(gather(planted), "q03")
    named = {path.cluster: (path.medoid, path.terms) for path in detail.clusters}
    assert named == {0: (0, "starts, pens, more"), 1: (1, "gets, more")}
    assert detail.map == "pca"


@pytest.mark.slow
def test_equations_are_pieces_with_their_check(planted: Run) -> None:
    trace = traces_of(gather(planted), "q02")[6]
    marked = [(text, trace.checks[i]) for _, text, _, i in trace.pieces if i is not None]
    assert marked == [
        ("5 + 7 = 11", Check(wrong=True, value="12", used=True, corrected=False, reaches=True))
    ]
    assert trace.computed == Computed(
        signature="add",
        dataflow="add(5,7)",
        n_checked=1,
        n_wrong=1,
        wrong_used=True,
        follows=True,
    )


def test_uncheckable_equations_are_not_marked(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=PATHS)
    replace(run, "step_checks", run.table("step_checks").assign(verdict="uncheckable", value=None))
    trace = traces_of(gather(run), "q02")[6]
    assert trace.checks == []
    assert all(i is None for *_, i in trace.pieces)


def test_paths_of_an_older_run_are_shown_without_what_they_lack(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "steps", "paths"])
    paths = run.table("paths")
    replace(run, "paths", paths[["question_id", "sample_index", "cluster", "silhouette"]])
    detail = question_detail(gather(run), "q02")
    assert detail.map is None
    assert all(trace.computed is None for trace in traces_of(gather(run), "q02"))
    assert [(path.cluster, path.medoid) for path in detail.clusters] == [
        (0, None),
        (1, None),
    ]
    page = write_report(run).read_text(encoding="utf-8")
    assert "There is no table step_checks yet." in page
    assert len(page) < 1_000_000  # nothing to draw, so no plotly


def test_noise_is_counted_as_the_paths_command_counts_it(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "steps", "paths"])
    replace(run, "paths", run.table("paths").assign(cluster=-1))
    counted = pd.DataFrame({"question_id": ["q02"], "n_clusters": [8]})
    replace(run, "path_questions", counted)
    rows = {row.id: row.n_clusters for row in question_rows(gather(run))}
    assert rows["q02"] == 8
    assert question_detail(gather(run), "q02").clusters[0].cluster == -1


@pytest.mark.slow
def test_the_findings_on_paths_are_said_with_their_null(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=PATHS)
    found = run.table("findings_paths")
    ami = found.iloc[[0]].assign(measure="ami", subject="answers × clusters", estimate=0.4)
    both = pd.concat([found, ami], ignore_index=True).assign(
        null_mean=[*[np.nan] * len(found), 0.1]
    )
    replace(run, "findings_paths", both)
    page = write_report(run).read_text(encoding="utf-8")
    assert "right answers over equations, 0.0% stand over a wrong one" in page
    assert "shuffled 0.10" in page
    assert "Paths are clusters of wording" in page
    paths = run.table("paths")
    by_dataflow = {"clusterer": "dataflow"}
    write_table(run, "paths", paths, command="paths", parameters=by_dataflow, inputs=[])
    assert "Paths are dataflows" in write_report(run).read_text(encoding="utf-8")


def test_how_much_of_long_traces_was_embedded_is_said(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=PATHS)
    paths = run.table("paths").assign(compared="sections", section_cut=0.35, most_sections=12)
    replace(run, "paths", paths)
    found = run.table("findings_paths")
    rows = [
        found.iloc[[0]].assign(measure=name, subject="", estimate=value)
        for name, value in (("embedded_share", 0.4), ("halves_recognised", 0.9))
    ]
    replace(run, "findings_paths", pd.concat([found, *rows], ignore_index=True))
    page = write_report(run).read_text(encoding="utf-8")
    assert "40.0% of the text was embedded, at most 12 sections a trace, drawn by the seed" in page
    assert "by its other half 90.0% of the time (50.0% by chance)" in page
