"""Predictions for rows by probes that have never seen their question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.estimator import Make, predictions
from analysis.probes.folds import check_folds
from analysis.probes.space import fit_space

__all__ = ["Fitted", "cross_fit"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What cross-fitting gives."""

    scores: NDArray[np.float64]
    """P(True), or the number, of each row by the probe of its fold, shape [labels, row]."""
    validation: NDArray[np.float64]
    """What each fold's probe reached on held-out questions of its *training* rows: its
    `validation_`, shape [labels, fold]."""


def cross_fit(
    make: Make,
    vectors: NDArray[np.floating],
    row: NDArray[np.int64],
    labels: Sequence[NDArray[Any]],
    groups: NDArray[Any],
    fold: NDArray[np.int64],
    n_folds: int,
    seed: int = 0,
) -> Fitted:
    """For each fold, fit a probe of each labels on the other folds and score the fold with it.

    Args:
        make: `(seed=...) -> Probe`.
        vectors: shape [vector, d_model].
        row: each row's vector, shape [row]. Rows that share a vector (`prompt_end`) get one score:
            products of matrices differ by rounding, and an AUROC would rank that.
        labels: several of shape [row]; they share what sees no labels.
        groups: each row's question, shape [row].
        fold: see `question_folds`, shape [row].
        n_folds: how many folds there are; one without rows has a NaN validation.

    Raises:
        ValueError: a fold splits a question.
    """
    check_folds(fold, groups)
    scores = np.full((len(labels), len(row)), np.nan)
    validation = np.full((len(labels), n_folds), np.nan)
    for number in np.unique(fold):
        test = fold == number
        asked, back = np.unique(row[test], return_inverse=True)
        probes = [make(seed=seed) for _ in labels]
        with threadpool_limits(1):  # on such small matrices threads wait for one another
            space = fit_space(vectors[row[~test]], probes[0].n_components, seed)
            train, unseen = space.place(vectors[row[~test]]), space.place(vectors[asked])
            for place, (probe, y) in enumerate(zip(probes, labels, strict=True)):
                probe.fit(train, y[~test], groups[~test])
                scores[place, test] = predictions(probe, unseen)[back]
                validation[place, number] = probe.validation_
    return Fitted(scores=scores, validation=validation)
