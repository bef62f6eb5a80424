"""Metrics of predictions: AUROC of several labels (macro average), R², Spearman's correlation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.statistics import auroc, auroc_interval, resample, within_question_auroc

__all__ = [
    "macro_auroc",
    "macro_interval",
    "macro_within",
    "r_squared",
    "r_squared_interval",
    "spearman",
]

# -- AUROC of several labels, each against the rest ------------------------------------------------

Truths = Sequence[NDArray[np.bool_]]
Floats = NDArray[np.float64]


def macro_auroc(truths: Truths, scores: Floats) -> float:
    """Mean pooled AUROC; truths [label][row], scores [label, row]. NaN where one is undefined."""
    return float(np.mean([auroc(y, score) for y, score in zip(truths, scores, strict=True)]))


def macro_within(
    truths: Truths, scores: Floats, groups: ArrayLike, *, draws: int = 1000, seed: int = 0
) -> tuple[float, float, float, int]:
    """Mean within-question AUROC, its interval, and the number of questions it averages over.

    Of several labels: a question counts once for each label that some of its rows have and some
    have not; the interval resamples questions.
    """
    if len(truths) == 1:
        return within_question_auroc(truths[0], scores[0], groups, draws=draws, seed=seed)
    from analysis.statistics import auroc_per_question, ratio_interval

    each = [auroc_per_question(y, score, groups) for y, score in zip(truths, scores, strict=True)]
    per = pd.concat(each).groupby(level=0).agg(["sum", "size"])
    if per.empty:
        return (np.nan, np.nan, np.nan, 0)
    low, high = ratio_interval(per["sum"], per["size"], draws=draws, seed=seed)
    return (float(per["sum"].sum() / per["size"].sum()), low, high, len(per))


def macro_interval(
    truths: Truths, scores: Floats, groups: ArrayLike, *, seed: int = 0
) -> tuple[float, float]:
    """95% interval of `macro_auroc` over resampled questions.

    An AUROC is (won pairs) / (pairs); with W[p, q] the pairs of a positive of question p and a
    negative of question q that the positive wins, a draw with counts w has won w'Ww.
    """
    if len(truths) == 1:
        return auroc_interval(truths[0], scores[0], groups, seed=seed)
    codes, unique = pd.factorize(np.asarray(groups))
    n = len(unique)
    counts = resample(n, seed=seed).astype(float)
    values = np.zeros(len(counts))
    for y, score in zip(truths, scores, strict=True):
        positive, negative = (np.bincount(codes[mine], minlength=n) for mine in (y, ~y))
        pairs = (counts @ positive) * (counts @ negative)
        won = ((counts @ _wins(y, score, codes, n)) * counts).sum(axis=1)  # w'Ww of each draw
        # a draw without positives or without negatives has no AUROC: NaN, and left out below
        values += np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    known = values[~np.isnan(values)] / len(truths)
    if not len(known):
        return (np.nan, np.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return (float(low), float(high))


def _wins(y: NDArray[np.bool_], score: Floats, codes: NDArray[np.intp], n: int) -> Floats:
    won = np.zeros((n, n))
    for question in range(n):
        others = np.sort(score[~y & (codes == question)])
        beaten = np.searchsorted(others, score[y], "left") + np.searchsorted(
            others, score[y], "right"
        )
        # a tie is one half: once among those strictly below, once among those not above
        won[:, question] = np.bincount(codes[y], beaten / 2, minlength=n)
    return won


# -- numbers ---------------------------------------------------------------------------------------


def r_squared(y: ArrayLike, predicted: ArrayLike) -> float:
    """1 - (sum of squared errors) / (sum of squares around the mean); NaN where y never varies.

    Predicting the mean gives 0; held-out predictions may be worse than that, without bound.
    """
    values, guesses = np.asarray(y, dtype=float), np.asarray(predicted, dtype=float)
    total = np.square(values - values.mean()).sum() if len(values) else 0.0
    return float(1 - np.square(values - guesses).sum() / total) if total > 0 else float("nan")


def r_squared_interval(
    y: ArrayLike, predicted: ArrayLike, groups: Any, *, seed: int = 0
) -> tuple[float, float]:
    """95% interval of R² over resampled questions (`groups`); NaN where R² is undefined."""
    values, guesses = np.asarray(y, dtype=float), np.asarray(predicted, dtype=float)
    if np.isnan(r_squared(values, guesses)):
        return (np.nan, np.nan)
    codes = pd.factorize(np.asarray(groups))[0]
    # a draw's variance is E[y²] - E[y]²: taking the mean off first keeps it from cancelling
    centred = values - values.mean()
    columns = (np.ones_like(values), centred, centred**2, (values - guesses) ** 2)
    sums = np.stack([np.bincount(codes, column) for column in columns], axis=1)
    n, first, second, errors = (resample(len(sums), seed=seed) @ sums).T
    total = second - first**2 / n
    known = total > 1e-12 * second.max()  # draws of one value only; rounding leaves not quite 0
    low, high = np.quantile(1 - errors[known] / total[known], [0.025, 0.975])
    return (float(low), float(high))


def spearman(y: ArrayLike, predicted: ArrayLike) -> float:
    """Rank correlation; NaN where either never varies."""
    from scipy.stats import spearmanr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(spearmanr(y, predicted).statistic)
