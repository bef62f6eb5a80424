"""Votes weighted by how far each answer depends on its reasoning (see `cot faithfulness`)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["faithful"]


@weigher("faithfulness")
def faithful(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight the trace's mean value of early answering, adding mistakes and filler."""
    return np.asarray(ballots["faithfulness"], dtype=float)
