"""Votes weighted by what is read from the model's hidden states.

`probe` weighs a trace by a cross-fitted probe's P(correct): no probe scores a question that it was
fitted on. `internal_consistency` weighs it by the share of layers whose latent answer is the final
layer's (arXiv 2405.18711).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["internal_consistency", "probe"]


@weigher("probe")
def probe(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight P(correct); the layer and position are chosen without the trace's question."""
    return np.asarray(ballots["probe"], dtype=float)


@weigher("{consistency}")
def internal_consistency(
    ballots: pd.DataFrame, consistency: str = "consistency"
) -> NDArray[np.float64]:
    """Weight the share of layers that agree with the final one.

    Args:
        consistency: the column: `consistency`, or `consistency_calibrated`, in which each layer's
            probabilities are replaced by their quantiles.
    """
    return np.asarray(ballots[consistency], dtype=float)
