"""CISC: confidence-informed self-consistency (Taubenfeld et al. 2025, arXiv 2502.06233).

A trace's weight is softmax(c / T) over the question's traces, c its confidence:
w_i = exp(c_i / T) / sum_j exp(c_j / T). T → ∞ is the majority vote; T → 0 follows the surest trace.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.fitting import fit_on_others
from analysis.voting.likelihood import relative
from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["cisc"]

Floats = NDArray[np.float64]
TEMPERATURES = tuple(float(10**power) for power in np.arange(-2.0, 2.25, 0.25))
"""Tried when T is fitted."""


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
    return fit_on_others(
        ballots,
        TEMPERATURES,
        lambda rows, tried: _softmax(rows, confidence, tried),
        nearest=1.0,
    )


def _softmax(ballots: pd.DataFrame, confidence: str, T: float) -> Floats:
    weights = relative(ballots, ballots[confidence] / T)
    total = pd.Series(weights).groupby(ballots["question_id"].to_numpy(), sort=False)
    shares: Floats = weights / total.transform("sum").to_numpy()
    return shares
