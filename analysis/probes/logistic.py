"""The default probe: logistic regression with balanced class weights, on 64 principal axes.

The strength of regularisation is chosen by pooled AUROC on inner folds of whole questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.probes.layers import Layers, constant, linear, probabilities
from analysis.probes.tuning import tune
from analysis.statistics import auroc, within_question_auroc

__all__ = ["LogisticProbe"]

STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Inverse regularisation C, the weakest model first."""


class LogisticProbe:
    """Logistic regression; its strength is tuned on inner folds.

    Where the training labels hold one class only, every vector gets 0.5.
    """

    def __init__(self, n_components: int = 64, *, seed: int = 0) -> None:
        self.n_components: int | None = n_components
        self.seed = seed
        self.validation_ = np.nan

    def fit(
        self, X: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]
    ) -> LogisticProbe:
        """Learn from X [row, d], y [row] and each row's question."""
        strength, held_out = tune(STRENGTHS, _fit, auroc, X, y, groups, self.seed)
        if held_out is not None:
            self.validation_ = within_question_auroc(y, held_out, groups, draws=1)[0]
        self.layers_ = _fit(X, y, strength)
        return self

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probability of False and True, shape [row, 2]."""
        return probabilities(self.layers_, X)


def _fit(X: NDArray[np.floating], y: NDArray[np.bool_], strength: float) -> Layers:
    from sklearn.linear_model import LogisticRegression

    if y.all() or not y.any():
        return constant(X.shape[1])
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000).fit(X, y)
    return linear(model.coef_, model.intercept_)
