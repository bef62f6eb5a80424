"""Questions by kind: a panel each, with its rule in plain words, its count and what chance gives.

What people come for, questions that are right for the wrong reason, comes first, even where there
are none; it names its questions with what speaks against each. The counts are those of the table
`agreement_kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.agreement.question_kinds import KINDS
from analysis.figures.text import count, shorten, text
from analysis.page.evidence import Evidence

__all__ = ["FIRST", "RULES", "Case", "Panel", "false_equations", "kind_panels"]

FIRST = "right for the wrong reason"
RULES = {
    "no valid answer": "No trace states an answer that can be read.",
    FIRST: "The majority's answer is correct, but of the traces behind it that can be checked, at "
    "least half take it from a false equation that they never correct.",
    "probe against majority": "Weighted by a probe of the hidden states, the votes choose another "
    "answer than the majority.",
    "lens against statement": "More than half of the traces state another answer than the last "
    "layer holds most probable right before it is written.",
    "decided before reasoning": "More than half of the traces state the answer that the last layer "
    "already holds most probable at the end of the prompt.",
    "same answer, different reasoning": "Of two traces with the winning answer, more often than "
    "not each takes its own path.",
    "same reasoning, different answer": "Of two traces on one path, more often than not each ends "
    "in its own answer.",
    "split answers": "The winning answer holds at most half of the valid answers.",
    "unanimous": "All valid answers are the same, and so is the path to them.",
}
"""Kind to its rule in `analysis.agreement.question_kinds`, where an equation is the only reasoning
that can be checked."""
MOST_CASES = 12
"""Questions that a panel names; the others are in the table."""
MOST_EQUATIONS = 2
"""False equations that a panel quotes of one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question that is right for the wrong reason."""

    id: str
    """Its id."""
    text: str
    """What it asks, shortened."""
    answer: str
    """The majority's answer, which is right."""
    n_reaching: int | None
    """Of the majority's traces, those whose answer comes from a false equation."""
    n_checked: int | None
    """Of the majority's traces, those that state an equation that can be checked."""
    n_stated: int
    """Traces that state the majority's answer."""
    n_valid: int
    """Traces that state any."""
    tied: bool
    """As many traces state another answer."""
    equations: tuple[tuple[int, int, str, str], ...]
    """First false equations that the majority's answer comes from, no two alike, at most
    MOST_EQUATIONS: sample index, place among the trace's equations, equation, and what its left
    side comes to (empty where unknown)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One kind of question."""

    kind: str
    """As in `KINDS`."""
    rule: str
    """When a question is of this kind, in plain words."""
    n: int
    """Questions of this kind."""
    of: int
    """Questions compared."""
    applies: str
    """To how many questions the rule can apply at all, in words; empty where to all."""
    control: tuple[int, int] | None
    """How many questions would be of this kind by chance, and of how many; None where unknown."""
    cases: tuple[Case, ...]
    """Its first questions, most suspicious first, for the kind that names them."""

    @property
    def explained(self) -> bool:
        """Chance gives as many."""
        return self.control is not None and self.n / self.of <= self.control[0] / self.control[1]

    @property
    def slug(self) -> str:
        """Name for the page's anchors."""
        return self.kind.replace(",", "").replace(" ", "-")


def kind_panels(evidence: Evidence) -> list[Panel]:
    """Right for the wrong reason, then every kind that has questions, in the order of KINDS; none
    without the tables `agreement` and `agreement_kinds`."""
    table, counted = evidence.get("agreement"), evidence.get("agreement_kinds")
    if not len(table) or not len(counted):
        return []
    counts = {str(row["kind"]): row for row in counted.to_dict("records")}
    order = [FIRST, *(kind for kind in KINDS if kind != FIRST and counts[kind]["n"])]
    of_first = table["kinds"].map(lambda kinds: FIRST in list(kinds)).astype(bool)
    return [
        Panel(
            kind=kind,
            rule=RULES[kind],
            n=int(counts[kind]["n"]),
            of=int(counts[kind]["n_questions"]),
            applies=_applies(counts[kind], table) if kind == FIRST else "",
            control=_control(counts[kind]),
            cases=_cases(evidence, table[of_first]) if kind == FIRST else (),
        )
        for kind in order
    ]


def _applies(counts: Mapping[Any, Any], table: pd.DataFrame) -> str:
    if table["correct"].isna().all():
        return "No question has gold, so that none can be told to be right."
    return (
        f"It can be told of {counts['n_applicable']} of {counts['n_questions']} questions: those "
        "whose majority is right and has a trace with an equation that can be checked."
    )


def _control(counts: Mapping[Any, Any]) -> tuple[int, int] | None:
    n = int(counts["n_control"])
    return (int(counts["n_by_chance"]), n) if n else None


def _cases(evidence: Evidence, rows: pd.DataFrame) -> tuple[Case, ...]:
    asked = dict(zip(evidence.questions["question_id"], evidence.questions["text"], strict=True))
    first = rows.sort_values("suspicion", ascending=False, kind="stable").head(MOST_CASES)
    return tuple(_case(evidence, row, asked) for row in first.to_dict("records"))


def _case(evidence: Evidence, row: dict[Any, Any], asked: dict[Any, Any]) -> Case:
    answers = evidence.get("answers")
    valid = answers[(answers["question_id"] == row["question_id"]) & answers["answer"].notna()]
    chosen = valid[valid["answer"] == row["answer"]]
    return Case(
        id=str(row["question_id"]),
        text=shorten(str(asked.get(row["question_id"], "")), 220),
        answer=text(row.get("answer")) or "–",
        n_reaching=count(row.get("n_reaching")),
        n_checked=count(row.get("n_checked")),
        n_stated=len(chosen),
        n_valid=len(valid),
        tied=bool((valid["answer"].value_counts() == len(chosen)).sum() > 1),
        equations=_false_equations(evidence, chosen),
    )


def _false_equations(
    evidence: Evidence, traces: pd.DataFrame
) -> tuple[tuple[int, int, str, str], ...]:
    wrong = false_equations(evidence)
    if not len(wrong):
        return ()
    own = wrong.merge(traces[["question_id", "sample_index"]]).drop_duplicates("sample_index")
    return tuple(
        (
            int(row["sample_index"]),
            int(row["equation"]),
            shorten(str(row["text"]), 60),
            text(row["value"]) or "",
        )
        for row in own.drop_duplicates("text").head(MOST_EQUATIONS).to_dict("records")
    )


def false_equations(evidence: Evidence) -> pd.DataFrame:
    """The false equations that answers come from, of all traces: question_id, sample_index,
    equation (its place among those of its trace that can be checked, from 0), text, value; empty
    without the table."""
    checks = evidence.get("step_checks")
    if not len(checks):
        return pd.DataFrame()
    known = checks[checks["verdict"] != "uncheckable"].sort_values("start", kind="stable")
    keys = ["question_id", "sample_index"]
    known = known.assign(equation=known.groupby(keys).cumcount())
    reaching = known[known["reaches_answer"].fillna(False)]
    wrong = reaching.sort_values([*keys, "start"], kind="stable")
    return wrong[[*keys, "equation", "text", "value"]]
