"""95% intervals by bootstrap over questions.

Traces of one question are not independent, so that every interval resamples *questions*: a draw
gives each question a count, and the statistic is computed with those counts as weights.

    >>> mean_interval([1.0, 0.0, 1.0, 1.0], seed=0)
    (0.25, 1.0)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DRAWS", "Interval", "mean_interval", "percentiles", "ratio_interval", "resample"]

DRAWS = 1000
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
    for row in counts:  # draw by draw: all at once would hold draws x questions twice, as int64
        drawn = generator.integers(n_questions, size=n_questions)
        row[:] = np.bincount(drawn, minlength=n_questions)
    counts.flags.writeable = False  # the cache hands out the same array again
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
    return percentiles(means)


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
    return percentiles((counts @ above)[sums > 0] / sums[sums > 0])


def percentiles(values: Floats) -> Interval:
    """The middle 95% of a statistic's draws; NaN without a draw."""
    if not len(values):
        return (np.nan, np.nan)
    low, high = np.quantile(values, [0.025, 0.975])
    return (float(low), float(high))
