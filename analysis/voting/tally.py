"""One tally for all rules: vote weights summed by question and answer, the heaviest answer wins.

Columnar, so that a million traces need no Python loop. Ties are declared, and broken in favour of
the class that holds the lowest sample_index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["TIE", "random_tie_accuracy", "tally"]

TIE = 1e-12
"""Vote weights closer than this share of the winner's are tied: sums differ by rounding."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Totals:
    """Weights by question and answer; a *class* is an answer of one question."""

    ids: Any
    """Question of each code."""
    answers: Any
    """Answer of each code."""
    question: Ints
    """Question code of each class, ascending, shape [class]."""
    answer: Ints
    """Answer code of each class, shape [class]."""
    weight: Floats
    """Summed weight of each class, shape [class]."""
    at_top: NDArray[np.bool_]
    """Whether no class of the question weighs more, shape [class]."""
    member: Ints
    """Class of each ballot, shape [ballot]."""
    total: Floats
    """Summed weight of each question, shape [question]."""


def tally(ballots: pd.DataFrame, weights: Floats) -> pd.DataFrame:
    """The outcome of each question.

    Args:
        ballots: valid ballots only: question_id, sample_index, answer.
        weights: one a ballot, finite and not negative, shape [ballot].

    Returns:
        One row a question that has a ballot, in order of appearance: question_id, answer, share,
        margin, tied, n_ballots. Where all weights are zero, they count as equal.

    Raises:
        ValueError: a weight that is negative or not finite.
    """
    sums = _totals(ballots, weights)
    n = len(sums.ids)
    first = np.full(len(sums.weight), np.iinfo(np.int64).max)
    np.minimum.at(first, sums.member, ballots["sample_index"].to_numpy(dtype=np.int64))
    # by question; then the heaviest; then the lowest sample_index: a question's winner comes first
    order = np.lexsort((first, ~sums.at_top, sums.question))
    winner = order[np.unique(sums.question[order], return_index=True)[1]]
    others = sums.weight.copy()
    others[winner] = 0.0  # what is left of a question is headed by its runner-up
    runner_up = np.zeros(n)
    np.maximum.at(runner_up, sums.question, others)
    tied = np.bincount(sums.question, sums.at_top, n) > 1
    best = sums.weight[winner]
    return pd.DataFrame(
        {
            "question_id": sums.ids,
            "answer": sums.answers[sums.answer[winner]],
            "share": best / sums.total,
            "margin": np.where(tied, 0.0, (best - runner_up) / sums.total),
            "tied": tied,
            "n_ballots": np.bincount(sums.question[sums.member], minlength=n),
        }
    )


def random_tie_accuracy(ballots: pd.DataFrame, weights: Floats) -> pd.Series:
    """Each question's expected accuracy with random tie-breaking, indexed by question_id.

    1 / (number tied) if the right answer is among the heaviest, else 0. `ballots` has `correct`.
    """
    sums = _totals(ballots, weights)
    right = np.zeros(len(sums.weight), dtype=bool)
    right[sums.member[ballots["correct"].to_numpy(dtype=bool)]] = True
    n = len(sums.ids)
    hit = np.bincount(sums.question, right & sums.at_top, n)
    return pd.Series(hit / np.bincount(sums.question, sums.at_top, n), index=sums.ids)


def _totals(ballots: pd.DataFrame, weights: Floats) -> _Totals:
    if len(weights) and not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("a vote's weights must be finite and not negative")
    question, ids = pd.factorize(ballots["question_id"])
    answer, answers = pd.factorize(ballots["answer"])
    total = np.bincount(question, weights, len(ids))
    weights = np.where(total[question] > 0, weights, 1.0)  # all zero: they count as equal
    n_answers = max(len(answers), 1)
    # one number for each (question, answer), so that one sort finds the classes
    classes, member = np.unique(question * np.int64(n_answers) + answer, return_inverse=True)
    weight: Floats = np.bincount(member, weights, len(classes)).astype(float)
    owner = classes // n_answers
    best = np.zeros(len(ids))
    np.maximum.at(best, owner, weight)
    return _Totals(
        ids=ids,
        answers=answers,
        question=owner,
        answer=classes % n_answers,
        weight=weight,
        at_top=weight >= best[owner] * (1 - TIE),
        member=member,
        total=np.bincount(question, weights, len(ids)).astype(float),
    )
