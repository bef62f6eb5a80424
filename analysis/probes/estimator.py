"""What a probe is: a scikit-learn style estimator that knows which rows share a question.

A classifier has `predict_proba`, a regressor `predict`. Register one under `probes` as a callable
that takes `seed`; `analysis.probes.contract.check_probe` says whether it keeps what it promises.

A fitted probe may also give its plain weights, `layers_`: linear layers with a rectifier between
them. Linear probes have one layer, a multilayer perceptron two; so one form serves to predict, to
save and to steer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cot.errors import InputError
from cot.registry import build

__all__ = [
    "Layers",
    "Make",
    "Probe",
    "constant",
    "is_classifier",
    "linear",
    "load_probe",
    "output",
    "predictions",
    "probabilities",
]


class Probe(Protocol):
    """Reads a label off a vector: `predict_proba(X)` -> [row, 2] (of False and True) where labels
    are booleans, `predict(X)` -> [row] where they are numbers.

    X is standardised already, by the mean and spread of the training rows.
    """

    n_components: int | None
    """Principal axes that X is projected on before the probe sees it; None leaves it whole."""
    validation_: float
    """After `fit`: what the probe reached on questions that were held out *within* the training
    rows (a classifier: within-question AUROC; a regressor: R²). Layers and positions are compared
    by it. NaN where unknown."""

    def fit(self, X: NDArray[np.floating], y: NDArray[Any], groups: NDArray[Any]) -> Any:
        """Learn from X [row, d] and y [row]; `groups` [row] is each row's question.

        Whatever is tuned must be tuned on folds that keep questions whole. A probe with
        `layers_` (see below) can be saved.
        """
        ...


Make = Callable[..., Probe]
"""`(seed=...) -> Probe`."""


def load_probe(spec: str) -> partial[Any]:
    """The probe that `NAME:key=value,...` names.

    Raises:
        InputError: as `cot.registry.build`; a callable that takes no `seed`.
    """
    make = build("probes", spec)
    try:
        make(seed=0)
    except TypeError as error:
        raise InputError(f"probe {spec}: {error}; a probe is a callable that takes seed") from None
    return make


def is_classifier(probe: Any) -> bool:
    """Whether it gives probabilities; else it predicts numbers."""
    return hasattr(probe, "predict_proba")


def predictions(probe: Any, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """P(True), or the predicted number, shape [row]."""
    values = probe.predict_proba(X)[:, 1] if is_classifier(probe) else probe.predict(X)
    return np.asarray(values, dtype=np.float64)


# -- plain weights ---------------------------------------------------------------------------------

Layers = Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
"""(weight [in, out], bias [out]) each; the last has one output: a log-odds, or a number."""


def output(layers: Layers, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """The last layer's output, shape [row, in] -> [row]."""
    values = X.astype(np.float64)
    for number, (weight, bias) in enumerate(layers):
        values = (np.maximum(values, 0.0) if number else values) @ weight + bias
    return values[:, 0]


def probabilities(layers: Layers, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probability of False and True where the output is a log-odds, shape [row, 2]."""
    from scipy.special import expit

    true = expit(output(layers, X))
    return np.column_stack([1.0 - true, true])


def linear(weight: Any, bias: Any) -> Layers:
    """One layer: output X @ weight + bias."""
    row = np.asarray(weight, dtype=np.float64).reshape(-1, 1)
    return [(row, np.asarray(bias, dtype=np.float64).reshape(1))]


def constant(width: int, value: float = 0.0) -> Layers:
    """Every row gets the value (a log-odds of 0 is a probability of 0.5)."""
    return linear(np.zeros(width), value)
