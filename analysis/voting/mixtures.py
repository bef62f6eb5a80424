"""Mixtures of two components, fitted to each question's values: which of them are the low ones.

Expectation maximisation, for all questions at once: curves fit thousands of subsets. Values are
standardised within their question, so that neither their unit nor their scale matters. It starts
from the split of the sorted values in two with the least squares within (no draw, no seed), and the
likelihood never falls. A component narrower than `NARROWEST` of the question's standard deviation
would have a likelihood without bound at a single value, and so none gets narrower.

    >>> fit_two(np.array([0.1, 0.2, 0.1, 0.2, 5.1, 5.2, 5.1, 5.2]), np.zeros(8, int)).lower.round()
    array([1., 1., 1., 1., 0., 0., 0., 0.])

gaussian     log-density of the value itself
log_weibull  the exponential of the value has a Weibull distribution of shape k and scale exp(l):
             log k + k (x - l) - exp(k (x - l)). Fitted to logarithms, it is the same fit (densities
             differ by a factor that no parameter changes), where exp(-10000) would be 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NARROWEST", "Mixture", "fit_two", "gaussian", "log_weibull"]

Floats = NDArray[np.float64]
NARROWEST = 0.1
"""Least standard deviation of a component, as a share of that of all values of its question."""
ROUNDS = 300
"""Most rounds of expectation maximisation."""
ENOUGH = 1e-6
"""A round that raises a question's log-likelihood by less is its last."""
SHARE = 1e-3
"""Least share of a component: 0 could never be left again."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Two components of each question's values; arrays [value] are in the order given."""

    lower: Floats
    """Probability that the value is of the component with the lower mean; 0 where all are equal."""
    upper_mean: Floats
    """Mean of the other component, in the values' unit, of each value's question, [value]."""
    better: NDArray[np.bool_]
    """Whether two Gaussians have a lower BIC than one, of each value's question, [value]."""


Component = tuple[Floats, Floats]
"""Location and spread of one component, [row, 1]."""
Family = Callable[[Floats, Floats, Component | None], tuple[Component, Floats, Floats]]
"""Values [row, place], their weights, and the component as it was; gives the component as it is
now, its log-density at each value, and its mean [row, 1]."""


def gaussian(
    x: Floats, weights: Floats, before: Component | None
) -> tuple[Component, Floats, Floats]:
    """The weighted mean and standard deviation."""
    total = weights.sum(axis=1, keepdims=True)
    mean = (weights * x).sum(axis=1, keepdims=True) / total
    variance = (weights * (x - mean) ** 2).sum(axis=1, keepdims=True) / total
    spread = np.sqrt(np.maximum(variance, NARROWEST**2))
    log_density = -0.5 * ((x - mean) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
    return (mean, spread), log_density, mean


def log_weibull(
    x: Floats, weights: Floats, before: Component | None
) -> tuple[Component, Floats, Floats]:
    """Two steps of Newton's method to the weighted maximum likelihood of k = 1 / spread.

    k is the zero of m(k) - 1/k - (weighted mean of x), m the mean of x weighted by w exp(k x).
    """
    from scipy.special import gammaln

    least = NARROWEST * np.sqrt(6) / np.pi  # the standard deviation is pi / (sqrt(6) k)
    total = weights.sum(axis=1, keepdims=True)
    mean = (weights * x).sum(axis=1, keepdims=True) / total
    if before is None:
        variance = (weights * (x - mean) ** 2).sum(axis=1, keepdims=True) / total
        k = np.pi / np.sqrt(6 * np.maximum(variance, NARROWEST**2))
    else:
        k = 1 / before[1]
    for _ in range(2):
        tilted = weights * np.exp(k * (x - x.max(axis=1, keepdims=True)))
        tilted /= tilted.sum(axis=1, keepdims=True)
        first = (tilted * x).sum(axis=1, keepdims=True)
        slope = (tilted * (x - first) ** 2).sum(axis=1, keepdims=True) + 1 / k**2
        step = k - (first - 1 / k - mean) / slope
        k = np.clip(step, k / 2, np.minimum(2 * k, 1 / least))
    top = x.max(axis=1, keepdims=True)
    summed = (weights * np.exp(k * (x - top))).sum(axis=1, keepdims=True)
    location = top + np.log(summed / total) / k
    reduced = k * (x - location)
    log_density = np.log(k) + reduced - np.exp(np.minimum(reduced, 700.0))
    return (location, 1 / k), log_density, location + gammaln(1 + 1 / k)


def fit_two(
    values: Floats,
    question: NDArray[np.intp],
    family: Family = gaussian,
    least_share: float = SHARE,
) -> Mixture:
    """The mixture of each question's values.

    Args:
        values: finite, [value].
        question: code of each value's question, [value].
        family: `gaussian` or `log_weibull`.
        least_share: least share of a component.
    """
    if not len(values):
        empty = np.zeros(0)
        return Mixture(lower=empty, upper_mean=empty, better=np.zeros(0, dtype=np.bool_))
    row, place, sizes = _places(values, question)
    there = np.arange(sizes.max()) < sizes[:, None]
    raw = np.zeros(there.shape)
    raw[row, place] = values
    n = sizes[:, None].astype(float)
    mean = raw.sum(axis=1, keepdims=True) / n
    spread = np.sqrt((np.where(there, raw - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / n)
    # values that differ by rounding alone are equal
    differ = (spread > 1e-9 * np.maximum(np.abs(mean), 1e-300)).ravel()
    x = np.where(there, raw - mean, 0.0) / np.where(differ[:, None], spread, 1.0)
    low, log_likelihood, means = _maximise(x, there, family, least_share)
    is_first_lower = means[0] <= means[1]
    lower = np.where(is_first_lower, low, 1 - low)
    upper = np.where(is_first_lower, means[1], means[0]) * spread + mean
    one = -0.5 * n.ravel() * (np.log(2 * np.pi) + 1)  # standardised: variance 1
    # two means, two deviations and a share, against one mean and one deviation
    better = 5 * np.log(n.ravel()) - 2 * log_likelihood < 2 * np.log(n.ravel()) - 2 * one
    return Mixture(
        lower=np.where(differ[:, None], lower, 0.0)[row, place],
        upper_mean=upper.ravel()[row],
        better=(better & differ)[row],
    )


def _places(
    values: Floats, question: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row and place of each value, each question's ascending, and the values of each row."""
    row = np.unique(question, return_inverse=True)[1].ravel()
    sizes = np.bincount(row)
    order = np.lexsort((values, row))
    place = np.empty(len(values), dtype=np.intp)
    place[order] = np.arange(len(values)) - (np.cumsum(sizes) - sizes)[row[order]]
    return row, place, sizes


def _maximise(
    x: Floats, there: NDArray[np.bool_], family: Family, least_share: float
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Probability of the first component, log-likelihood of each row, and both means."""
    first = _split(x, there)
    low, log_likelihood = np.zeros(x.shape), np.full(len(x), -np.inf)
    means = np.zeros((len(x), 1)), np.zeros((len(x), 1))
    before: tuple[Component | None, Component | None] = (None, None)
    rows = np.arange(len(x))  # those that are not done
    for _ in range(ROUNDS):
        share = first.sum(axis=1, keepdims=True) / there.sum(axis=1, keepdims=True)
        share = np.clip(share, least_share, 1 - least_share)
        # a component that lost every value keeps a trace of all of them
        one, log_one, mean_one = family(x, np.where(there, first + 1e-12, 0.0), before[0])
        two, log_two, mean_two = family(x, np.where(there, 1 - first + 1e-12, 0.0), before[1])
        log_one, log_two = log_one + np.log(share), log_two + np.log(1 - share)
        both = np.logaddexp(log_one, log_two)
        first = np.where(there, np.exp(log_one - both), 0.0)
        now = np.where(there, both, 0.0).sum(axis=1)
        going = np.abs(now - log_likelihood[rows]) >= ENOUGH
        low[rows], log_likelihood[rows] = first, now
        means[0][rows], means[1][rows] = mean_one, mean_two
        if not going.any():
            break
        rows, x, there, first = rows[going], x[going], there[going], first[going]
        before = (one[0][going], one[1][going]), (two[0][going], two[1][going])
    return low, log_likelihood, means


def _split(x: Floats, there: NDArray[np.bool_]) -> Floats:
    """1 for the lower part of each row, ascending, under the split with the least squares within.

    The squares within are least where n1 n2 (mean2 - mean1)² is greatest.
    """
    n = there.sum(axis=1, keepdims=True)
    count = np.arange(1, x.shape[1] + 1)[None]
    sums = x.cumsum(axis=1)
    rest = np.maximum(n - count, 1)
    gap = (x.sum(axis=1, keepdims=True) - sums) / rest - sums / count
    between = np.where(count < n, count * rest * gap**2, -1.0)
    in_lower: NDArray[np.bool_] = there & (count <= between.argmax(axis=1)[:, None] + 1)
    return in_lower.astype(float)
