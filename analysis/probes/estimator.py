"""What a probe is: a scikit-learn style classifier that knows which rows share a question."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Probe"]


class Probe(Protocol):
    """A classifier of vectors. Register it under `probes` as a callable `(seed) -> Probe`."""

    validation_: float
    """After `fit`: within-question AUROC on questions that were held out *within* the training
    data, by which layers and positions are compared; NaN where unknown."""

    def fit(self, X: NDArray[np.floating], y: NDArray[np.bool_], groups: NDArray[Any]) -> Any:
        """Learn from X [trace, d_model] and y [trace]; `groups` [trace] is each trace's question.

        Whatever is tuned must be tuned on folds that keep questions whole.
        """
        ...

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probability of False and True, shape [trace, 2]."""
        ...
