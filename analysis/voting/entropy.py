"""Votes weighted by how little the model hesitated (Sharma & Chopra 2025, arXiv 2511.02309).

A trace's weight is 1 / H, H the mean over its tokens of the entropy of the model's distribution
before the token, in nats. The unit doesn't matter: it is common to all weights.

Of the paper, its abstract and the reviews of its submission were read, which state the weight and
the mean over tokens. Assumed: entropies are those of the whole vocabulary, and a trace of entropy 0
weighs as one of `LEAST`. The paper samples chains that each build on the one before, and parallel
ones too; here traces are independent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["inverse_entropy"]

LEAST = 1e-10
"""Entropy below which a trace's weight grows no more."""


@weigher("mean_entropy")
def inverse_entropy(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight 1 / (mean entropy of the trace's tokens)."""
    weights: NDArray[np.float64] = 1 / ballots["mean_entropy"].to_numpy(dtype=float).clip(LEAST)
    return weights
