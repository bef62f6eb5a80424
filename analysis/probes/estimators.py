"""The built-in probes: logistic regression, difference of means, a multilayer perceptron, ridge.

Each is a plug-in of its own (see `analysis.probes.estimator` for what one is). What they tune is
tuned on inner folds of whole questions, all of them training rows.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.probes.crossfit import question_folds
from analysis.probes.estimator import Layers, constant, linear, output, probabilities
from analysis.probes.metrics import r_squared
from analysis.statistics import auroc, within_question_auroc

__all__ = ["DiffMeansProbe", "LogisticProbe", "MlpProbe", "RidgeProbe", "tune"]

STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Inverse regularisation C of the logistic probe, the weakest model first."""
PENALTIES = (1e5, 1e4, 1e3, 1e2, 1e1)
"""Of the ridge probe, the weakest model first."""
INNER_FOLDS = 3
BATCH, RATE = 64, 0.01
"""Of the multilayer perceptron's training."""
Setting = TypeVar("Setting")


class _Classifier:
    """What the classifiers share: a setting is tuned by pooled AUROC, the probe is judged by
    within-question AUROC. Where the training labels hold one class only, every vector gets 0.5."""

    settings: Sequence[Any] = (None,)

    def __init__(self, n_components: int | None, seed: int) -> None:
        self.n_components = n_components
        self.seed = seed
        self.validation_ = np.nan

    def fit(self, X: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]) -> Any:
        """Learn from X [row, d], y [row] and each row's question."""
        setting, held_out = tune(self.settings, self._weights, auroc, X, y, groups, self.seed)
        if held_out is not None:
            # one draw: the interval is not used here
            self.validation_ = within_question_auroc(y, held_out, groups, draws=1)[0]
        self.layers_ = self._weights(X, y, setting)
        return self

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probability of False and True, shape [row, 2]."""
        return probabilities(self.layers_, X)

    def _weights(self, X: NDArray[np.floating], y: NDArray[np.bool_], setting: Any) -> Layers:
        if y.all() or not y.any():
            return constant(X.shape[1])
        return self._fitted(X, y, setting)

    @abstractmethod
    def _fitted(self, X: NDArray[np.floating], y: NDArray[np.bool_], setting: Any) -> Layers:
        """Weights fitted to rows of both classes."""


class LogisticProbe(_Classifier):
    """Logistic regression; its strength is tuned on inner folds.

    Classes are weighted to be balanced. Where the training labels hold one class only, every vector
    gets 0.5.
    """

    settings = STRENGTHS

    def __init__(self, n_components: int = 64, *, seed: int = 0) -> None:
        super().__init__(n_components, seed)

    def _fitted(self, X: NDArray[np.floating], y: NDArray[np.bool_], setting: float) -> Layers:
        from sklearn import config_context
        from sklearn.linear_model import LogisticRegression

        # a sweep fits thousands of small models: checks cost as much as fits
        with config_context(skip_parameter_validation=True, assume_finite=True):
            model = LogisticRegression(C=setting, max_iter=2000)
            model.fit(X, y, sample_weight=_balanced(y))
        return linear(model.coef_, model.intercept_)


class DiffMeansProbe(_Classifier):
    """Difference of means, in all standardised coordinates.

    The direction from the mean of the negatives to the mean of the positives (Marks & Tegmark 2023,
    arXiv 2310.06824, call it mass-mean probing). Nothing is tuned and no covariance is estimated,
    so that it cannot overfit as a regression can. With w = mean(True) - mean(False), u = x·w and s²
    the variance of u within the classes, the log-odds are those of two Gaussians of equal weight:
    (u - midpoint) |w|² / s². Where the training labels hold one class only, every vector gets 0.5.
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(None, seed)

    def _fitted(self, X: NDArray[np.floating], y: NDArray[np.bool_], setting: None) -> Layers:
        high, low = X[y].mean(axis=0), X[~y].mean(axis=0)
        weight = high - low
        along = X @ weight
        # each class's own mean is taken off, so that the variance is that within classes
        spread = np.where(y, along - high @ weight, along - low @ weight).var()
        gain = weight @ weight / spread if spread > 0 else 1.0
        return linear(gain * weight, -gain * (high + low) @ weight / 2)


class MlpProbe(_Classifier):
    """Multilayer perceptron: one hidden layer of rectifiers, Adam, balanced classes.

    It reads what no single direction carries. It can also memorise more than a linear probe can, so
    that its controls matter more (Hewitt & Liang 2019, arXiv 1909.03368). Where the training labels
    hold one class only, every vector gets 0.5.
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
        super().__init__(n_components, seed)
        self.hidden, self.alpha, self.epochs = hidden, alpha, epochs

    def _fitted(self, X: NDArray[np.floating], y: NDArray[np.bool_], setting: None) -> Layers:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        # principal axes have falling spreads: one learning rate needs them alike
        spread = X.std(axis=0)
        spread[spread < 1e-9] = 1.0
        model = MLPClassifier(
            (self.hidden,),
            alpha=self.alpha,
            batch_size=min(BATCH, len(y)),
            learning_rate_init=RATE,
            max_iter=self.epochs,
            random_state=self.seed,
        )
        with warnings.catch_warnings():  # the number of epochs is a setting, not a failure
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X / spread, y, sample_weight=_balanced(y))
        (first, *rest), biases = model.coefs_, model.intercepts_
        # the division goes into the first layer, so that the stored weights take X itself
        return list(zip([first / spread[:, None], *rest], biases, strict=True))


def _balanced(y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of rows by which both classes weigh the same, shape [row]."""
    weights: NDArray[np.float64] = len(y) / (2.0 * np.where(y, y.sum(), (~y).sum()))
    return weights


class RidgeProbe:
    """Ridge regression, for numbers; its penalty is tuned by R² on inner folds."""

    def __init__(self, n_components: int = 64, *, seed: int = 0) -> None:
        self.n_components: int | None = n_components
        self.seed = seed
        self.validation_ = np.nan

    def fit(
        self, X: NDArray[np.floating], y: NDArray[np.float64], groups: NDArray[Any]
    ) -> RidgeProbe:
        """Learn from X [row, d], y [row] and each row's question."""
        penalty, held_out = tune(PENALTIES, _ridge, r_squared, X, y, groups, self.seed)
        if held_out is not None:
            self.validation_ = r_squared(y, held_out)
        self.layers_ = _ridge(X, y, penalty)
        return self

    def predict(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """The predicted numbers, shape [row]."""
        return output(self.layers_, X)


def _ridge(X: NDArray[np.floating], y: NDArray[np.float64], penalty: float) -> Layers:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=penalty).fit(X, y)
    return linear(model.coef_, model.intercept_)


def tune(
    settings: Sequence[Setting],
    fit: Callable[[NDArray[np.floating], NDArray[Any], Setting], Layers],
    worth: Callable[[NDArray[Any], NDArray[np.float64]], float],
    X: NDArray[np.floating],
    y: NDArray[Any],
    groups: NDArray[Any],
    seed: int,
) -> tuple[Setting, NDArray[np.float64] | None]:
    """The setting whose predictions on held-out questions are worth most, and these predictions.

    Args:
        settings: the most cautious first; the first of equals is taken.
        fit: `(X, y, setting) -> Layers`.
        worth: `(y, predictions) -> value`, higher is better; NaN is worth nothing.

    Returns:
        the first setting, and None, where the rows cannot be held out (one question).
    """
    best: tuple[Setting, NDArray[np.float64] | None] = (settings[0], None)
    fold = question_folds(y if y.dtype == bool else y > np.median(y), groups, INNER_FOLDS, seed)
    if not fold.any():  # one fold: nothing is held out
        return best
    highest = -np.inf
    for setting in settings:
        predicted = np.empty(len(y))
        for number in np.unique(fold):
            test = fold == number
            predicted[test] = output(fit(X[~test], y[~test], setting), X[test])
        if (value := worth(y, predicted)) > highest or best[1] is None:
            best, highest = (setting, predicted), value
    return best
