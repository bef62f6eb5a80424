"""One vote a cluster of reasoning: forty copies of one argument are one vote.

Each cluster of a question's traces has one vote, split over its traces' answers in proportion, so
that a trace weighs 1 / (valid traces of its cluster). A trace that no cluster took (noise, -1) is a
cluster of its own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["cluster"]

NOISE = -1


@weigher("cluster")
def cluster(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight 1 / (ballots of the same question and cluster)."""
    clusters = ballots["cluster"]
    sizes = clusters.groupby([ballots["question_id"], clusters], sort=False).transform("size")
    weights: NDArray[np.float64] = (1.0 / sizes.where(clusters != NOISE, 1)).to_numpy(dtype=float)
    return weights
