"""Universal self-consistency: the model picks the most consistent response (arXiv 2311.17311).

How it is asked: `analysis.model_queries.most_consistent`. Where it names no trace, the rule
abstains.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["universal"]


@weigher("chosen", asks=True)
def universal(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight 1 for the trace that the model names, 0 for the others of its question."""
    weights: NDArray[np.float64] = ballots["chosen"].to_numpy(dtype=float)
    return weights
