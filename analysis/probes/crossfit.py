"""Predictions for rows by probes that have never seen their question.

Vectors of one question resemble each other, so that a probe that has seen one of a question's
traces can recognise the others: folds keep every question whole. Before the probe, vectors are
standardised, and projected where it asks for it; neither step sees labels, so that the true labels
and the shuffled ones share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.estimator import Make, predictions

__all__ = ["Fitted", "Space", "check_folds", "cross_fit", "fit_space", "question_folds"]

# -- folds of whole questions ----------------------------------------------------------------------


def question_folds(
    y: ArrayLike, groups: ArrayLike, n_folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """The fold that each trace is tested in, shape [trace]; as alike in their share of positives as
    whole questions allow. There are at most as many folds as questions."""
    labels, questions = np.asarray(y, dtype=bool), pd.factorize(np.asarray(groups))[0]
    return _folds(labels.tobytes(), questions.astype(np.int64).tobytes(), n_folds, seed).copy()


@lru_cache(maxsize=256)  # the cells of a sweep ask for the same folds
def _folds(y: bytes, groups: bytes, n_folds: int, seed: int) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    labels, questions = np.frombuffer(y, bool), np.frombuffer(groups, np.int64)
    n_folds = min(n_folds, int(questions.max(initial=-1)) + 1)
    fold = np.zeros(len(labels), np.int64)
    if n_folds < 2:
        return fold
    # The rarer class is spread; where it has fewer traces than folds, questions are spread instead.
    spread = labels if min(labels.sum(), (~labels).sum()) >= n_folds else np.zeros_like(labels)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(labels, spread, questions)):
        fold[test] = number
    return fold


def check_folds(fold: NDArray[Any], groups: NDArray[Any]) -> None:
    """Raise ValueError where a question's traces are in several folds."""
    split = pd.Series(fold).groupby(np.asarray(groups)).nunique() > 1
    if split.any():
        raise ValueError(f"question {split.index[split][0]!r} is in several folds")


# -- standardised and projected vectors ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """X -> (X - mean) / scale, then @ axes."""

    mean: NDArray[np.floating]
    """Shape [d_model]."""
    scale: NDArray[np.floating]
    """Shape [d_model]; infinite where a coordinate never varies, which makes it 0."""
    axes: NDArray[np.floating] | None
    """Shape [d_model, k], orthonormal columns; None leaves all coordinates."""

    def place(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Shape [row, d_model] -> [row, k or d_model]."""
        scaled = (X - self.mean) / self.scale
        placed = scaled if self.axes is None else scaled @ self.axes
        values: NDArray[np.float64] = placed.astype(np.float64)
        return values


def fit_space(X: NDArray[np.floating], n_components: int | None, seed: int) -> Space:
    """The space of training rows X [row, d_model]; no more axes than X has rows or columns."""
    from sklearn.utils.extmath import randomized_svd

    mean, spread = X.mean(axis=0), X.std(axis=0)
    # a coordinate that varies by rounding only would be blown up to a spread of 1: it becomes 0
    scale = np.where(spread > 1e-6 * (np.abs(mean) + 1), spread, np.inf)
    if n_components is None:
        return Space(mean=mean, scale=scale, axes=None)
    scaled = (X - mean) / scale
    size = min(n_components, *scaled.shape)
    axes = randomized_svd(scaled, size, n_iter=2, random_state=seed)[2].T
    return Space(mean=mean, scale=scale, axes=axes)


# -- cross-fitting ---------------------------------------------------------------------------------


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
            # fitted without the fold: its vectors may not move the axes either
            space = fit_space(vectors[row[~test]], probes[0].n_components, seed)
            train, unseen = space.place(vectors[row[~test]]), space.place(vectors[asked])
            for place, (probe, y) in enumerate(zip(probes, labels, strict=True)):
                probe.fit(train, y[~test], groups[~test])
                scores[place, test] = predictions(probe, unseen)[back]
                validation[place, number] = probe.validation_
    return Fitted(scores=scores, validation=validation)
