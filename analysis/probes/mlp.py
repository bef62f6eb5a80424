"""A small multilayer perceptron: one hidden layer, for what no single direction carries.

It can memorise more than a linear probe can, so that its controls matter more (Hewitt & Liang 2019,
arXiv 1909.03368).
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.probes.layers import Layers, constant, probabilities
from analysis.probes.tuning import tune
from analysis.statistics import auroc, within_question_auroc

__all__ = ["MlpProbe"]

BATCH, RATE = 64, 0.01


class MlpProbe:
    """Multilayer perceptron: one hidden layer of rectifiers, Adam, balanced classes.

    Where the training labels hold one class only, every vector gets 0.5.
    """

    def __init__(
        self,
        hidden: int = 32,
        alpha: float = 1.0,
        epochs: int = 40,
        n_components: int = 64,
        *,
        seed: int = 0,
    ) -> None:
        self.n_components: int | None = n_components
        self.seed = seed
        self.validation_ = np.nan
        self._fit = partial(_fit, hidden=hidden, alpha=alpha, epochs=epochs, seed=seed)

    def fit(self, X: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]) -> MlpProbe:
        """Learn from X [row, d], y [row] and each row's question."""
        _, held_out = tune([None], self._fit, auroc, X, y, groups, self.seed)
        if held_out is not None:
            self.validation_ = within_question_auroc(y, held_out, groups, draws=1)[0]
        self.layers_ = self._fit(X, y, None)
        return self

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probability of False and True, shape [row, 2]."""
        return probabilities(self.layers_, X)


def _fit(
    X: NDArray[np.floating],
    y: NDArray[np.bool_],
    setting: None,
    *,
    hidden: int,
    alpha: float,
    epochs: int,
    seed: int,
) -> Layers:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    if y.all() or not y.any():
        return constant(X.shape[1])
    spread = X.std(axis=0)
    spread[spread < 1e-9] = 1.0
    model = MLPClassifier(
        (hidden,),
        alpha=alpha,
        batch_size=min(BATCH, len(y)),
        learning_rate_init=RATE,
        max_iter=epochs,
        random_state=seed,
    )
    weights = len(y) / (2.0 * np.where(y, y.sum(), (~y).sum()))
    with warnings.catch_warnings():  # the number of epochs is a setting, not a failure
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X / spread, y, sample_weight=weights)
    (first, *rest), biases = model.coefs_, model.intercepts_
    return list(zip([first / spread[:, None], *rest], biases, strict=True))
