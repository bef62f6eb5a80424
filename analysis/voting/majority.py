"""Majority: one trace, one vote (self-consistency; Wang et al. 2022, arXiv 2203.11171)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["majority"]


@weigher(equal=True)
def majority(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight 1 for every trace."""
    return np.ones(len(ballots))
