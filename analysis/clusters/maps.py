"""A question's traces as points in the plane, for the eye: near on it is not always alike.

`pca` keeps the two directions of most variance (linear, and the same each time); `tsne` (van der
Maaten & Hinton 2008) and `umap` (arXiv 1802.03426) keep neighbours and distort distances.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cot.errors import InputError

__all__ = ["METHODS", "map_traces"]

METHODS = ("pca", "tsne", "umap")
FEWEST = 5
"""Distinct rows; below it there are no neighbourhoods to keep, and every method is PCA."""
Places = NDArray[np.float64]


def map_traces(vectors: NDArray[np.floating], method: str = "pca", seed: int = 0) -> Places:
    """Coordinates, shape [trace, d] -> [trace, 2]; equal rows alone are all at the origin.

    Args:
        vectors: one row a trace.
        method: `pca`, `tsne` or `umap` (the extra `maps`).
        seed: of t-SNE and UMAP, which start from the PCA.

    Raises:
        InputError: an unknown method, or umap-learn is not installed.
    """
    if method not in METHODS:
        raise InputError(f"unknown map {method!r}: choose from {', '.join(METHODS)}")
    if method == "umap":
        _need_umap()
    places = _pca(np.asarray(vectors, dtype=float))
    if method == "pca" or len(np.unique(places, axis=0)) < FEWEST:
        return places
    return _tsne(vectors, places, seed) if method == "tsne" else _umap(vectors, places, seed)


def _pca(X: Places) -> Places:
    """Signs are such that each direction's largest loading is positive."""
    places = np.zeros((len(X), 2))
    if not len(X) or np.ptp(X, axis=0).max(initial=0) < 1e-6:
        return places
    left, sizes, right = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    k = min(2, len(sizes))
    loads = right[:k]
    signs = np.sign(loads[np.arange(k), np.abs(loads).round(6).argmax(axis=1)])
    places[:, :k] = left[:, :k] * sizes[:k] * signs
    return places.round(9)


def _tsne(vectors: NDArray[np.floating], places: Places, seed: int) -> Places:
    from sklearn.manifold import TSNE

    model = TSNE(
        perplexity=min(30, (len(places) - 1) / 3),
        init=(places / places[:, 0].std() * 1e-4).astype(np.float32),
        random_state=seed,
    )
    drawn: Places = model.fit_transform(np.asarray(vectors, dtype=np.float32)).astype(float)
    return drawn


def _umap(vectors: NDArray[np.floating], places: Places, seed: int) -> Places:
    from umap import UMAP

    model = UMAP(
        n_neighbors=min(15, len(places) - 1),
        init=places,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
    )
    drawn: Places = np.asarray(model.fit_transform(vectors), dtype=float)
    return drawn


def _need_umap() -> None:
    try:
        import umap  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"method umap needs umap-learn ({error}): pip install 'consilience[maps]', "
            "or choose pca or tsne"
        ) from None
