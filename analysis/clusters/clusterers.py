"""Clusters of one question's traces: average linkage on cosine distance, cut at one threshold.

The threshold is one for the whole run, so that a question whose traces all lie under it has one
path, which a silhouette per question could never say. `fit_threshold` picks the one with the
largest mean silhouette (Rousseeuw 1987) over all traces, where a trace alone in its cluster, or in
a question of one cluster, counts 0.

`HdbscanClusterer`, `KMeansClusterer` or any clusterer of scikit-learn may take its place:

    >>> X = np.array([[0.0, 1], [1, 0], [0, 2], [3, 0]])
    >>> label_rows(AverageLinkage(threshold=0.5), X).tolist()
    [0, 1, 0, 1]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cot.errors import InputError

__all__ = [
    "AverageLinkage",
    "Clusterer",
    "HdbscanClusterer",
    "KMeansClusterer",
    "cosine_distances",
    "fit_threshold",
    "label_rows",
    "silhouettes",
]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
CANDIDATES = 50
"""Thresholds that `fit_threshold` tries: just above quantiles of all merge heights of the run."""
MAX_CELLS = 4_000_000
"""Numbers that `fit_threshold` holds at a time, of shape [threshold, trace, cluster]."""


class Clusterer(Protocol):
    """What groups a question's traces; scikit-learn's clusterers are such."""

    def fit_predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        """Labels of the rows of X, shape [trace, d] -> [trace]; -1 is noise."""


def label_rows(clusterer: Clusterer, X: NDArray[np.floating]) -> Labels:
    """A clusterer's labels, numbered by first appearance; noise stays -1.

    It sees unit rows (zero rows stay zero) in an order that depends on their content alone, so that
    the partition does not depend on the order given. No rows have no labels, and equal rows (a
    single one too) are one cluster: it is not asked.

    Raises:
        InputError: it does not take these rows (fewer than the clusters it wants, say).
    """

    def fit(rows: NDArray[np.floating]) -> NDArray[np.integer]:
        try:
            return clusterer.fit_predict(_unit(rows))
        except ValueError as error:
            name = type(clusterer).__name__
            raise InputError(f"{name} on {len(rows)} traces of a question: {error}") from error

    return _in_order(X, fit)


class AverageLinkage:
    """Average linkage, cut at the cosine distance `threshold`."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def fit_predict(self, X: NDArray[np.floating]) -> Labels:
        """Labels of the rows of X, shape [trace, d] -> [trace], numbered by first appearance."""
        return _in_order(X, self._fit)

    def _fit(self, X: NDArray[np.floating]) -> Labels:
        from scipy.cluster.hierarchy import fcluster

        labels: Labels = fcluster(_link(cosine_distances(X)), self.threshold, "distance")
        return labels


class HdbscanClusterer:
    """HDBSCAN (Campello et al. 2013) on cosine distance: dense groups, and -1 for what is in none.

    Fewer traces than `min_cluster_size` that are not all equal are noise.
    """

    def __init__(self, min_cluster_size: int = 3, allow_single_cluster: bool = False) -> None:
        if min_cluster_size < 2:
            raise InputError(f"hdbscan: min_cluster_size is {min_cluster_size}: at least 2")
        self.min_cluster_size = min_cluster_size
        self.allow_single_cluster = allow_single_cluster

    def fit_predict(self, X: NDArray[np.floating]) -> Labels:
        """Labels of the rows of X, shape [trace, d] -> [trace], numbered by first appearance."""
        return _in_order(X, self._fit)

    def _fit(self, X: NDArray[np.floating]) -> Labels:
        from sklearn.cluster import HDBSCAN

        if len(X) < self.min_cluster_size:
            return np.full(len(X), -1)
        model = HDBSCAN(
            min_cluster_size=self.min_cluster_size,
            allow_single_cluster=self.allow_single_cluster,
            metric="precomputed",
            copy=True,
        )
        labels: Labels = model.fit_predict(cosine_distances(X))
        return labels


class KMeansClusterer:
    """k-means on unit vectors; without `k`, the k ≤ `most` with the largest mean silhouette.

    One cluster where no k has a silhouette above 0. At most as many clusters as distinct rows.
    """

    def __init__(self, k: int | None = None, most: int = 8, seed: int = 0) -> None:
        if (k is not None and k < 1) or most < 1:
            raise InputError(f"kmeans: k is {k} and most is {most}: at least 1")
        self.k = k
        self.most = most
        self.seed = seed

    def fit_predict(self, X: NDArray[np.floating]) -> Labels:
        """Labels of the rows of X, shape [trace, d] -> [trace], numbered by first appearance."""
        return _in_order(X, self._fit)

    def _fit(self, X: NDArray[np.floating]) -> Labels:
        from sklearn.cluster import KMeans

        unit, which, counts = np.unique(
            _unit(X).round(6), axis=0, return_inverse=True, return_counts=True
        )
        which = which.reshape(-1)

        def split(k: int) -> Labels:
            model = KMeans(k, n_init=4, random_state=self.seed)
            labels: Labels = model.fit_predict(unit, sample_weight=counts)[which]
            return labels

        if self.k is not None:
            return split(min(self.k, len(unit)))
        best, labels = 0.0, np.zeros(len(X), dtype=np.int64)
        distances = cosine_distances(X)
        for k in range(2, min(self.most, len(unit)) + 1):
            other = split(k)
            if (score := silhouettes(distances, other).mean()) > best + 1e-9:
                best, labels = score, other
        return labels


def cosine_distances(X: NDArray[np.floating]) -> Floats:
    """1 - cosine, in [0, 2], shape [trace, trace]; a zero row is at 1 from all but zero rows."""
    unit = _unit(X)
    distances = np.clip(1 - unit @ unit.T, 0, 2)
    zero = ~unit.any(axis=1)
    distances[np.ix_(zero, zero)] = 0
    np.fill_diagonal(distances, 0)
    distances[distances < 1e-6] = 0  # equal vectors, up to rounding
    symmetric: Floats = (distances + distances.T) / 2
    return symmetric


def fit_threshold(distances: Sequence[Floats]) -> float:
    """The threshold that serves all questions best; it lies between two merge heights of the run.

    Args:
        distances: one square matrix a question.
    """
    links = [_link(matrix) for matrix in distances]
    heights = np.concatenate([link[:, 2] for link in links]) if links else np.zeros(0)
    heights = np.sort(heights[heights > 0])
    if not len(heights):
        return 1e-6  # all traces of a question are alike, at any threshold
    levels = np.unique(heights.round(9))
    next_up = np.append(levels[1:], levels[-1] + 1e-3)
    chosen = np.quantile(heights, np.linspace(0, 1, CANDIDATES), method="lower").round(9)
    places = np.unique(np.searchsorted(levels, chosen))
    candidates = (levels[places] + next_up[places]) / 2
    scores = np.zeros(len(candidates))
    for matrix, link in zip(distances, links, strict=True):
        scores += _mean_silhouettes(matrix, link, candidates) * len(matrix)
    return float(candidates[int(np.argmax(scores))])


def _mean_silhouettes(matrix: Floats, link: Floats, thresholds: Floats) -> Floats:
    """Of one question's traces, cut at each threshold; shape [threshold]."""
    n = len(matrix)
    if n < 3:
        return np.zeros(len(thresholds))
    merges, which = np.unique(
        np.searchsorted(link[:, 2], thresholds, side="right"), return_inverse=True
    )
    labels = _levels(link, n)[merges]
    step = max(1, MAX_CELLS // n**2)
    parts = [
        silhouettes(matrix, labels[begin : begin + step]).mean(axis=1)
        for begin in range(0, len(labels), step)
    ]
    means: Floats = np.concatenate(parts)[which]
    return means


def _levels(link: Floats, n: int) -> Labels:
    """Labels after 0, 1, ... merges, shape [merge, trace]: each cluster's least row."""
    labels = np.tile(np.arange(n), (n, 1))
    least = list(range(n))
    for merge, (left, right) in enumerate(link[:, :2].astype(int).tolist()):
        low, high = sorted((least[left], least[right]))
        least.append(low)
        labels[merge + 1] = np.where(labels[merge] == high, low, labels[merge])
    return labels


def silhouettes(distances: Floats, labels: Labels) -> Floats:
    """Silhouette of each trace in [-1, 1]; 0 for noise, and for a trace alone or where there is one
    cluster.

    Args:
        distances: shape [trace, trace].
        labels: shape [trace], or [partition, trace] for many partitions at once; -1 is noise.
    """
    if labels.ndim == 1:
        single: Floats = silhouettes(distances, labels[None])[0]
        return single
    clusters = np.arange(labels.max(initial=-1) + 1)
    members = (labels[:, :, None] == clusters).astype(float)
    sizes = members.sum(axis=1)
    sums = distances @ members
    own = (members * sizes[:, None]).sum(axis=2)
    inside = (members * sums).sum(axis=2) / np.maximum(own - 1, 1)
    means = sums / np.maximum(sizes, 1)[:, None]
    means[(members > 0) | (sizes == 0)[:, None]] = np.inf
    outside = means.min(axis=2, initial=np.inf)
    known = (own > 1) & np.isfinite(outside)
    outside = np.where(known, outside, 0)
    larger = np.maximum(inside, outside)
    values: Floats = np.zeros(labels.shape)
    np.divide(outside - inside, larger, out=values, where=known & (larger > 0))
    return values


def _in_order(
    X: NDArray[np.floating], fit: Callable[[NDArray[np.floating]], NDArray[np.integer]]
) -> Labels:
    """Labels by `fit`, which sees the rows sorted by content; numbered by first appearance."""
    order = sorted(range(len(X)), key=[row.tobytes() for row in X].__getitem__)
    X = X[order]
    labels = np.zeros(len(X), dtype=np.int64)
    if len(X) and cosine_distances(X).any():
        labels[order] = fit(X)
    numbered: Labels = labels.copy()
    numbered[labels >= 0] = pd.factorize(labels[labels >= 0])[0]
    return numbered


def _unit(X: NDArray[np.floating]) -> Floats:
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    unit: Floats = np.divide(X, norms, out=np.zeros(X.shape, dtype=float), where=norms > 0)
    return unit


def _link(distances: Floats) -> Floats:
    from scipy.cluster.hierarchy import average
    from scipy.spatial.distance import squareform

    if len(distances) < 2:
        return np.zeros((0, 4))
    linked: Floats = average(squareform(distances, checks=False))
    return linked
