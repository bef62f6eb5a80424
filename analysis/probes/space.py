"""What every probe sees: vectors standardised, and projected where it asks for it.

Neither step sees labels, so that the true labels and the shuffled ones share it. The projection is
a truncated SVD of the standardised training rows (randomised: Halko et al., arXiv 0909.4061).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Space", "fit_space"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """X -> (X - mean) / scale, then @ axes."""

    mean: NDArray[np.floating]
    """Shape [d_model]."""
    scale: NDArray[np.floating]
    """Shape [d_model]; infinite where a coordinate never varies, which makes it 0."""
    axes: NDArray[np.floating] | None
    """Shape [d_model, k], orthonormal columns; None leaves all coordinates."""

    def place(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Shape [row, d_model] -> [row, k or d_model]."""
        scaled = (X - self.mean) / self.scale
        placed = scaled if self.axes is None else scaled @ self.axes
        values: NDArray[np.float64] = placed.astype(np.float64)
        return values


def fit_space(X: NDArray[np.floating], n_components: int | None, seed: int) -> Space:
    """The space of training rows X [row, d_model]; no more axes than X has rows or columns."""
    from sklearn.utils.extmath import randomized_svd

    mean, spread = X.mean(axis=0), X.std(axis=0)
    scale = np.where(spread > 1e-6 * (np.abs(mean) + 1), spread, np.inf)
    if n_components is None:
        return Space(mean=mean, scale=scale, axes=None)
    scaled = (X - mean) / scale
    size = min(n_components, *scaled.shape)
    axes = randomized_svd(scaled, size, n_iter=2, random_state=seed)[2].T
    return Space(mean=mean, scale=scale, axes=axes)
