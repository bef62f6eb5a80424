"""The default probe: standardise, PCA, logistic regression with balanced class weights.

The strength of regularisation is chosen by pooled AUROC on inner folds of whole questions. The
projection is fitted once on all training rows: it sees no labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.probes.folds import question_folds
from analysis.statistics import auroc, within_question_auroc

__all__ = ["LogisticProbe"]

STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Inverse regularisation C, weakest model first; the first best is taken."""
N_COMPONENTS = 64
INNER_FOLDS = 3


class LogisticProbe:
    """P(True) of a vector; see `analysis.probes.estimator.Probe`.

    Where the training labels hold one class only, every vector gets 0.5.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.validation_ = np.nan

    def fit(
        self, X: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]
    ) -> LogisticProbe:
        """Learn from X [trace, d_model], y [trace] and each trace's question."""
        from sklearn.utils.extmath import randomized_svd

        self.mean_ = X.mean(axis=0)
        spread = X.std(axis=0)
        self.scale_ = np.where(spread > 1e-6 * (np.abs(self.mean_) + 1), spread, np.inf)
        scaled = (X - self.mean_) / self.scale_
        size = min(N_COMPONENTS, *scaled.shape)
        _, _, axes = randomized_svd(scaled, size, n_iter=2, random_state=self.seed)
        self.axes_ = axes.T
        Z = (scaled @ self.axes_).astype(np.float64)
        strength = self._choose(Z, y, groups)
        self.model_ = _fit(Z, y, strength)
        return self

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probability of False and True, shape [trace, 2]."""
        return _proba(self.model_, (X - self.mean_) / self.scale_ @ self.axes_)

    def _choose(self, Z: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]) -> float:
        fold = question_folds(y, groups, INNER_FOLDS, self.seed)
        best, highest = STRENGTHS[0], -np.inf
        for strength in STRENGTHS if fold.any() else ():
            scores = np.empty(len(y))
            for number in np.unique(fold):
                test = fold == number
                scores[test] = _proba(_fit(Z[~test], y[~test], strength), Z[test])[:, 1]
            if (value := auroc(y, scores)) > highest:
                best, highest = strength, value
                self.validation_ = within_question_auroc(y, scores, groups, draws=1)[0]
        return best


def _fit(Z: NDArray[np.floating], y: NDArray[np.bool_], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    if y.all() or not y.any():
        return None
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=2000).fit(Z, y)


def _proba(model: Any, Z: NDArray[np.floating]) -> NDArray[np.floating]:
    if model is None:
        return np.full((len(Z), 2), 0.5)
    proba: NDArray[np.floating] = model.predict_proba(Z)
    return proba
