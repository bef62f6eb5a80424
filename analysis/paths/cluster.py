"""Clusters of one question's traces: average linkage on cosine distance, cut at one threshold.

The threshold is one for the whole run, so that a question whose traces all lie under it has one
path, which a silhouette per question could never say. `fit_threshold` picks the one with the
largest mean silhouette (Rousseeuw 1987) over all traces, where a trace alone in its cluster, or in
a question of one cluster, counts 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["AverageLinkage", "cosine_distances", "fit_threshold", "silhouettes"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
CANDIDATES = 50
"""Thresholds that `fit_threshold` tries: quantiles of all merge heights of the run."""


class AverageLinkage:
    """Clusterer: `fit_predict(X)` -> labels, numbered by first appearance."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def fit_predict(self, X: NDArray[np.floating]) -> Labels:
        """Labels of the rows of X, shape [trace, d] -> [trace]."""
        return _cut(_link(cosine_distances(X)), self.threshold, len(X))


def cosine_distances(X: NDArray[np.floating]) -> Floats:
    """1 - cosine, in [0, 2], shape [trace, trace]; a zero row is at 1 from all but zero rows."""
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    unit = np.divide(X, norms, out=np.zeros(X.shape, dtype=float), where=norms > 0)
    distances = np.clip(1 - unit @ unit.T, 0, 2)
    zero = norms[:, 0] == 0
    distances[np.ix_(zero, zero)] = 0
    np.fill_diagonal(distances, 0)
    distances[distances < 1e-6] = 0  # equal vectors, up to rounding
    symmetric: Floats = (distances + distances.T) / 2
    return symmetric


def fit_threshold(distances: Sequence[Floats]) -> float:
    """The threshold that serves all questions best.

    Args:
        distances: one square matrix a question.
    """
    links = [_link(matrix) for matrix in distances]
    heights = np.concatenate([link[:, 2] for link in links]) if links else np.zeros(0)
    if not (heights > 0).any():
        return 1e-6  # all traces of a question are alike, at any threshold
    candidates = np.unique(np.quantile(heights[heights > 0], np.linspace(0, 1, CANDIDATES)))
    scores = [
        sum(
            silhouettes(matrix, _cut(link, threshold, len(matrix))).sum()
            for matrix, link in zip(distances, links, strict=True)
        )
        for threshold in candidates
    ]
    return float(candidates[int(np.argmax(scores))])


def silhouettes(distances: Floats, labels: Labels) -> Floats:
    """Silhouette of each trace in [-1, 1]; 0 for a trace alone or where there is one cluster."""
    n_clusters = int(labels.max()) + 1 if len(labels) else 0
    if n_clusters < 2:
        return np.zeros(len(labels))
    members = np.eye(n_clusters)[labels]
    sizes = members.sum(axis=0)
    sums = distances @ members
    own = np.arange(len(labels)), labels
    inside = sums[own] / np.maximum(sizes[labels] - 1, 1)
    means = sums / sizes
    means[own] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    values: Floats = np.zeros(len(labels))
    np.divide(outside - inside, larger, out=values, where=larger > 0)
    values[sizes[labels] == 1] = 0
    return values


def _link(distances: Floats) -> Floats:
    from scipy.cluster.hierarchy import average
    from scipy.spatial.distance import squareform

    if len(distances) < 2:
        return np.zeros((0, 4))
    linked: Floats = average(squareform(distances, checks=False))
    return linked


def _cut(link: Floats, threshold: float, n: int) -> Labels:
    from scipy.cluster.hierarchy import fcluster

    if n < 2:
        return np.zeros(n, dtype=np.int64)
    labels: Labels = pd.factorize(fcluster(link, threshold, "distance"))[0].astype(np.int64)
    return labels
