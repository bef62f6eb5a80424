"""Which step carries the answer, on the page: numbers as in the tables, traces within a budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import HOSTILE, planted_run
from planted_attributions import HOSTILE_HOW, METHODS, VALUES, add_attributions
from planted_interventions import loss

from analysis.figures.text import visible
from analysis.page import write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.attribution import attribution_data
from analysis.page.sections.attribution import shaded as shaded_module
from analysis.page.sections.attribution.shaded import shaded_traces
from analysis.page.sections.methods.glossary import glossary
from cot.store.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("attribution") / "run"
    made = planted_run(folder, tables=["answers", "steps"], texts={("q03", 1): HOSTILE})
    add_attributions(made)
    return made


@pytest.fixture(scope="module")
def evidence(run: Run) -> Evidence:
    return gather(run)


def test_a_method_stands_beside_its_checks(evidence: Evidence) -> None:
    data = attribution_data(evidence)
    assert [each.name for each in data.methods] == list(METHODS)
    first, second = data.methods
    numbers = dict(zip(data.columns, first.numbers, strict=True))
    assert numbers == {
        "Completeness gap": ("43.0%", "33.0% to 53.0%", ""),
        "Deletion, nats": ("1.20", "1.10 to 1.30", ""),
        "Insertion, nats": ("1.10", "1.00 to 1.20", ""),
        "Ranks as knock-out": ("0.70", "0.60 to 0.80", ""),
        "Ranks as resampling": ("0.50", "0.40 to 0.60", ""),
        "Ranks under random weights": ("0.05", "−0.05 to 0.15", ""),
    }
    assert data.missing == ["Ranks as a second seed"]
    assert second.numbers[0] == ("–", "", "")
    assert first.does.startswith("Gradient of the log-odds")
    assert ["grad_x_input", "question", "0.90", "0.80 to 1.00", "9", "18"] in data.parts
    assert data.checked


def test_a_trace_has_its_steps_their_texts_and_what_each_carries(evidence: Evidence) -> None:
    trace = next(each for each in shaded_traces(evidence) if (each.id, each.index) == ("q04", 0))
    assert trace.names == [*METHODS, "knock-out"]
    assert trace.texts[0] == "Ada starts with 7 pens."
    assert trace.values[0] == [VALUES["grad_x_input"][0], VALUES["shapley"][0], loss(0, 0)]
    assert trace.values[1] == [VALUES["grad_x_input"][1], VALUES["shapley"][1], loss(0, 1)]
    assert trace.parts == ["exemplars", "question", "instruction"]
    assert trace.others[1] == [0.9, None, None]
    assert trace.answer == "16"


def test_the_first_trace_of_each_question_comes_before_the_second(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaded_module, "TRACES", 13)
    found = [(each.id, each.index) for each in shaded_traces(evidence)]
    assert found == [*((f"q{i:02d}", 0) for i in range(12)), ("q00", 1)]


def test_of_a_long_trace_the_steps_with_the_largest_numbers_are_carried(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaded_module, "STEPS", 2)
    trace = next(each for each in shaded_traces(evidence) if (each.id, each.index) == ("q04", 0))
    assert (trace.steps, trace.n_steps) == ([0, 1], 3)


@pytest.mark.slow
def test_the_page_holds_the_section_and_runs_nothing_that_was_written(run: Run) -> None:
    source = write_report(run).read_text(encoding="utf-8")
    assert '<section id="attribution"' in source
    assert "Which step carries the answer?" in source
    assert "<img src=x" not in source
    assert visible(HOSTILE_HOW).split("<")[0] in source


def test_a_page_without_attributions_has_no_such_section(tmp_path: Path) -> None:
    bare = planted_run(tmp_path / "run", tables=["answers", "steps"])
    assert '<section id="attribution"' not in write_report(bare).read_text(encoding="utf-8")


def test_the_terms_are_explained(evidence: Evidence) -> None:
    terms = dict(glossary(evidence))
    assert "random weights" in terms["Attribution"]
