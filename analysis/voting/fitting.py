"""A rule's parameter, chosen for each question on others: no question helps to set its own.

Questions fall into five folds, by the order of their names. For those of a fold, the value is the
one whose votes earn the most (`analysis.voting.tally.random_tie_accuracy`) on the other four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.tally import random_tie_accuracy
from cot.errors import InputError

__all__ = ["FOLDS", "fit_on_others"]

FOLDS = 5
Floats = NDArray[np.float64]


def fit_on_others(
    ballots: pd.DataFrame,
    values: Sequence[float],
    weigh: Callable[[pd.DataFrame, float], Floats],
    nearest: float,
) -> Floats:
    """Weights under the value that served the other folds' questions best, shape [ballot].

    Args:
        ballots: with `correct` and `group`, the question that folds keep together.
        values: tried, above 0.
        weigh: ballots and a value to weights.
        nearest: of values that serve equally, the one with the ratio to this nearest 1 is taken.

    Raises:
        InputError: gold for questions of fewer than two folds.
    """
    groups, names = pd.factorize(ballots["group"], sort=True)
    accuracy = _mean_accuracy(ballots, values, weigh, groups, len(names))
    weights = np.full(len(ballots), np.nan)
    order = np.argsort(np.abs(np.log(np.array(values) / nearest)), kind="stable")
    for held in range(min(FOLDS, len(names))):
        others = accuracy[:, np.arange(len(names)) % FOLDS != held]
        known = others[:, ~np.isnan(others[0])]
        if not known.shape[1]:
            raise InputError("fit=true needs gold for questions of at least two folds")
        best = order[np.argmax(known.mean(axis=1)[order])]
        rows = groups % FOLDS == held
        weights[rows] = weigh(ballots[rows], values[best])
    return weights


def _mean_accuracy(
    ballots: pd.DataFrame,
    values: Sequence[float],
    weigh: Callable[[pd.DataFrame, float], Floats],
    groups: NDArray[np.intp],
    n_groups: int,
) -> Floats:
    """Mean expected accuracy by value and group; NaN without gold or weights."""
    accuracy = np.full((len(values), n_groups), np.nan)
    judged = ballots["correct"].notna().to_numpy()
    for row, value in zip(accuracy, values, strict=True):
        weights = np.asarray(weigh(ballots, value), dtype=float)
        kept = judged & ~np.isnan(weights)
        if not kept.any():
            continue
        expected = random_tie_accuracy(ballots[kept], weights[kept])
        group_of = pd.Series(groups[kept], index=ballots["question_id"][kept])
        group_of = group_of[~group_of.index.duplicated()].reindex(expected.index)
        mean = expected.groupby(group_of.to_numpy()).mean()
        row[mean.index.to_numpy(dtype=int)] = mean.to_numpy()
    return accuracy
