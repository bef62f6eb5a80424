"""The direction from the mean of the negatives to the mean of the positives.

Nothing is tuned and no covariance is estimated, so that it cannot overfit as a regression can
(Marks & Tegmark 2023, arXiv 2310.06824, call it mass-mean probing). With w = mean(True) -
mean(False), u = x·w and s² the variance of u within the classes, the log-odds are those of two
Gaussians of equal weight: (u - midpoint) |w|² / s².
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.probes.layers import Layers, constant, linear, probabilities
from analysis.probes.tuning import tune
from analysis.statistics import auroc, within_question_auroc

__all__ = ["DiffMeansProbe"]


class DiffMeansProbe:
    """Difference of means, in all standardised coordinates.

    Where the training labels hold one class only, every vector gets 0.5.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.n_components: int | None = None
        self.seed = seed
        self.validation_ = np.nan

    def fit(
        self, X: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]
    ) -> DiffMeansProbe:
        """Learn from X [row, d], y [row] and each row's question."""
        _, held_out = tune([None], lambda X, y, _: _fit(X, y), auroc, X, y, groups, self.seed)
        if held_out is not None:
            self.validation_ = within_question_auroc(y, held_out, groups, draws=1)[0]
        self.layers_ = _fit(X, y)
        return self

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probability of False and True, shape [row, 2]."""
        return probabilities(self.layers_, X)


def _fit(X: NDArray[np.floating], y: NDArray[np.bool_]) -> Layers:
    if y.all() or not y.any():
        return constant(X.shape[1])
    high, low = X[y].mean(axis=0), X[~y].mean(axis=0)
    weight = high - low
    along = X @ weight
    spread = np.where(y, along - high @ weight, along - low @ weight).var()
    gain = weight @ weight / spread if spread > 0 else 1.0
    return linear(gain * weight, -gain * (high + low) @ weight / 2)
