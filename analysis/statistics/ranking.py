"""AUROC: how well a score ranks positives above negatives, pooled and within questions.

>>> auroc([1, 1, 0, 0], [0.8, 0.5, 0.1, 0.5])
0.875
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.bootstrap import DRAWS, Interval, mean_interval, percentiles, resample

__all__ = [
    "auroc",
    "auroc_difference_interval",
    "auroc_draws",
    "auroc_interval",
    "auroc_of_counts",
    "auroc_per_question",
    "pairs_per_question",
    "within_question_auroc",
]

LEVELS = 4096
"""Distinct scores told apart in an AUROC's interval (not in its estimate); of more, neighbours are
merged into levels of equal size, which moves an AUROC by about 1e-4 at most."""
CELLS = 2**20
"""Numbers held at a time while draws are computed."""
Floats = NDArray[np.float64]


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting one half.

    A constant score gives 0.5. NaN without positives or without negatives.
    """
    y, level = _levels(labels, scores)
    size = int(level.max(initial=-1)) + 1
    # float64: products of counts pass 2**31 at 50,000 traces
    right, wrong = (np.bincount(level[mine], minlength=size).astype(float) for mine in (y, ~y))
    return float(auroc_of_counts(right[:, None], wrong[:, None])[0])


def auroc_interval(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """95% interval of the pooled AUROC over resampled questions (`groups`).

    Draws that hold one class only are left out. NaN where the AUROC itself is undefined.
    """
    values = auroc_draws(labels, scores, groups, draws=draws, seed=seed)
    return percentiles(values[~np.isnan(values)])


def auroc_difference_interval(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    groups: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """95% interval of AUROC(first) - AUROC(second) of the same rows, paired: both are computed of
    the same resampled questions. Draws are left out as in `auroc_interval`."""
    one, other = (
        auroc_draws(labels, scores, groups, draws=draws, seed=seed) for scores in (first, second)
    )
    values = one - other
    return percentiles(values[~np.isnan(values)])


def auroc_draws(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Floats:
    """The pooled AUROC over resampled questions, shape [draw]; NaN where one class is drawn."""
    from scipy.sparse import csr_matrix

    y, level = _levels(labels, scores)
    if not len(y):
        return np.full(draws, np.nan)
    sizes = np.bincount(level)
    if len(sizes) > LEVELS:  # neighbours share a level; equal scores always do
        level = ((np.cumsum(sizes) - sizes) * LEVELS // len(y))[level]
    codes, unique = pd.factorize(np.asarray(groups))
    shape = (int(level.max()) + 1, len(unique))
    # [level, question]: sparse, as a question has a few of the run's levels only
    right, wrong = (
        csr_matrix((np.ones(mine.sum(), np.float32), (level[mine], codes[mine])), shape)
        for mine in (y, ~y)
    )
    counts = resample(len(unique), draws=draws, seed=seed)
    chunk = max(1, CELLS // max(shape))  # draws at once: memory stays flat in their number
    values = np.empty(draws)
    for begin in range(0, draws, chunk):
        some = slice(begin, begin + chunk)
        weights = counts[some].T.astype(np.float32)  # whole numbers below 2**24 are exact
        values[some] = auroc_of_counts(
            (right @ weights).astype(float), (wrong @ weights).astype(float)
        )
    return values


def pairs_per_question(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> pd.DataFrame:
    """Each question's pairs of a positive and a negative, and its wins: those in which the positive
    scores higher, ties counting one half. Indexed by question; columns wins, pairs."""
    codes, names = pd.factorize(np.asarray(groups))
    score = np.asarray(scores, dtype=float)
    order = np.lexsort((score, codes))  # by question, then by score: ties are runs of neighbours
    code, score = codes[order], score[order]
    y = np.asarray(labels, dtype=float)[order]
    starts = np.ones(len(y), bool)
    starts[1:] = (code[1:] != code[:-1]) | (score[1:] != score[:-1])
    first = np.flatnonzero(starts)
    size = np.diff(np.append(first, len(y)))
    tie = np.cumsum(starts) - 1
    before = np.searchsorted(code, np.arange(len(names)))  # rows of earlier questions
    rank = (first + (size + 1) / 2)[tie] - before[code]  # ties: average rank
    positives, n = (np.bincount(code, each, len(names)) for each in (y, None))
    least = positives * (positives + 1) / 2  # their rank sum if they lost every pair (Mann-Whitney)
    wins = np.bincount(code, rank * y, len(names)) - least
    return pd.DataFrame({"wins": wins, "pairs": positives * (n - positives)}, index=names)


def auroc_per_question(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> pd.Series[Any]:
    """AUROC of each question that has both classes, indexed by question."""
    per = pairs_per_question(labels, scores, groups)
    values: pd.Series[Any] = (per["wins"] / per["pairs"])[per["pairs"] > 0]
    return values


def within_question_auroc(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float, float, int]:
    """Mean AUROC over questions with both classes, its 95% interval, and their number.

    Question difficulty cannot help here: a score that is constant within questions gives 0.5.
    """
    values = auroc_per_question(labels, scores, groups).to_numpy(dtype=float)
    if not len(values):
        return (np.nan, np.nan, np.nan, 0)
    low, high = mean_interval(values, draws=draws, seed=seed)
    return (float(values.mean()), low, high, len(values))


def _levels(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Labels as booleans, and each score's place among the distinct scores, from 0."""
    score = np.asarray(scores, dtype=float)
    if np.isnan(score).any():
        raise ValueError("a score is NaN: leave such traces out, and count them")
    return np.asarray(labels, dtype=bool), np.unique(score, return_inverse=True)[1]


def auroc_of_counts(positive: Floats, negative: Floats) -> Floats:
    """AUROC from the weight at each level, lowest first, shapes [level, draw] -> [draw]."""
    below = np.cumsum(negative, axis=0) - negative / 2  # ties count one half
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    values: Floats = np.full(len(pairs), np.nan)
    np.divide((positive * below).sum(axis=0), pairs, out=values, where=pairs > 0)
    return values
