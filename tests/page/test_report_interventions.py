"""What moves the answer, on the page: numbers as in the tables, and traces within a budget."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import HOSTILE, planted_run
from planted_interventions import BY_CHANCE, HEADLINES, HOSTILE_HOW, MOVED, STRENGTHS, loss

from analysis.figures.text import decimal, visible
from analysis.page import write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.interventions import drawings, intervention_figures, interventions_data
from analysis.page.sections.interventions import steps as steps_module
from analysis.page.sections.interventions.effects import DOES, headlines, methods
from analysis.page.sections.interventions.steps import hidden_steps
from analysis.page.sections.methods.glossary import glossary
from analysis.page.sections.probes import probe_targets
from cot import registry
from cot.store.run import Run

pytestmark = pytest.mark.slow

TABLES = ["answers", "steps", "probes", "interventions", "interventions_sampled"]
TABLES += ["intervention_steps", "intervention_effects", "findings_intervene", "probe_verdicts"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("interventions") / "run"
    return planted_run(folder, tables=TABLES, texts={("q03", 1): HOSTILE})


@pytest.fixture(scope="module")
def evidence(planted: Run) -> Evidence:
    return gather(planted)


@pytest.fixture(scope="module")
def source(planted: Run) -> str:
    return write_report(planted).read_text(encoding="utf-8")


def of(evidence: Evidence, **tables: pd.DataFrame) -> Evidence:
    """The same run with other tables."""
    return replace(evidence, tables={**evidence.tables, **tables})


def test_a_headline_stands_beside_each_of_its_controls(evidence: Evidence) -> None:
    found = headlines(evidence.get("intervention_effects"))
    assert sum(len(each.beside) for each in found) == len(HEADLINES)
    assert [each.verdict for each in found] == ["causal"] * 5 + ["not shown"] * 3
    first = found[0]
    assert (first.method, first.layer, first.position) == ("patching", "20", "pre_answer")
    assert first.measure == "Recovered share"
    same, other = first.beside
    assert (same.effect, same.interval) == ("0.70", "0.60 to 0.80")
    assert same.control == "donor with the same answer"
    assert same.control_effect == "0.01 (−0.04 to 0.06)"
    assert (same.difference, same.difference_interval) == ("0.69", "0.57 to 0.81")
    assert (same.n_questions, same.n_traces, same.n_excluded) == (9, 60, 12)
    assert (other.control, other.difference) == ("donor of another question", "0.68")
    (knockout,) = (each for each in found if each.method == "knockout")
    assert (knockout.layer, knockout.position) == ("all", "step")
    assert headlines(pd.DataFrame()) == []


def test_every_method_of_the_project_says_what_it_does(evidence: Evidence) -> None:
    assert set(DOES) == set(registry.BUILT_IN["interventions"])
    found = methods(evidence.get("intervention_effects"))
    assert [each.name for each in found][:2] == ["patching", "mediation"]
    assert all(each.does for each in found)
    typed = evidence.get("intervention_effects").assign(method="ablation:fill=mean")
    assert [each.does for each in methods(typed)] == [DOES["ablation"]]
    other = evidence.get("intervention_effects").assign(method="mine:Own")
    assert [each.does for each in methods(other)] == [""]


def test_figures_are_those_that_the_table_has_rows_for(planted: Run, evidence: Evidence) -> None:
    table = evidence.get("intervention_effects")
    assert [each.name for each in drawings(table)] == [
        "map/patching",
        "mediation/mediation",
        "map/steering/correct",
        "dose/steering/correct/log_odds",
        *(f"side/steering/correct/{each}" for each in ("accuracy", "changed", "missing")),
        *(f"side/steering/correct/{each}" for each in ("length", "perplexity")),
        "map/steering/majority",
        "dose/steering/majority/log_odds",
    ]
    assert list(intervention_figures(planted)) == [each.name for each in drawings(table)]
    assert [each.layer for each in drawings(table) if each.kind == "dose"] == [20, 10]
    one = table[table["layer"].isna() | (table["layer"] == 20)]
    one = one[one["position"] != "step_end"]
    one = one[one["strength"].isna() | (one["strength"] == STRENGTHS[0])]
    assert [each.name for each in drawings(one[one["position"] != "prompt_end"])] == []
    assert drawings(pd.DataFrame()) == []


def test_tables_of_numbers_have_every_row_once(evidence: Evidence) -> None:
    data = interventions_data(evidence)
    table = evidence.get("intervention_effects")
    assert len(data.all) + len(data.side) + len(HEADLINES) == len(table)
    assert {len(row) for row in (*data.all, *data.side)} == {16}
    assert [row[6] for row in data.side if row[2] == "tokens a trace"] == [
        decimal(12.0 * abs(strength) / max(STRENGTHS)) for strength in STRENGTHS
    ]
    total = next(row for row in data.all if row[2] == "total effect, nats")
    assert total[3:6] + total[8:12] == ["all", "cue", "–", "–", "–", "–", "–"]
    fixed = table.assign(how="by construction: no test")
    rows = interventions_data(of(evidence, intervention_effects=fixed)).all
    assert {row[-1] for row in rows} == {"by construction: no test"}


def test_the_trace_in_which_a_step_moves_the_answer_most_comes_first(evidence: Evidence) -> None:
    found = hidden_steps(evidence)
    table = evidence.get("intervention_steps")
    assert len(found) == steps_module.TRACES
    losses = [max(value for value in each.effect if value is not None) for each in found]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == MOVED["answer"]
    data = interventions_data(evidence)
    assert data.n_traces == len(table.drop_duplicates(["question_id", "sample_index"])) > len(found)


def test_a_matrix_is_the_table(evidence: Evidence) -> None:
    first = hidden_steps(evidence)[0]
    assert (first.id, first.index, first.answer, first.right) == ("q00", 0, "8", True)
    assert first.other == "13"
    assert (first.steps, first.n_steps) == ([0, 1, 2], 3)
    assert first.texts == [
        *("Ada starts with 3 pens.", "She gets 5 more, so 3 + 5 = 8.", "The answer is 8."),
    ]
    step = MOVED["step"]
    assert first.moved == [
        [None, step, step, 0.3],
        [None, None, 0.02, 0.3],
        [None, None, None, 0.3],
    ]
    assert first.by_chance[0] == [None, BY_CHANCE, BY_CHANCE, BY_CHANCE]
    assert first.effect == [loss(0, each) for each in range(3)]
    assert first.control == [BY_CHANCE] * 3


def test_a_step_without_a_control_or_that_was_not_hidden_has_none(evidence: Evidence) -> None:
    table = evidence.get("intervention_steps")
    own = table[(table["question_id"] == "q00") & (table["sample_index"] == 0)]
    bare = own[own["step"] != 1].assign(control_kl=np.nan, control_effect=np.nan)
    (found,) = hidden_steps(of(evidence, intervention_steps=bare))
    assert found.steps == [0, 1, 2]
    assert found.effect == [0.0, None, 0.0]
    assert found.moved[1] == [None] * 4
    assert found.control == [None] * 3
    json.dumps(found.by_chance, allow_nan=False)


def test_an_effect_without_a_control_puts_no_trace_first(evidence: Evidence) -> None:
    table = evidence.get("intervention_steps")
    first = (table["question_id"] == "q00") & (table["sample_index"] == 0)
    bare = table.assign(control_effect=table["control_effect"].where(~first, np.nan))
    found = hidden_steps(
        of(evidence, intervention_steps=bare[first | (table["sample_index"] == 7)])
    )
    assert [each.index for each in found[:-1]] == [7] * (len(found) - 1)
    assert (found[-1].id, found[-1].index) == ("q00", 0)


def test_of_many_steps_those_that_move_or_are_moved_most_are_shown(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_module, "STEPS", 2)
    monkeypatch.setattr(steps_module, "CHARACTERS", 8)
    table = evidence.get("intervention_steps")
    own = table[(table["question_id"] == "q00") & (table["sample_index"] == 0)]
    last = ((own["step"] == 1) & (own["later"] == 2)).fillna(False).astype(bool)
    moved = own.assign(kl=own["kl"].where(last, 0.0).where(~last, 0.9))
    (found,) = hidden_steps(of(evidence, intervention_steps=moved))
    assert (found.steps, found.n_steps) == ([1, 2], 3)  # 1 moves the answer, and 2 most of all
    assert found.texts == ["She get…", "The ans…"]
    assert found.moved == [[None, 0.9, 0.0], [None, None, 0.0]]


def test_steps_and_answers_are_optional(evidence: Evidence) -> None:
    tables = {name: pd.DataFrame() for name in ("steps", "answers", "interventions")}
    first = hidden_steps(of(evidence, **tables))[0]
    assert (first.answer, first.right, first.other, first.texts) == (None, None, None, [""] * 3)
    assert hidden_steps(of(evidence, intervention_steps=pd.DataFrame())) == []


def test_the_section_says_what_is_compared_and_what_not_shown_means(
    evidence: Evidence, source: str
) -> None:
    own = source[source.index('<section id="interventions"') :]
    own = own[: own.index("</section>")]
    words = " ".join(re.sub(r"<[^>]*>", " ", own).split())
    for part in (
        "no proof of no effect",
        "Left out",
        "donor with the same answer 0.01 (−0.04 to 0.06)",
        "This page carries 40 of",
        "they are not typical",
    ):
        assert part in words
    assert own.count("data-figure=") == len(drawings(evidence.get("intervention_effects")))
    assert "<img" not in own
    assert visible(HOSTILE_HOW).replace("<", "&lt;").replace(">", "&gt;") in own
    sent = json.loads(source.split('id="page-data">')[1].split("</script>")[0])
    assert len(sent["interventions"]) == 40
    hostile = [each for each in sent["interventions"] if (each["id"], each["index"]) == ("q03", 1)]
    assert all(HOSTILE in each["texts"] for each in hostile)


def test_without_its_tables_the_section_is_absent_and_the_command_is_named(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers"])
    text = write_report(run).read_text(encoding="utf-8")
    assert '<section id="interventions"' not in text
    assert f"cot intervene {run.path}" in text


def test_one_of_its_tables_is_enough(tmp_path: Path) -> None:
    steps = planted_run(tmp_path / "steps", tables=["answers", "steps", "intervention_steps"])
    text = write_report(steps).read_text(encoding="utf-8")
    assert 'id="hidden-steps"' in text
    effects = planted_run(tmp_path / "effects", tables=["answers", "intervention_effects"])
    text = write_report(effects).read_text(encoding="utf-8")
    assert 'id="hidden-steps"' not in text
    assert 'data-figure="interventions/map/patching"' in text


def test_the_probes_section_says_diagnostic_or_causal(evidence: Evidence, source: str) -> None:
    correct, majority = probe_targets(evidence.get("probes"), evidence.get("probe_verdicts"))
    assert correct.verdict.startswith("The probe is causal at layer 20")
    assert correct.verdict.endswith("difference 3.80 (3.60 to 4.00), p = 0.001.")
    assert majority.verdict.startswith("The probe for majority is diagnostic")
    assert "(−0.02 to 0.22), p = 0.400." in majority.verdict
    section = source[source.index('<section id="probes"') :]
    assert "The probe is causal at layer 20" in section[: section.index("</section>")]
    unsteered = evidence.get("probe_verdicts").assign(effect=np.nan, difference=np.nan)
    for each in probe_targets(evidence.get("probes"), unsteered):
        assert each.verdict.endswith("nothing was steered along its direction.")
    assert [each.verdict for each in probe_targets(evidence.get("probes"))] == ["", ""]


def test_the_glossary_has_the_terms_once_interventions_ran(
    evidence: Evidence, tmp_path: Path
) -> None:
    terms = " ".join(term for term, _ in glossary(evidence)).lower()
    for each in ("patching", "recovered share", "steering", "ablation", "erasure", "knock-out"):
        assert each in terms
    for each in ("mediation", "log-odds", "random band", "not shown"):
        assert each in terms
    bare: Any = gather(planted_run(tmp_path / "run", tables=["answers"]))
    assert "patching" not in " ".join(term for term, _ in glossary(bare)).lower()
