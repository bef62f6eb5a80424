"""What a budget left out stands beside the numbers that it concerns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import planted_run

from analysis.page.coverage import captured_ends, steps_looked_at
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.faithfulness.groups import test_groups as groups
from analysis.page.sections.geometry import MOST_ROWS, step_tables
from analysis.page.sections.lens.card import lens_card
from analysis.page.sections.probes.card import probe_card
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Of the three steps of trace q02 #0, and of the two of q02 #1, five ends may be captured."""
    return planted_run(tmp_path / "run")


def capture(run: Run, ends: list[tuple[int, int]]) -> Evidence:
    places = [Place("q02", index, "step_end", step, step) for index, step in ends]
    with run.lock(), VectorWriter(run.path / "activations", model="m", revision="r") as out:
        out.add(places, {0: np.ones((len(places), 2), np.float32)})
    return gather(run)


def test_ends_that_were_not_captured_are_counted_among_those_of_captured_traces(run: Run) -> None:
    assert captured_ends(gather(run)) == ()
    steps = run.table("steps").query("question_id == 'q02' and sample_index <= 1")
    assert len(steps) == 5
    evidence = capture(run, [(0, 0), (0, 2)])
    said = "Hidden states were captured at 2 of 3 ends of steps (66.7%)."
    assert captured_ends(evidence) == (said,)
    for card in (lens_card(evidence), probe_card(evidence)):
        assert said in card.asides
    assert captured_ends(capture(run, [(0, 1), (1, 0), (1, 1)])) == ()


def test_a_test_says_at_how_many_steps_it_asked() -> None:
    findings = pd.DataFrame(
        {"measure": "steps_looked_at", "subject": ["a", "b"], "baseline": "", "estimate": [0.4, 1]}
    )
    assert steps_looked_at(findings, "a") == (
        "It asked at 40.0% of a trace's steps, on average (its budget)."
    )
    assert steps_looked_at(findings, "b") == steps_looked_at(findings, "c") == ""


def test_a_group_of_faithfulness_findings_says_what_its_budget_left_out(run: Run) -> None:
    evidence = gather(run)
    table = evidence.get("findings_faithfulness")
    row = table.iloc[[0]].assign(
        measure="steps_looked_at", headline=False, kind="", baseline="", estimate=0.25
    )
    more = pd.concat([table, row], ignore_index=True)
    more = replace(evidence, tables={**evidence.tables, "findings_faithfulness": more})
    first, *others = groups(more)
    assert first.covered.startswith("It asked at 25.0% of a trace's steps")
    assert {each.covered for each in others} == {""}
    shown = next(row for row in first.rows if row.label == "Steps looked at")
    assert shown.shown == "25.0%"


def test_of_many_steps_differences_are_listed_evenly_and_how_many_there_are(run: Run) -> None:
    evidence = gather(run)
    table = evidence.get("trajectory_steps")
    row = table[(table["what"] == "difference") & (table["n_questions"] >= 5)].iloc[[0]]
    many = pd.concat([row] * 391, ignore_index=True).assign(step=np.arange(391))
    (steps,) = step_tables(replace(evidence, tables={**evidence.tables, "trajectory_steps": many}))
    assert (len(steps.rows), steps.of) == (MOST_ROWS, 391)
    listed = [int(cells[0]) for cells in steps.rows]
    assert listed == [10 * i for i in range(MOST_ROWS)]
