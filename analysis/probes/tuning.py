"""What is tuned within the training rows, on folds of whole questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.probes.folds import question_folds
from analysis.probes.layers import Layers, output

__all__ = ["INNER_FOLDS", "tune"]

INNER_FOLDS = 3
Setting = TypeVar("Setting")


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
    if not fold.any():
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
