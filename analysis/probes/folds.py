"""Folds that keep every question whole.

Vectors of one question resemble each other, so that a probe that has seen one of a question's
traces can recognise the others: it must be tested on questions that it has never seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_folds", "question_folds"]


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
