"""Estimates and intervals over questions.

Traces of one question are not independent, so that every interval resamples *questions*: a draw
gives each question a multinomial count, and the statistic is computed with those counts as weights.

    >>> mean_interval([1.0, 0.0, 1.0, 1.0], seed=0)
    (0.25, 1.0)
"""

from __future__ import annotations

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
    "resample",
    "within_question_auroc",
]

DRAWS = 1000
Floats = NDArray[np.float64]
Interval = tuple[float, float]


def resample(n_questions: int, *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.int64]:
    """How often each question is drawn in each bootstrap sample, shape [draw, question]."""
    generator = np.random.default_rng(seed)
    chances = np.full(n_questions, 1 / n_questions)
    return generator.multinomial(n_questions, chances, size=draws)


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


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting one half.

    A constant score gives 0.5. NaN without positives or without negatives.
    """
    return float(_weighted_auroc(labels, scores, np.ones((1, np.size(np.asarray(labels)))))[0])


def auroc_interval(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """95% interval of the pooled AUROC over resampled questions (`groups`).

    Draws that hold one class only are left out. NaN where the AUROC itself is undefined.
    """
    codes, unique = pd.factorize(np.asarray(groups))
    counts = resample(len(unique), draws=draws, seed=seed)
    values = _weighted_auroc(labels, scores, counts[:, codes])
    return _percentiles(values[~np.isnan(values)])


def auroc_per_question(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> pd.Series[Any]:
    """AUROC of each question that has both classes, indexed by question."""
    frame = pd.DataFrame({"y": labels, "score": scores, "question": groups})
    frame["y"] = frame["y"].astype(float)
    frame["rank"] = frame.groupby("question", sort=False)["score"].rank()  # ties: average rank
    frame["rank"] *= frame["y"]
    per = frame.groupby("question", sort=False).agg(
        positives=("y", "sum"), n=("y", "size"), ranks=("rank", "sum")
    )
    negatives = per["n"] - per["positives"]
    pairs = per["positives"] * negatives
    wins = per["ranks"] - per["positives"] * (per["positives"] + 1) / 2
    values: pd.Series[Any] = (wins / pairs)[pairs > 0]
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


def _weighted_auroc(labels: ArrayLike, scores: ArrayLike, weights: NDArray[Any]) -> Floats:
    """AUROC under each row of integer weights, shape [draw, trace] -> [draw]."""
    y = np.asarray(labels, dtype=bool)
    score = np.asarray(scores, dtype=float)
    if np.isnan(score).any():
        raise ValueError("a score is NaN: leave such traces out, and count them")
    if not len(y):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    positive = np.add.reduceat(weights[:, order] * y[order], starts, axis=1).astype(float)
    negative = np.add.reduceat(weights[:, order] * ~y[order], starts, axis=1).astype(float)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    wins = (positive * (below + negative / 2)).sum(axis=1)
    values: Floats = np.full(len(pairs), np.nan)
    np.divide(wins, pairs, out=values, where=pairs > 0)
    return values


def _percentiles(values: Floats) -> Interval:
    if not len(values):
        return (np.nan, np.nan)
    low, high = np.quantile(values, [0.025, 0.975])
    return (float(low), float(high))
