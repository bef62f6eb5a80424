"""An interval from leaving out each question in turn, for what compares *pairs* of questions.

A bootstrap would draw a question beside itself, and a pair of equals is no pair. With θ_g the
estimate without question g of G: error² = (G − 1)/G Σ (θ_g − mean θ)² (Tukey; for U-statistics
Arvesen 1969); the interval is the estimate ± t_{G−1} error.

    >>> jackknife_interval(2.0, [2.5, 2.0, 1.5])  # of the mean of 1, 2, 3
    (-0.484..., 4.484...)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["jackknife_interval"]


def jackknife_interval(estimate: float, left_out: ArrayLike) -> tuple[float, float]:
    """95% interval; NaN with fewer than three questions, or where an estimate is undefined.

    Args:
        left_out: the estimate without each question, shape [question].
    """
    values = np.asarray(left_out, dtype=float)
    n = len(values)
    if n < 3 or not np.isfinite([estimate, *values]).all():
        return (np.nan, np.nan)
    from scipy.stats import t

    # t rather than normal quantiles: with few questions the error itself is uncertain
    error = np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum())
    reach = float(t.ppf(0.975, n - 1) * error)
    return (estimate - reach, estimate + reach)
