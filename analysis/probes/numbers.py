"""How well numbers are predicted: R², its interval, and Spearman's rank correlation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.statistics import resample

__all__ = ["r_squared", "r_squared_interval", "spearman"]


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
    centred = values - values.mean()
    columns = (np.ones_like(values), centred, centred**2, (values - guesses) ** 2)
    sums = np.stack([np.bincount(codes, column) for column in columns], axis=1)
    n, first, second, errors = (resample(len(sums), seed=seed) @ sums).T
    total = second - first**2 / n
    known = total > 1e-12 * second.max()
    low, high = np.quantile(1 - errors[known] / total[known], [0.025, 0.975])
    return (float(low), float(high))


def spearman(y: ArrayLike, predicted: ArrayLike) -> float:
    """Rank correlation; NaN where either never varies."""
    from scipy.stats import spearmanr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(spearmanr(y, predicted).statistic)
