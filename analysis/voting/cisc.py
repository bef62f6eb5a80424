"""CISC: confidence-informed self-consistency (Taubenfeld et al. 2025, arXiv 2502.06233).

A trace's weight is softmax(c / T) over the question's traces, c its confidence:
w_i = exp(c_i / T) / sum_j exp(c_j / T). T → ∞ is the majority vote; T → 0 follows the surest trace.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.likelihood import relative
from analysis.voting.rule import weigher
from analysis.voting.tally import credits
from cot.errors import InputError

__all__ = ["cisc"]

Floats = NDArray[np.float64]
FOLDS = 5
TEMPERATURES = tuple(float(10**power) for power in np.arange(-2.0, 2.25, 0.25))
"""Tried when T is fitted; those nearest to 1 win a tie."""


@weigher("{confidence}")
def cisc(
    ballots: pd.DataFrame, T: float = 1.0, confidence: str = "mean_logp", fit: bool = False
) -> Floats:
    """Weight softmax(confidence / T) within the question.

    Args:
        T: temperature, above 0.
        confidence: `mean_logp`, `p_true`, or any other column of `analysis.columns`.
        fit: choose T for each fifth of the questions by the accuracy on the others.
    """
    if not T > 0:
        raise InputError(f"cisc: T is {T}: a temperature above 0")
    if not fit:
        return _softmax(ballots, confidence, T)
    groups, names = pd.factorize(ballots["group"], sort=True)
    fold = groups % FOLDS
    worth = _worth(ballots, confidence, groups, len(names))
    weights = np.full(len(ballots), np.nan)
    order = np.argsort(np.abs(np.log(TEMPERATURES)), kind="stable")
    for held in range(min(FOLDS, len(names))):
        others = worth[:, np.arange(len(names)) % FOLDS != held]
        known = others[:, ~np.isnan(others[0])]
        if not known.shape[1]:
            raise InputError("cisc: fit=true needs gold for questions of at least two folds")
        best = order[np.argmax(known.mean(axis=1)[order])]
        rows = fold == held
        weights[rows] = _softmax(ballots[rows], confidence, TEMPERATURES[best])
    return weights


def _softmax(ballots: pd.DataFrame, confidence: str, T: float) -> Floats:
    weights = relative(ballots, ballots[confidence] / T)
    total = pd.Series(weights).groupby(ballots["question_id"].to_numpy(), sort=False)
    shares: Floats = weights / total.transform("sum").to_numpy()
    return shares


def _worth(
    ballots: pd.DataFrame, confidence: str, groups: NDArray[np.intp], n_groups: int
) -> Floats:
    """Mean expected accuracy by temperature and group; NaN without gold."""
    rows = ballots[confidence].notna() & ballots["correct"].notna()
    worth = np.full((len(TEMPERATURES), n_groups), np.nan)
    if not rows.any():
        return worth
    judged = ballots[rows]
    group_of = pd.Series(groups[rows.to_numpy()], index=judged["question_id"])
    group_of = group_of[~group_of.index.duplicated()]
    for row, T in zip(worth, TEMPERATURES, strict=True):
        earned = credits(judged, _softmax(judged, confidence, T))
        mean = earned.groupby(group_of.reindex(earned.index).to_numpy()).mean()
        row[mean.index.to_numpy(dtype=int)] = mean.to_numpy()
    return worth
