"""Who names which answer of a question: every vote rule that was asked for, and every rater."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.figures.text import flag, number, text
from analysis.page.evidence import Evidence

__all__ = ["Ballot", "read_ballots"]

RATER = "_vote"
"""How columns of `agreement` that hold a rater's answer end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The answer that a vote rule or a rater names."""

    name: str
    """The rule or the rater."""
    rater: bool
    """Whether it is a rater; else a vote rule."""
    answer: str | None
    """The answer; None: it abstains."""
    right: bool | None
    """Whether the answer is right; None without gold or an answer."""
    share: float | None
    """The answer's share of the rule's votes; None for raters."""
    tied: bool | None
    """Whether another answer has the same share; None for raters."""


def read_ballots(evidence: Evidence) -> dict[str, list[Ballot]]:
    """By question, one a rule or rater. A rater that votes by a rule which was asked for too is
    left out."""
    found: dict[str, list[Ballot]] = {}
    rules = evidence.get("votes")
    for row in rules.to_dict("records"):
        found.setdefault(str(row["question_id"]), []).append(
            Ballot(
                name=str(row["rule"]),
                rater=False,
                answer=text(row["answer"]),
                right=flag(row["correct"]) if pd.notna(row["answer"]) else None,
                share=number(row["share"]),
                tied=flag(row["tied"]),
            )
        )
    agreement = evidence.get("agreement")
    asked = set(rules["rule"]) if len(rules) else set()
    raters = [name for name in agreement if str(name).endswith(RATER)]
    raters = [name for name in raters if name.removesuffix(RATER) not in asked]
    if raters:
        right = _verdicts(evidence.get("answers"))
        for row in agreement[["question_id", *raters]].to_dict("records"):
            key = str(row["question_id"])
            for name in raters:
                answer = text(row[name])
                found.setdefault(key, []).append(
                    Ballot(
                        name=name.removesuffix(RATER),
                        rater=True,
                        answer=answer,
                        right=right.get((key, answer)),
                        share=None,
                        tied=None,
                    )
                )
    return found


def _verdicts(answers: pd.DataFrame) -> dict[tuple[str, str | None], bool | None]:
    """Whether each answer class of a question is right."""
    if answers.empty:
        return {}
    classes = answers.dropna(subset=["answer"]).drop_duplicates(["question_id", "answer"])
    names = ["question_id", "answer", "correct"]
    return {(str(q), str(a)): flag(right) for q, a, right in classes[names].itertuples(index=False)}
