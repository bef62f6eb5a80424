"""Estimates and intervals over questions.

Traces of one question are not independent, so that every interval resamples *questions*: a draw
gives each question a count, and the statistic is computed with those counts as weights.

    >>> mean_interval([1.0, 0.0, 1.0, 1.0], seed=0)
    (0.25, 1.0)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DRAWS",
    "auroc",
    "auroc_interval",
    "auroc_per_question",
    "mean_interval",
    "pairs_per_question",
    "ratio_interval",
    "resample",
    "within_question_auroc",
]

DRAWS = 1000
LEVELS = 4096
"""Distinct scores told apart in an AUROC's interval (not in its estimate); of more, neighbours are
merged into levels of equal size, which moves an AUROC by about 1e-4 at most."""
CELLS = 2**20
"""Numbers held at a time while draws are computed."""
Floats = NDArray[np.float64]
Interval = tuple[float, float]


def resample(n_questions: int, *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.int32]:
    """How often each question is drawn in each bootstrap sample, shape [draw, question].

    The array is read-only: a call with the same arguments soon after has it again.
    """
    return _resample(n_questions, draws, seed)


@lru_cache(maxsize=2)
def _resample(n_questions: int, draws: int, seed: int) -> NDArray[np.int32]:
    generator = np.random.default_rng(seed)
    counts = np.empty((draws, n_questions), dtype=np.int32)
    for row in counts:
        drawn = generator.integers(n_questions, size=n_questions)
        row[:] = np.bincount(drawn, minlength=n_questions)
    counts.flags.writeable = False
    return counts


def mean_interval(values: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """95% percentile interval of the mean of one value a question; NaN for no questions.

    For a paired comparison, give each question's difference.
    """
    given = np.asarray(values, dtype=float)
    if np.isnan(given).any():
        raise ValueError("leave out undefined values, and count them, before asking for a mean")
    if not len(given):
        return (np.nan, np.nan)
    means = resample(len(given), draws=draws, seed=seed) @ given / len(given)
    return _percentiles(means)


def ratio_interval(
    numerators: ArrayLike, denominators: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """95% percentile interval of a ratio of sums over questions, each shape [question].

    Draws whose denominators are all zero are left out.
    """
    above, below = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    if not len(below):
        return (np.nan, np.nan)
    counts = resample(len(below), draws=draws, seed=seed)
    sums = counts @ below
    return _percentiles((counts @ above)[sums > 0] / sums[sums > 0])


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting one half.

    A constant score gives 0.5. NaN without positives or without negatives.
    """
    y, level = _levels(labels, scores)
    size = int(level.max(initial=-1)) + 1
    right, wrong = (np.bincount(level[mine], minlength=size).astype(float) for mine in (y, ~y))
    return float(_auroc_of(right[:, None], wrong[:, None])[0])


def auroc_interval(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """95% interval of the pooled AUROC over resampled questions (`groups`).

    Draws that hold one class only are left out. NaN where the AUROC itself is undefined.
    """
    from scipy.sparse import csr_matrix

    y, level = _levels(labels, scores)
    if not len(y):
        return (np.nan, np.nan)
    sizes = np.bincount(level)
    if len(sizes) > LEVELS:
        level = ((np.cumsum(sizes) - sizes) * LEVELS // len(y))[level]
    codes, unique = pd.factorize(np.asarray(groups))
    shape = (int(level.max()) + 1, len(unique))
    right, wrong = (
        csr_matrix((np.ones(mine.sum(), np.float32), (level[mine], codes[mine])), shape)
        for mine in (y, ~y)
    )
    counts = resample(len(unique), draws=draws, seed=seed)
    chunk = max(1, CELLS // max(shape))
    values = np.empty(draws)
    for begin in range(0, draws, chunk):
        some = slice(begin, begin + chunk)
        weights = counts[some].T.astype(np.float32)  # whole numbers below 2**24 are exact
        values[some] = _auroc_of((right @ weights).astype(float), (wrong @ weights).astype(float))
    return _percentiles(values[~np.isnan(values)])


def pairs_per_question(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> pd.DataFrame:
    """Each question's pairs of a positive and a negative, and its wins: those in which the positive
    scores higher, ties counting one half. Indexed by question; columns wins, pairs."""
    codes, names = pd.factorize(np.asarray(groups))
    score = np.asarray(scores, dtype=float)
    order = np.lexsort((score, codes))
    code, score = codes[order], score[order]
    y = np.asarray(labels, dtype=float)[order]
    starts = np.ones(len(y), bool)
    starts[1:] = (code[1:] != code[:-1]) | (score[1:] != score[:-1])
    first = np.flatnonzero(starts)
    size = np.diff(np.append(first, len(y)))
    tie = np.cumsum(starts) - 1
    before = np.searchsorted(code, np.arange(len(names)))
    rank = (first + (size + 1) / 2)[tie] - before[code]  # ties: average rank
    positives, n = (np.bincount(code, each, len(names)) for each in (y, None))
    least = positives * (positives + 1) / 2
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


def _auroc_of(positive: Floats, negative: Floats) -> Floats:
    """AUROC from the weight at each level, lowest first, shapes [level, draw] -> [draw]."""
    below = np.cumsum(negative, axis=0) - negative / 2
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    values: Floats = np.full(len(pairs), np.nan)
    np.divide((positive * below).sum(axis=0), pairs, out=values, where=pairs > 0)
    return values


def _percentiles(values: Floats) -> Interval:
    if not len(values):
        return (np.nan, np.nan)
    low, high = np.quantile(values, [0.025, 0.975])
    return (float(low), float(high))
