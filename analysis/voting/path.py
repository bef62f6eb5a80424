"""One vote a reasoning path: forty copies of one argument are one witness.

Each cluster of a question's traces has one vote, split over its traces' answers in proportion, so
that a trace's weight is 1 / (valid traces of its path). A trace that no cluster took (noise, -1) is
a path of its own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["path"]

NOISE = -1


@weigher("path")
def path(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight 1 / (ballots of the same question and path)."""
    paths = ballots["path"]
    sizes = paths.groupby([ballots["question_id"], paths], sort=False).transform("size")
    weights: NDArray[np.float64] = (1.0 / sizes.where(paths != NOISE, 1)).to_numpy(dtype=float)
    return weights
