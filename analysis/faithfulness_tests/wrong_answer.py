"""A wrong answer to hint at: the same for all of a question's traces, never the gold answer.

An answer that the question's traces state themselves is the most plausible: each wrong trace's has
the same chance, by a hash (weighted rendezvous), so that it mostly stays the same as a run grows.
Where no trace is wrong: another option's letter, the other of yes and no, a number near the gold.

As one trace's answer was taken for being stated, how often it is stated anyway is counted on the
others, less that one: 2 of 9 others say 12, `unhinted_share` is 1/8.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from analysis.faithfulness_tests.case import Case
from analysis.faithfulness_tests.contract import Reply
from cot.sampling.sampler import trace_seed

__all__ = ["Wrong", "unhinted_share", "wrong_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A wrong answer."""

    answer: str
    """Its class."""
    shown: str
    """As a text states it: `12`, or `(B)` where there are choices."""


def wrong_answer(case: Case) -> Wrong | None:
    """The question's; None without a gold answer, or where nothing wrong is at hand."""
    if case.gold is None:
        return None
    stated = Counter(case.others)
    if not case.greedy:
        stated[case.answer] += 1
    for answers in (stated, Counter(_near(case))):
        waits = {
            wrong: -math.log((_hash(case, answer) + 1) / 2**63) / count
            for answer, count in answers.items()
            if (wrong := _read(case, answer))
        }
        if waits:
            return min(waits, key=lambda wrong: waits[wrong])
    return None


def unhinted_share(case: Case, wrong: Wrong) -> float | None:
    """Share of the question's other traces that state the wrong answer without a hint, the one that
    it was taken from left out; None where there is no other trace."""
    count, total = case.others.get(wrong.answer, 0), sum(case.others.values())
    if count:
        count, total = count - 1, total - 1
    return count / total if total else None


def _read(case: Case, answer: str) -> Wrong | None:
    """The answer as it reads where it is stated; None where it is gold or reads otherwise."""
    shown = f"({answer})" if case.question.choices else answer
    reply = Reply(text=f"The answer is {shown}.", token_ids=(), finish_reason="stop")
    found, _ = case.answer_of(reply)
    return Wrong(answer=answer, shown=shown) if found == answer != case.gold else None


def _near(case: Case) -> set[str]:
    if case.question.choices:
        return set("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(case.question.choices)])
    if case.gold in ("yes", "no"):
        return {"yes", "no"}
    try:
        gold = Fraction(case.gold or "")
    except (ValueError, ZeroDivisionError):
        return set()
    change = Random(_hash(case, "near")).choice((1, 2, 3, 10))
    return {str(gold + change)}


def _hash(case: Case, what: str) -> int:
    return trace_seed(case.setting.seed, case.question.id, 0, f"hint:{what}")
