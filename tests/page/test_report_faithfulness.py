"""Faithfulness on the page: numbers beside their baselines, hints, both looks, and each trace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import HOSTILE, planted_run
from planted_faithfulness import FOUND, HOSTILE_REPLY
from written import write_table

from analysis import figures
from analysis.figures.text import percent
from analysis.page import write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.faithfulness import hints as hints_module
from analysis.page.sections.faithfulness.curves import curve_panels
from analysis.page.sections.faithfulness.decided import decided_figure
from analysis.page.sections.faithfulness.groups import test_groups as groups_of
from analysis.page.sections.faithfulness.hints import followed_hints
from analysis.page.sections.traces import interventions as interventions_module
from analysis.page.sections.traces.interventions import (
    Interventions,
    Value,
    most_important,
    read_interventions,
)
from analysis.page.sections.traces.questions import question_details
from analysis.statistics import ratio_interval
from cot.store.run import Run

TABLES = ["answers", "steps", "lens_traces", "faithfulness", "faithfulness_traces"]
TABLES += ["faithfulness_curves", "findings_faithfulness"]
TABLES += ["faithfulness_tests", "faithfulness_steps", "agreement", "findings_agree"]
TABLES += ["agreement_before_reasoning"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("faithfulness") / "run"
    return planted_run(folder, tables=TABLES, texts={("q03", 1): HOSTILE})


@pytest.fixture(scope="module")
def evidence(planted: Run) -> Evidence:
    return gather(planted)


def of(evidence: Evidence, **tables: pd.DataFrame) -> Evidence:
    """The same run with other tables."""
    return replace(evidence, tables={**evidence.tables, **tables})


def test_value_comes_first_and_the_rate_stands_beside_its_baseline(evidence: Evidence) -> None:
    first, mistakes, filler, hint, _ = groups_of(evidence)
    assert [row.label for row in first.rows] == [
        "Value",
        "Value, greedy traces alone",
        "The answer stays",
        "Stays, less baseline, points",
        "Right stays right, wrong wrong",
        "Same answer after none",
        "Baseline: another trace of the question",
    ]
    assert first.rows[0].controls == (("greedy traces", 0.0, "0.00"),)
    assert first.rows[2].controls == (("another trace of the question", 0.55, "55.0%"),)
    assert (first.rows[3].shown, first.rows[3].interval) == ("−8.0", "−19.0 to 4.0")
    assert "not shown to differ from the baseline's 55.0%" in first.claim
    assert "50.0 points less (40.0 to 60.0) than the baseline's 70.0%" in mistakes.claim
    assert mistakes.rows[1].controls[0][0] == "nothing changed, sampled again"
    assert "20.0 points more (10.0 to 30.0) than the baseline's 30.0%" in filler.claim
    assert first.does.startswith("Cut the reasoning")
    assert hint.claim == ""


def test_what_a_test_adds_is_drawn_only_where_it_is_a_share(evidence: Evidence) -> None:
    table = evidence.get("findings_faithfulness")
    own = table[(table["subject"] == "hint") & table["headline"]]
    plain = own.assign(headline=False, kind="plain")
    added = [
        plain.assign(measure="followed"),
        plain.assign(measure="acknowledged", baseline="false alarms"),
        plain.assign(measure="disguised_accuracy", kind="", estimate=1.2, high=1.4),
    ]
    (group,) = groups_of(of(evidence, findings_faithfulness=pd.concat([own, *added])))
    drawn = {row.label: row.strip is not None for row in group.rows[1:]}
    assert drawn == {
        "Followed, plain": True,
        "Acknowledged, plain less false alarms": False,
        "Disguised accuracy": False,
    }


def test_a_test_with_parameters_and_one_of_which_nothing_is_known(evidence: Evidence) -> None:
    table, tests = evidence.get("findings_faithfulness"), evidence.get("faithfulness_tests")
    own, shown = table[table["subject"] == "filler"], tests[tests["test"] == "filler"]
    spec, other = own.assign(subject="filler:points=4"), own.assign(subject="<b>mine")
    changed = of(
        evidence,
        findings_faithfulness=pd.concat([spec, other]),
        faithfulness_tests=shown.assign(test="filler:points=4"),
    )
    filler, mine = groups_of(changed)
    assert filler.rows[0].label == mine.rows[0].label == "Value"
    assert filler.does.startswith("Replace the reasoning")
    assert mine.does == mine.limit == ""


def lines(run: Run, test: str) -> dict[str, Any]:
    """The named series of a test's figure."""
    return {str(each.name): each for each in figures.faithfulness(run, test).data if each.name}


def test_curves_are_the_tables_beside_another_trace(planted: Run, evidence: Evidence) -> None:
    early, filler = curve_panels(evidence)
    table = evidence.get("faithfulness_curves")
    whole = table[(table["test"] == "early_answering") & table["n_steps"].isna()]
    drawn = lines(planted, "early_answering")
    assert list(drawn["all lengths"].y) == list(whole.loc[~whole["greedy"], "same"])
    assert set(drawn) == {
        *("all lengths", "1 step", "2 steps", "greedy traces", "another trace of the question"),
    }
    assert list(drawn["another trace of the question"].y) == [0.5, 0.5]
    assert early.other_traces == (0.5, 0.5, 0.5)
    axis = figures.faithfulness(planted, "filler").layout.xaxis.title.text
    assert axis.startswith("dots")
    assert "greedy traces" not in lines(planted, "filler")
    assert filler.n_greedy == 0
    assert all(len(row) == 6 for row in early.rows)


def test_the_baseline_is_the_curves_own(evidence: Evidence) -> None:
    table = evidence.get("faithfulness_curves")
    own = table["other_traces"].where(table["test"] != "early_answering", 0.25)
    early, filler = curve_panels(of(evidence, faithfulness_curves=table.assign(other_traces=own)))
    assert filler.other_traces is not None
    assert early.other_traces is not None
    assert (early.other_traces[0], filler.other_traces[0]) == (0.25, 0.5)


def test_a_length_of_few_traces_has_no_line(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=TABLES)
    curves = run.table("faithfulness_curves")
    few = curves["n_traces"].where(curves["n_steps"] != 1, 9)
    write_table(run, "faithfulness_curves", curves.assign(n_traces=few), command="faithfulness")
    early, _ = curve_panels(gather(run))
    assert early.few == "1"
    assert "1 step" not in {row[0] for row in early.rows}
    assert "1 step" not in lines(run, "early_answering")


def test_hints_are_counted_by_kind_and_those_unsaid_come_first(evidence: Evidence) -> None:
    found = followed_hints(evidence)
    assert found is not None
    given = evidence.get("faithfulness").query("test == 'hint'")
    details = pd.DataFrame([json.loads(cell) for cell in given["detail"]])
    for row in found.counts:
        mine = details[details["kind"] == row[0]]
        followed = mine[mine["followed"]]
        said = int(followed["acknowledged"].sum())
        assert (len(row), row[5], row[9]) == (len(found.heads), "25.0%", "0.0%")
        assert (row[1], row[2], row[6], row[10]) == (
            *(str(len(mine)), str(len(followed)), str(said), str(len(followed) - said)),
        )
    order = [row.acknowledged for row in found.rows]
    assert order == sorted(order)
    assert len(order) == int(details["followed"].sum())
    hostile = next(row for row in found.rows if (row.id, row.trace) == ("q03", 0))
    assert (hostile.text, hostile.cut) == (HOSTILE_REPLY, False)
    assert (hostile.stated, hostile.hinted) == ("14", "99")


def test_shares_of_hints_are_the_findings_and_follow_from_what_is_counted(
    evidence: Evidence,
) -> None:
    found = followed_hints(evidence)
    assert found is not None
    given = evidence.get("faithfulness").query("test == 'hint'")
    details = pd.DataFrame([json.loads(cell) for cell in given["detail"]], index=given.index)
    assert [row[0] for row in found.counts] == list(details["kind"].unique())
    for row in found.counts:
        mine = details[details["kind"] == row[0]]
        for rows, share in ((mine["followed"], 3), (mine["acknowledged"][mine["followed"]], 7)):
            per = rows.astype(int).groupby(given["question_id"]).agg(["sum", "count"])
            low, high = ratio_interval(per["sum"], per["count"])
            assert row[share] == percent(rows.mean())
            assert row[share + 1] == f"{percent(low)} to {percent(high)}"
    table = evidence.get("findings_faithfulness")
    changed = table.assign(estimate=table["estimate"].where(table["kind"] != "plain", 0.123))
    plain, other = (
        followed_hints(of(evidence, findings_faithfulness=each)) for each in (changed, table[:0])
    )
    assert plain is not None
    assert other is not None
    assert [plain.counts[0][place] for place in (3, 5, 7, 9)] == ["12.3%"] * 4
    assert plain.counts[1] == found.counts[1]
    assert [other.counts[0][place] for place in (3, 4, 5, 7, 8, 9)] == ["–"] * 6


def test_a_kind_of_hint_that_two_tests_give_has_a_row_each(evidence: Evidence) -> None:
    readings, table = evidence.get("faithfulness"), evidence.get("findings_faithfulness")
    own = table[(table["subject"] == "hint") & (table["kind"] == "plain")]
    mine = readings[(readings["test"] == "hint") & (readings["variant"] == "kind=plain")]
    found = followed_hints(
        of(
            evidence,
            faithfulness=pd.concat([readings, mine[:4].assign(test="hint:kinds=plain")]),
            findings_faithfulness=pd.concat(
                [table, own.assign(subject="hint:kinds=plain", estimate=0.5)]
            ),
        )
    )
    assert found is not None
    assert [(row[0], row[1], row[3]) for row in found.counts] == [
        ("plain, hint", "91", "39.6%"),
        ("authoritative", "91", "26.4%"),
        ("plain, hint:kinds=plain", "4", "50.0%"),
    ]


def test_hints_without_details_or_by_another_name(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = evidence.get("faithfulness").query("test == 'hint'")
    bare = readings.assign(test="biased_context:n=2", detail='{"hinted": "99"}')
    monkeypatch.setattr(hints_module, "MOST", 5)
    monkeypatch.setattr(hints_module, "MOST_CHARACTERS", 7)
    found = followed_hints(of(evidence, faithfulness=bare))
    assert found is not None
    ((kind, n, followed, *_, missed),) = found.counts
    assert (kind, n, missed) == ("biased_context:n=2", str(len(bare)), "0")
    assert int(followed) == int((bare["answer"] == "99").sum()) == 5 + found.left_out
    assert found.rows[0].acknowledged is None
    assert (found.rows[0].text, found.rows[0].cut) == ("I think", True)
    for detail in ("[]", "not JSON", "null"):
        assert followed_hints(of(evidence, faithfulness=bare.assign(detail=detail))) is None
    assert followed_hints(of(evidence, faithfulness=bare.assign(detail="{}"))) is None


def test_both_looks_and_where_they_part(evidence: Evidence) -> None:
    figure = decided_figure(evidence)
    assert figure is not None
    table = evidence.get("agreement_before_reasoning")
    cells = ["n_both", "n_forced_only", "n_latent_only", "n_neither"]
    assert figure.n == int(table[cells].sum().sum())
    assert figure.table[0][1].split()[0] == str(int(table["n_forced_only"].sum()))
    differ = (table["n_forced_only"] + table["n_latent_only"]) / table["n_traces"]
    assert figure.questions[0].question_id in set(table.loc[differ == differ.max(), "question_id"])
    assert figure.control is not None
    assert decided_figure(of(evidence, agreement_before_reasoning=pd.DataFrame())) is None


def test_what_a_trace_says(evidence: Evidence) -> None:
    tested = read_interventions(evidence)
    one, decided = tested["q00", 2], tested["q00", 0]
    assert values_of(one)[0] == ("early_answering", 0.75, 2, None)
    assert (one.early, one.first) == (["0", "0", "8"], 2)
    assert (decided.early, decided.first) == (["8", "8", "8"], 0)
    assert one.importance == [(0, 0.9, 0.2, 10, 0.75, 6), (1, 0.1, 0.2, 10, 0.75, 6)]
    assert one.mistakes is not None
    assert [(each.step, each.answer, each.stays) for each in one.mistakes] == [
        *((0, "8", True), (1, "0", False)),
    ]
    assert one.mistakes[1].original == "She gets 5 more, so 3 + 5 = 8."
    assert values_of(tested["q00", 7])[2] == ("filler", None, 1, "an answer is missing")
    assert values_of(tested["q02", 7])[0] == (
        "early_answering",
        None,
        None,
        "without a valid answer",
    )
    assert most_important(evidence) == 0.9
    assert tested["q03", 1].early is None


def values_of(tested: Interventions) -> list[Value]:
    assert tested.values is not None
    return tested.values


def test_words_after_mistakes_end_with_the_budget(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interventions_module, "BUDGET", 100)
    mistakes = [
        each for trace in read_interventions(evidence).values() for each in trace.mistakes or []
    ]
    assert mistakes[0].text is not None
    assert mistakes[-1].text is mistakes[-1].original is mistakes[-1].changed is None
    assert mistakes[-1].answer is not None


def test_a_run_without_the_tests_has_no_section(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "lens_traces"])
    evidence = gather(run)
    assert groups_of(evidence) == curve_panels(evidence) == []
    assert followed_hints(evidence) is decided_figure(evidence) is most_important(evidence) is None
    traces = question_details(evidence, ["q00"])["q00"].traces
    assert traces is not None
    assert traces[0].tested is None
    assert '<section id="faithfulness"' not in write_report(run).read_text(encoding="utf-8")


@pytest.mark.browser
def test_the_section_opens_traces_and_obeys_nothing(chromium: Any, report: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    def some(selector: str) -> list[Any]:
        return list(chromium.find_elements(By.CSS_SELECTOR, selector))

    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(report.as_uri())
    assert [card.get_attribute("data-test") for card in some("#faithfulness .card")] == [
        *dict.fromkeys(test for test, *_ in FOUND)
    ]
    assert len(some("#faithfulness [data-figure] svg .scatterlayer path.js-line")) >= 8
    said, kind = (Select(node) for node in some("#hints select"))
    whole = len(some("#hints tbody tr"))
    said.select_by_value("true")
    assert 0 < len(some("#hints tbody tr")) < whole
    assert {cell.text for cell in some("#hints tbody tr .right")} == {"✓ yes"}
    said.select_by_value("false")
    kind.select_by_value("plain")
    (row,) = (row for row in some("#hints tbody tr") if row.text.startswith("q03 #0"))
    row.find_element(By.TAG_NAME, "summary").click()
    reply = row.find_element(By.CSS_SELECTOR, ".reply").text
    assert "<img src=x onerror=window.hacked=7></details><script>" in reply
    assert "\\x1b[31m" in reply
    assert some("#hints img, #hints script") == []
    row.find_element(By.TAG_NAME, "a").click()
    opened = some('#question [data-index="0"]')
    assert len(opened) == 1
    assert opened[0].get_attribute("open") is not None
    chromium.get(report.as_uri() + "#q=q00&t=2")
    step, other = some('#question [data-index="2"] .step.weighed')
    assert step.get_attribute("data-label").endswith(
        "importance 0.90 nats (by chance 0.20), 10 resamples, 75% dissimilar, 6 of these with an "
        "answer"
    )
    colours = [each.value_of_css_property("background-color") for each in (step, other)]
    assert len(set(colours)) == 2
    tested = some('#question [data-index="2"] .tested')[0].text
    assert "early_answering 0.75 · 2 steps" in tested
    assert (
        "Forced after 0 to 2 steps: 0 → 0 → 8 · its own answer comes first after 2 of 2" in tested
    )
    assert some(".looks tbody tr")[0].text.startswith("forced with no reasoning")
    assert chromium.execute_script("return window.hacked") is None
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    assert np.isfinite(float(some("#faithfulness .big")[0].text))


def test_many_short_lengths_are_counted_not_listed():
    from analysis.page.sections.faithfulness.curves import _lengths

    assert _lengths([3, 8]) == "3, 8"
    assert _lengths(range(20, 300)) == "280 lengths from 20 to 299 steps"


def test_a_followed_hint_says_where_it_is_acknowledged():
    from analysis.page.sections.faithfulness.hints import _where

    apart = {"acknowledged_in_reasoning": True, "acknowledged_in_answer": False}
    assert _where(apart) == "reasoning"
    assert _where({**apart, "acknowledged_in_answer": True}) == "reasoning and answer"
    assert _where({}) == ""
