"""A fitted probe as plain weights: linear layers with a rectifier between them.

Linear probes have one layer, the MLP two; so one form serves to predict, to save and to steer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layers", "constant", "linear", "output", "probabilities"]

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
