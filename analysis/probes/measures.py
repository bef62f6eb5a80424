"""The numbers of one cell: a probe's AUROC, pooled and within questions, beside its controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.activations.cells import Cell
from analysis.probes.controls import shuffled, shuffled_within
from analysis.probes.crossfit import Fitted, cross_fit
from analysis.probes.estimator import Probe
from analysis.statistics import auroc, auroc_interval, within_question_auroc

__all__ = ["NUMBERS", "discrimination", "measure", "undefined"]

AUROCS = ("auroc", "low", "high", "within_question_auroc", "within_low", "within_high")
NUMBERS = (*AUROCS, "n_within", "control", "control_within", "length", "length_within")
"""Columns of the table `probes` that `measure` gives."""


def undefined(y: NDArray[np.bool_], groups: NDArray[Any]) -> str | None:
    """Why no probe can be tested on these traces, or None where one can."""
    if not len(y):
        return "no trace has both a label and a vector"
    if y.all() or not y.any():
        return f"all {len(y)} traces are {'positive' if y.all() else 'negative'}"
    questions = [len(np.unique(groups[y == label])) for label in (True, False)]
    if min(questions) < 2:
        return f"only one question has {'positives' if questions[0] < 2 else 'negatives'}"
    return None


def discrimination(
    y: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[Any], seed: int
) -> dict[str, float]:
    """Pooled and within-question AUROC with their intervals, and the latter's questions."""
    low, high = auroc_interval(y, scores, groups, seed=seed)
    within, within_low, within_high, n_within = within_question_auroc(y, scores, groups, seed=seed)
    values = (auroc(y, scores), low, high, within, within_low, within_high)
    return {**dict(zip(AUROCS, values, strict=True)), "n_within": n_within}


def measure(
    make: Callable[[int], Probe], cell: Cell, fold: NDArray[np.int64], n_folds: int, seed: int
) -> tuple[dict[str, float], Fitted]:
    """A cell's numbers (columns of the table `probes`) and its cross-fitted scores.

    Args:
        make: `(seed) -> Probe`.
        cell: traces, with the cross-fitted score `length` of their length, and their vectors.
        fold: each trace's outer fold, shape [trace].
        n_folds: how many there are; some may hold none of the cell's traces.
        seed: of probes, shuffles and bootstrap.
    """
    y = cell.traces["y"].to_numpy(bool)
    groups = cell.traces["question_id"].to_numpy()

    def fit(labels: NDArray[np.bool_]) -> Fitted:
        return cross_fit(make, cell.vectors, cell.row, labels, groups, fold, n_folds, seed)

    fitted = fit(y)
    mixed, mixed_within = shuffled(y, seed), shuffled_within(y, groups, seed)
    length = cell.traces["length"].to_numpy(float)
    return {
        **discrimination(y, fitted.scores, groups, seed),
        "control": auroc(mixed, fit(mixed).scores),
        "control_within": _within(mixed_within, fit(mixed_within).scores, groups),
        "length": auroc(y, length),
        "length_within": _within(y, length, groups),
    }, fitted


def _within(y: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[Any]) -> float:
    return within_question_auroc(y, scores, groups, draws=1)[0]
