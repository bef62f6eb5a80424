"""What a feature tells: within-question AUROC with false-discovery control, rates, reconstruction.

A trace's score is the mean of a feature's values over its states. Two-sided p-values are exact up
to the draws: labels are shuffled within questions, with the same shuffles for all features, and the
mean AUROC over questions is computed again. Benjamini & Hochberg 1995 gives q over a method's
features: where features with q ≤ 0.05 are called, 5 % of the calls are expected to be wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.state_features.contract import Dictionary
from analysis.statistics import auroc_per_question, within_question_auroc

__all__ = [
    "LEVEL",
    "MEASURED",
    "at_same_rank",
    "false_discovery",
    "furthest",
    "measure_features",
    "permutation_p",
    "trace_scores",
    "unexplained",
]

Floats = NDArray[np.float64]
LEVEL = 0.05
"""q up to which a feature is said to tell."""
PERMUTATIONS = 2000
MEASURED = ("within_question_auroc", "low", "high", "p", "q")


def trace_scores(values: Floats, traces: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Numbers of the traces, ascending, and the mean of their rows' values [trace, feature].

    >>> trace_scores(np.array([[1.0], [3.0], [5.0]]), np.array([7, 7, 9]))[1].tolist()
    [[2.0], [5.0]]
    """
    numbers, back = np.unique(traces, return_inverse=True)
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, back, values)
    return numbers, sums / np.bincount(back)[:, None]


def measure_features(
    scores: Floats, y: NDArray[np.bool_], groups: NDArray[Any], seed: int
) -> pd.DataFrame:
    """`MEASURED` and n_within of each feature, from scores [trace, feature]; NaN where no question
    has both labels.

    Args:
        y: each trace's label.
        groups: each trace's question.
    """
    rows = []
    for score in scores.T:
        value, low, high, n = within_question_auroc(y, score, groups, seed=seed)
        rows.append({"within_question_auroc": value, "low": low, "high": high, "n_within": n})
    table = pd.DataFrame(rows, columns=["within_question_auroc", "low", "high", "n_within"])
    p = permutation_p(scores, y, groups, seed)
    return table.assign(p=p, q=false_discovery(p))


def permutation_p(scores: Floats, y: NDArray[np.bool_], groups: NDArray[Any], seed: int) -> Floats:
    """Two-sided p of each feature's mean within-question AUROC, shape [feature]: the share of
    shuffles, the labels as they are among them, that move it as far from 0.5."""
    from scipy.stats import rankdata

    random = np.random.default_rng(seed)
    codes = pd.factorize(groups)[0]
    found = np.zeros((1 + PERMUTATIONS, scores.shape[1]))
    n = 0
    for code in range(codes.max(initial=-1) + 1):
        mine = codes == code
        own = y[mine]
        positives = int(own.sum())
        pairs = positives * (len(own) - positives)
        if not pairs:
            continue
        n += 1
        labels = np.tile(own, (1 + PERMUTATIONS, 1))
        labels[1:] = random.permuted(labels[1:], axis=1)
        # Mann-Whitney: wins are the positives' rank sum less the least that it could be
        ranks = rankdata(scores[mine], axis=0)
        found += (labels.astype(float) @ ranks - positives * (positives + 1) / 2) / pairs
    if not n:
        return np.full(scores.shape[1], np.nan)
    away = np.abs(found / n - 0.5)
    as_far: Floats = (away >= away[0] - 1e-12).mean(axis=0)
    return as_far


def false_discovery(p: Floats) -> Floats:
    """Benjamini & Hochberg's q of each p; NaN stays, and counts for nothing."""
    from scipy.stats import false_discovery_control

    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = false_discovery_control(p[known], method="bh")
    return q


def at_same_rank(own: Floats, other: Floats) -> Floats:
    """For each feature's AUROC the control's at the same rank by distance from 0.5, on the
    feature's side of it: of 16 features the best looks good by chance, and so does the best of 16
    random directions.

    >>> at_same_rank(np.array([0.9, 0.4]), np.array([0.55, 0.35])).round(2).tolist()
    [0.65, 0.45]
    """
    far = -np.sort(-np.abs(other - 0.5))
    rank = np.argsort(np.argsort(-np.abs(own - 0.5), kind="stable"), kind="stable")
    placed = np.full(len(own), np.nan)
    there = (rank < len(far)) & ~np.isnan(own)
    placed[there] = 0.5 + np.where(own[there] < 0.5, -1.0, 1.0) * far[rank[there]]
    return placed


def unexplained(made: Dictionary, vectors: NDArray[np.floating], questions: Any) -> pd.Series[Any]:
    """Of each question's states, the share of the squared norm that is not reconstructed."""
    x = vectors.astype(np.float64)
    left = np.square(x - made.decode(made.encode(x))).sum(axis=1)
    sums = pd.DataFrame({"left": left, "all": np.square(x).sum(axis=1)}).groupby(
        np.asarray(questions)
    )
    total = sums.sum()
    share: pd.Series[Any] = (total["left"] / total["all"])[total["all"] > 0]
    return share


def furthest(scores: Floats, y: NDArray[np.bool_], groups: NDArray[Any]) -> tuple[int, int] | None:
    """The feature whose within-question AUROC is furthest from 0.5, and the sign (1 or -1) with
    which it predicts the label; None where none is defined.

    Args:
        scores: shape [trace, feature], of training questions: what is chosen here is tested on
            others.
    """
    found = [float(auroc_per_question(y, score, groups).mean()) for score in scores.T]
    if not len(y) or not found or np.isnan(found).all():
        return None
    best = int(np.nanargmax(np.abs(np.array(found) - 0.5)))
    return best, 1 if found[best] >= 0.5 else -1
