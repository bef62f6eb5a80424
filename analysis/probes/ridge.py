"""The probe of numbers: ridge regression on 64 principal axes.

The penalty is chosen by R² on inner folds of whole questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.probes.layers import Layers, linear, output
from analysis.probes.numbers import r_squared
from analysis.probes.tuning import tune

__all__ = ["RidgeProbe"]

PENALTIES = (1e5, 1e4, 1e3, 1e2, 1e1)
"""The weakest model first."""


class RidgeProbe:
    """Ridge regression, for numbers; its penalty is tuned on inner folds."""

    def __init__(self, n_components: int = 64, *, seed: int = 0) -> None:
        self.n_components: int | None = n_components
        self.seed = seed
        self.validation_ = np.nan

    def fit(
        self, X: NDArray[np.floating], y: NDArray[np.float64], groups: NDArray[Any]
    ) -> RidgeProbe:
        """Learn from X [row, d], y [row] and each row's question."""
        penalty, held_out = tune(PENALTIES, _fit, r_squared, X, y, groups, self.seed)
        if held_out is not None:
            self.validation_ = r_squared(y, held_out)
        self.layers_ = _fit(X, y, penalty)
        return self

    def predict(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """The predicted numbers, shape [row]."""
        return output(self.layers_, X)


def _fit(X: NDArray[np.floating], y: NDArray[np.float64], penalty: float) -> Layers:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=penalty).fit(X, y)
    return linear(model.coef_, model.intercept_)
