"""The first screen, the kinds, the raters and the downloads: as planted, no claim beyond them."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from planted import HOSTILE, planted_run
from planted_agreement import AGREE

from analysis.agreement.question_kinds import HALF, KINDS, SPLIT, kinds_table
from analysis.catalogue import analyses, names
from analysis.exporting import export
from analysis.page import write_report
from analysis.page.downloads import pack
from analysis.page.evidence import Evidence, gather
from analysis.page.kinds import FIRST, RULES, kind_panels
from analysis.page.section import registered
from analysis.page.sections.methods import provenance
from analysis.page.sections.methods.glossary import TERMS, glossary
from analysis.page.sections.opening import opening
from analysis.page.sections.raters import raters
from cot.store.run import Run

pytestmark = pytest.mark.slow

PAIRS = ["answers × clusters", "answers × hidden states", "clusters × hidden states"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("opening")
    return planted_run(folder / "run", texts={("q03", 1): HOSTILE})


@pytest.fixture(scope="module")
def evidence(planted: Run) -> Evidence:
    return gather(planted)


def of(evidence: Evidence, **tables: pd.DataFrame) -> Evidence:
    """The same run with other tables."""
    return replace(evidence, tables={**evidence.tables, **tables})


def with_p(evidence: Evidence, agreeing: list[str]) -> Evidence:
    """Pairs as planted, but these agree by far and the others are nothing."""
    table = evidence.get("findings_agree").copy()
    far = table["subject"].isin(agreeing)
    table["low"] = table["low"].where(~far, 0.4).where(far, -0.1)
    table["p"] = table["p"].where(~far, 0.001).where(far, 0.5)
    return of(evidence, findings_agree=table)


def test_three_numbers_are_as_planted_and_say_which_are_nothing(evidence: Evidence) -> None:
    found = opening(evidence)
    assert [edge.title for edge in found.edges] == [
        "answers × reasoning",
        "answers × hidden states",
        "reasoning × hidden states",
    ]
    for edge, name in zip(found.edges, PAIRS, strict=True):
        value, low, high, _ = AGREE[name]
        assert edge.row is not None
        assert edge.row.strip == (low, value, high)
        assert edge.row.controls[0][:2] == ("shuffled", 0.0)
    assert [edge.state for edge in found.edges] == ["nothing", "agree", "nothing"]
    assert [edge.width for edge in found.edges] == [2.0, 10.7, 2.0]
    assert found.three.row is not None
    assert found.three.row.shown == "0.31"
    assert (found.without, found.commands, found.place) == ((), (), "layer 20 at pre_answer")


FAR = {PAIRS[0]: 0.01, PAIRS[1]: 0.62, PAIRS[2]: 0.2}


@pytest.mark.parametrize(
    ("agreeing", "said"),
    [
        ([], "No two witnesses are shown to agree beyond chance."),
        (
            PAIRS[1:2],
            "The answers and the hidden states strongly agree; the answers and the reasoning, and "
            "the reasoning and the hidden states, are not shown to agree beyond chance.",
        ),
        (
            PAIRS[:2],
            "The answers and the reasoning hardly agree; the answers and the hidden states "
            "strongly agree; the reasoning and the hidden states are not shown to agree beyond "
            "chance.",
        ),
        (
            PAIRS,
            "The answers and the reasoning hardly agree; the answers and the hidden states "
            "strongly agree; the reasoning and the hidden states weakly agree.",
        ),
    ],
)
def test_the_verdict_says_who_agrees_how_far_and_no_more(
    evidence: Evidence, agreeing: list[str], said: str
) -> None:
    table = with_p(evidence, agreeing).get("findings_agree").assign(high=0.9)
    pairs = table["subject"].isin(PAIRS)
    table.loc[pairs, "estimate"] = table.loc[pairs, "subject"].map(FAR)
    found = opening(of(evidence, findings_agree=table))
    assert found.verdict == said
    extents = {PAIRS[0]: "hardly", PAIRS[1]: "strongly", PAIRS[2]: "weakly"}
    told = {" × ".join(edge.ends): edge.extent for edge in found.edges}
    assert told == {pair: extents[pair] if pair in agreeing else "" for pair in PAIRS}


def vote(evidence: Evidence, low: float, high: float) -> Evidence:
    """The run as planted, but the majority's gain has this interval."""
    table = evidence.get("findings_vote").copy()
    gain = (table["subject"] == "majority") & (table["baseline"] == "single")
    table.loc[gain, ["estimate", "low", "high"]] = [(low + high) / 2, low, high]
    return of(evidence, findings_vote=table)


def test_the_majority_and_its_gain_are_said_with_what_the_interval_shows(
    evidence: Evidence,
) -> None:
    found = opening(vote(evidence, 0.02, 0.1)).voted
    assert found is not None
    assert found.verdict == (
        f"The majority vote is right on {found.accuracy.shown} of 11 questions, 6.0 points more "
        "than a single trace."
    )
    assert found.claim == "Beats a single trace."
    found = opening(vote(evidence, -0.02, 0.1)).voted
    assert found is not None
    assert found.verdict.endswith(f"; it is not shown to beat a single trace ({found.single}).")
    assert found.claim == "Not shown to beat a single trace: the interval includes 0."
    found = opening(vote(evidence, -0.1, -0.02)).voted
    assert found is not None
    assert found.verdict.endswith(", 6.0 points less than a single trace.")
    assert opening(of(evidence, findings_vote=pd.DataFrame())).voted is None


def test_what_was_not_measured_is_named_once_with_its_command(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "votes", "findings_vote", "probes"])
    found = opening(gather(run)).unmeasured
    commands = [item.command for item in found]
    assert len(set(commands)) == len(commands)
    by = {item.command: item for item in found}
    assert f"cot vote {run.path}" not in by
    assert by[f"cot curve {run.path}"].text == "There is no table curve yet."
    assert by[f"cot curve {run.path}"].absent == ("curve",)
    probe = by[f"cot probe {run.path}"]
    assert probe.text == "There is no table probe_scores yet."
    assert probe.absent == ()  # the section of probes is there
    said = [item.text for item in found if not item.sections]
    assert said == ["Not compared: answers, reasoning and hidden states."]


def test_what_the_agreement_left_out_is_in_the_list(evidence: Evidence) -> None:
    row = {"what": "logit lens", "why": "not made yet", "command": "cot lens RUN"}
    found = opening(of(evidence, agreement_missing=pd.DataFrame([row]))).unmeasured
    assert ("The agreement is without logit lens: not made yet.", "cot lens RUN") in [
        (item.text, item.command) for item in found
    ]


def test_a_low_p_with_an_interval_down_to_chance_is_nothing(evidence: Evidence) -> None:
    table = evidence.get("findings_agree").assign(low=-0.01, p=0.001)
    assert {e.state for e in opening(of(evidence, findings_agree=table)).edges} == {"nothing"}


def test_a_missing_witness_is_missing_and_names_its_commands(evidence: Evidence) -> None:
    table = evidence.get("findings_agree")
    bare = of(evidence, findings_agree=table[~table["subject"].str.contains("hidden")])
    found = opening(bare)
    assert [edge.state for edge in found.edges] == ["nothing", "missing", "missing"]
    assert found.without == ("hidden states",)
    path = evidence.run.path
    assert found.commands == (f"cot capture {path}", f"cot agree {path}")
    assert found.verdict.startswith("The answers and the reasoning are not shown to agree")
    undefined = table.assign(estimate=float("nan"), low=float("nan"), p=float("nan"))
    found = opening(of(evidence, findings_agree=undefined))
    assert {edge.state for edge in found.edges} == {"undefined"}
    assert found.verdict == "The witnesses could not be compared."


def test_right_for_the_wrong_reason_comes_first_and_names_its_questions(
    evidence: Evidence,
) -> None:
    first, *others = kind_panels(evidence)
    assert (first.kind, first.n, first.of) == (FIRST, 1, 12)
    assert [(case.id, case.n_reaching, case.n_checked) for case in first.cases] == [("q04", 5, 8)]
    (case,) = first.cases
    assert (case.n_stated, case.n_valid, case.tied) == (8, 8, False)
    assert case.equations == ((0, 0, "7 + 9 = 17", "16"),)
    unchecked = kind_panels(of(evidence, step_checks=pd.DataFrame()))[0].cases[0]
    assert unchecked.equations == ()
    assert "9 of 12 questions" in first.applies
    names = [panel.kind for panel in others]
    assert names == sorted(names, key=KINDS.index)
    controls = {panel.kind: panel.control for panel in others if panel.control}
    assert controls == {"decided before reasoning": (4, 12)}


def test_counts_of_kinds_are_the_tables_and_follow_from_the_questions(evidence: Evidence) -> None:
    table, counted = evidence.get("agreement"), evidence.get("agreement_kinds")
    known = table["decided_control"].dropna().astype(bool)
    for panel in kind_panels(evidence):
        marked = [panel.kind in list(kinds) for kinds in table["kinds"]]
        assert (panel.n, panel.of) == (sum(marked), len(table))
        chance = (int(known.sum()), len(known))
        assert panel.control == (chance if panel.kind == "decided before reasoning" else None)
    more = counted.assign(n=counted["n"] + 1, n_questions=40, n_applicable=30, n_control=0)
    first, *others = kind_panels(of(evidence, agreement_kinds=more))
    assert (first.n, first.of) == (2, 40)
    assert "30 of 40 questions" in first.applies
    assert [panel.kind for panel in others] == [kind for kind in KINDS if kind != FIRST]
    assert {panel.control for panel in others} == {None}
    assert kind_panels(of(evidence, agreement_kinds=pd.DataFrame())) == []


def test_without_any_the_first_panel_says_none_and_why(evidence: Evidence) -> None:
    table = evidence.get("agreement")
    alike = table.assign(kinds=[["unanimous"]] * len(table))
    changed = of(evidence, agreement=alike, agreement_kinds=kinds_table(alike, 0))
    first, other = kind_panels(changed)
    assert (first.kind, first.n, first.cases, other.kind) == (FIRST, 0, (), "unanimous")
    unknown = table.assign(correct=pd.array([None] * len(table), dtype="boolean"))
    assert "No question has gold" in kind_panels(of(evidence, agreement=unknown))[0].applies
    assert kind_panels(of(evidence, agreement=pd.DataFrame())) == []


def test_every_kind_has_its_rule_and_every_term_is_of_an_analysis() -> None:
    assert set(RULES) == set(KINDS)
    assert HALF == SPLIT == 0.5  # the rules say half
    assert {command for commands, _, _ in TERMS for command in commands} <= set(names())


def test_every_table_is_downloaded_and_described_and_every_section_reads_declared_ones(
    evidence: Evidence,
) -> None:
    declared = {table: each for each in analyses() for table in each.makes}
    assert set(evidence.makers) == set(declared)
    for each in registered():
        assert set(each.reads) <= set(declared), each.name
        assert set(each.downloads) <= {*declared, "questions"}, each.name
    for table in declared:
        assert evidence.command(table) == f"cot {declared[table].name} {evidence.run.path}"
    for call in provenance(evidence)[0]:
        assert all(table.holds for table in call.tables)


def test_raters_beside_the_majority(evidence: Evidence) -> None:
    found = raters(evidence)
    assert found is not None
    assert [row[0] for row in found.rows] == ["majority", "cluster", "checked", "probe", "lens"]
    assert found.rows[2][-2:] == ["1 of 2", "0"]
    assert found.claim.startswith("No rater is shown to beat the majority; lens is worse")
    assert "by chance" in found.claim
    assert found.kappas[0][0] == {"kappa": "–", "interval": ""}
    assert found.kappas[1][0] == found.kappas[0][1] == {"kappa": "0.75", "interval": "0.50 to 0.90"}
    table = evidence.get("agreement_raters")
    better = of(evidence, agreement_raters=table.assign(difference_low=0.01, difference_high=0.1))
    claim = raters(better).claim  # type: ignore[union-attr]
    assert claim.startswith("Cluster, checked, probe and lens beat the majority")
    nothing = of(evidence, agreement_raters=table.assign(n_questions=0))
    assert raters(nothing).claim.startswith("No question has gold")  # type: ignore[union-attr]
    assert raters(of(evidence, agreement_raters=pd.DataFrame())) is None


def test_packed_tables_are_what_export_writes(
    planted: Run, evidence: Evidence, tmp_path: Path
) -> None:
    files = {path.stem: path for path in export(planted, "csv", tmp_path)}
    found = pack(evidence)
    assert found.left_out == ()
    assert set(found.packed) == {"questions", *evidence.tables}
    for name, text in found.packed.items():
        assert gzip.decompress(base64.b64decode(text)) == files[name].read_bytes()


def test_past_the_budget_the_largest_tables_are_left_to_export(evidence: Evidence) -> None:
    found = pack(evidence, budget=5_000)
    assert "lens" in found.left_out
    assert sum(map(len, found.packed.values())) <= 5_000
    assert set(found.rows) == set(found.packed)
    assert found.command.startswith("cot export ")


def test_methods_are_of_what_ran(planted: Run, evidence: Evidence, tmp_path: Path) -> None:
    calls, _ = provenance(evidence)
    agree = next(call for call in calls if call.command == "cot agree")
    assert agree.parameters == ["seed = 0"]
    assert {"agreement_raters", "agreement_places"} <= {row.name for row in agree.tables}
    commands = [call.command for call in calls]
    assert commands.index("cot vote") < commands.index("cot lens") < commands.index("cot agree")
    assert "Three-way coefficient" in dict(glossary(evidence))
    bare = gather(planted_run(tmp_path / "run", tables=["answers"]))
    assert set(dict(glossary(bare))) == {"Interval"}


def test_the_page_opens_with_them_before_anything_else(report: Path) -> None:
    source = report.read_text(encoding="utf-8")
    body = source[source.index("<main>") :]
    places = [body.index(f'id="{name}"') for name in ("opening", "by-kind", "questions")]
    places += [body.index(f'id="{name}"') for name in ("findings", "raters", "methods")]
    assert places == sorted(places)
    assert body.index(FIRST) < body.index("probe against majority")
    assert "<code>cot agree" not in body[: body.index('id="by-kind"')]  # nothing is missing


def test_without_agreement_the_page_names_what_makes_it(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "votes"])
    source = write_report(run).read_text(encoding="utf-8")
    start = source[source.index('id="opening"') : source.index('id="questions"')]
    assert "The witnesses have not been compared." in start
    assert f"cot capture {run.path}" in start
    assert "by-kind" not in start
