"""TwoNN intrinsic dimension: how many directions the states spread in, seen from near.

The ratio of each point's distances to its second and its nearest neighbour follows a Pareto law
whose exponent is the dimension (Facco et al. 2017, doi 10.1038/s41598-017-11873-y): a line fitted
to their distribution, the largest tenth left out, by scikit-dimension. Over the run, never per
question: 20 points say nothing of a dimension; still, most nearest neighbours are traces of the
same question.

Traces whose states differ by no more than float16 rounds (the same tokens, run in two batches)
are one point: their tiny distances would be read as a dimension.

The interval is a bootstrap over questions of the points' two distances, with the neighbours as they
are in the whole run: drawing points beside themselves would make nearest neighbours at distance 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.statistics import resample
from cot.errors import InputError

__all__ = ["METHOD", "Dimension", "intrinsic_dimension", "need_skdim"]

METHOD = "TwoNN, linear fit, largest tenth of ratios left out"
ROUNDING = 2.0**-10
"""Twice float16's, relative to a vector's length: nearer vectors are the same."""
DRAWS = 100
FEWEST = 20
"""Distinct points; with fewer no dimension is given."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """Of one set of vectors."""

    dimension: float
    """NaN with fewer than `FEWEST` distinct points."""
    low: float
    """95% bootstrap interval over questions."""
    high: float
    """Likewise."""
    n: int
    """Distinct points."""
    n_duplicates: int
    """Vectors left out because they equal another, up to float16's rounding."""


def intrinsic_dimension(
    X: NDArray[np.floating], groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Dimension:
    """TwoNN dimension of vectors, shape [row, d].

    Args:
        X: at most a few thousand rows: all pairs are looked at.
        groups: each row's question, resampled for the interval, shape [row].
        draws: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        InputError: scikit-dimension is not installed.
    """
    need_skdim()
    if not len(X):
        return Dimension(dimension=np.nan, low=np.nan, high=np.nan, n=0, n_duplicates=0)
    distances, kept = _distinct(np.asarray(X, dtype=np.float64))
    counts = {"n": int(kept.sum()), "n_duplicates": int((~kept).sum())}
    if counts["n"] < FEWEST:
        return Dimension(dimension=np.nan, low=np.nan, high=np.nan, **counts)
    nearest = np.partition(distances, 1, axis=1)[:, :2]  # the two smallest, in order
    codes, unique = pd.factorize(np.asarray(groups)[kept])
    drawn = resample(len(unique), draws=draws, seed=seed)
    values = [_fit(np.repeat(nearest, weights[codes], axis=0)) for weights in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    return Dimension(dimension=_fit(nearest), low=float(low), high=float(high), **counts)


def need_skdim() -> None:
    """InputError where scikit-dimension is not installed."""
    try:
        import skdim  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the intrinsic dimension needs scikit-dimension ({error}): "
            "pip install 'consilience[interp]', or leave it out with --no-dimension"
        ) from None


def _distinct(X: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Distances among the distinct rows, a row's to itself being infinite, and which those are."""
    from sklearn.metrics.pairwise import euclidean_distances

    near = ROUNDING * np.linalg.norm(X, axis=1)
    # |x|² + |y|² - 2xy cancels where states share a large part: it is taken off first
    distances = euclidean_distances(X - X.mean(axis=0))
    same = distances <= np.maximum(near[:, None], near)
    kept = np.logical_not(np.tril(same, -1).any(axis=1))
    among = distances[np.ix_(kept, kept)]
    np.fill_diagonal(among, np.inf)
    return among, kept


def _fit(nearest: Floats) -> float:
    from skdim.id import TwoNN

    return float(TwoNN(dist=True).fit(nearest).dimension_)
