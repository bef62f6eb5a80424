"""Borda: a trace's rank by confidence is its weight (Kang et al. 2025, arXiv 2502.18581).

Of a question's N traces that have an answer and a confidence, the surest has rank 1; a trace of
rank r weighs (N - r + 1)^p. p = 0 is the majority vote; the larger p, the more the surest trace
decides. The paper takes p by N, from 0.3 to 1.5; its code's default is 0.5. Only ranks count, so
that the confidence's unit and scale don't matter.

With three traces and p = 0.5, the weights are √3, √2 and 1. Traces that are equally sure share the
mean of their ranks. A trace without an answer has no rank here; the paper's code ranks it, and
doesn't count its vote.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.fitting import fit_on_others
from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["borda"]

Floats = NDArray[np.float64]
POWERS = (0.3, 0.5, 0.7, 0.9, 1.2, 1.5)
"""Tried when p is fitted."""


@weigher("{confidence}")
def borda(
    ballots: pd.DataFrame, p: float = 0.5, confidence: str = "self_certainty", fit: bool = False
) -> Floats:
    """Weight (N - rank + 1)^p, rank 1 the surest of the question's N traces.

    Args:
        p: power, 0 or more.
        confidence: `self_certainty`, or any other column of `analysis.columns`; higher is surer.
        fit: choose p for each fifth of the questions by the accuracy on the others.
    """
    if not 0 <= p < np.inf:
        raise InputError(f"borda: p is {p}: a power of 0 or more")
    if not fit:
        return _weights(ballots, confidence, p)
    return fit_on_others(
        ballots, POWERS, lambda rows, tried: _weights(rows, confidence, tried), nearest=0.5
    )


def _weights(ballots: pd.DataFrame, confidence: str, p: float) -> Floats:
    """A share of the question's largest possible weight, so that no p is too large."""
    by_question = ballots[confidence].groupby(ballots["question_id"], sort=False)
    # N - rank + 1 is the rank from the least sure; NaN stays NaN and takes no rank
    places = by_question.rank(method="average").to_numpy(dtype=float)
    weights: Floats = (places / by_question.transform("count").to_numpy(dtype=float)) ** p
    return weights
