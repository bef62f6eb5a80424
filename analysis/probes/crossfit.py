"""Scores of traces by probes that have never seen their question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.estimator import Probe
from analysis.probes.folds import check_folds

__all__ = ["Fitted", "cross_fit"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What cross-fitting gives."""

    scores: NDArray[np.float64]
    """P(True) of each trace by the probe of its fold, shape [trace]."""
    validation: NDArray[np.float64]
    """What each fold's probe reached on held-out questions of its *training* data: its
    `validation_`, shape [fold]."""


def cross_fit(
    make: Callable[[int], Probe],
    vectors: NDArray[np.floating],
    row: NDArray[np.int64],
    y: NDArray[np.bool_],
    groups: NDArray[Any],
    fold: NDArray[np.int64],
    n_folds: int,
    seed: int = 0,
) -> Fitted:
    """Fit a probe for each fold on the other folds and score the fold with it.

    Args:
        make: `(seed) -> Probe`.
        vectors: shape [vector, d_model].
        row: each trace's vector, shape [trace]. Traces that share a vector (`prompt_end`) get one
            score: rows of a matrix product differ by rounding, and an AUROC would rank that.
        y: labels, shape [trace].
        groups: each trace's question, shape [trace].
        fold: see `question_folds`, shape [trace].
        n_folds: how many folds there are; one without traces has a NaN validation.

    Raises:
        ValueError: a fold splits a question.
    """
    check_folds(fold, groups)
    scores = np.full(len(y), np.nan)
    validation = np.full(n_folds, np.nan)
    for number in np.unique(fold):
        test = fold == number
        probe = make(seed)
        asked, back = np.unique(row[test], return_inverse=True)
        with threadpool_limits(1):  # on such small matrices threads wait for one another
            probe.fit(vectors[row[~test]], y[~test], groups[~test])
            scores[test] = probe.predict_proba(vectors[asked])[:, 1][back]
        validation[number] = probe.validation_
    return Fitted(scores=scores, validation=validation)
