"""One tally for all rules: weights summed by question and answer, the heaviest answer wins.

Columnar, so that a million traces need no Python loop. Ties are declared, and broken in favour of
the class that holds the lowest sample_index.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["TIE", "tally"]

TIE = 1e-12
"""Weights closer than this share of the winner's are tied."""


def tally(ballots: pd.DataFrame, weights: NDArray[np.float64]) -> pd.DataFrame:
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
    if len(weights) and not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("a vote's weights must be finite and not negative")
    question, ids = pd.factorize(ballots["question_id"])
    answer, classes = pd.factorize(ballots["answer"])
    total = np.bincount(question, weights, len(ids))
    weights = np.where(total[question] > 0, weights, 1.0)
    total = np.bincount(question, weights, len(ids))

    pair, members = np.unique(question * np.int64(len(classes)) + answer, return_inverse=True)
    weight = np.bincount(members, weights, len(pair))
    first = np.full(len(pair), np.iinfo(np.int64).max)
    np.minimum.at(first, members, ballots["sample_index"].to_numpy(dtype=np.int64))
    owner = pair // max(len(classes), 1)

    best = np.zeros(len(ids))
    np.maximum.at(best, owner, weight)
    at_top = weight >= best[owner] * (1 - TIE)
    order = np.lexsort((first, ~at_top, owner))  # a question's winner comes first
    winner = order[np.unique(owner[order], return_index=True)[1]] if len(pair) else order
    others = weight.copy()
    others[winner] = 0.0
    runner_up = np.zeros(len(ids))
    np.maximum.at(runner_up, owner, others)
    tied = np.bincount(owner, at_top, len(ids)) > 1
    return pd.DataFrame(
        {
            "question_id": ids,
            "answer": classes[pair[winner] % max(len(classes), 1)],
            "share": weight[winner] / total,
            "margin": np.where(tied, 0.0, (weight[winner] - runner_up) / total),
            "tied": tied,
            "n_ballots": np.bincount(question, minlength=len(ids)),
        }
    )
