"""Votes weighted by closeness to the middle of a question's reasoning.

w = max(0, cosine of the trace's embedding to the mean of its question's); answers are masked before
embedding, so that the vote isn't counted twice. After Knappe et al. 2024, arXiv 2410.07839.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["centroid"]


@weigher("embedding")
def centroid(ballots: pd.DataFrame) -> NDArray[np.float64]:
    """Weight max(0, cosine to the mean embedding of the question's ballots)."""
    if not len(ballots):
        return np.zeros(0)
    vectors = np.stack(ballots["embedding"].to_list()).astype(float)
    codes, names = pd.factorize(ballots["question_id"])
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    centres = sums[codes]
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(centres, axis=1)
    products = np.einsum("ij,ij->i", vectors, centres)
    cosines: NDArray[np.float64] = np.divide(
        products, lengths, out=np.zeros(len(ballots)), where=lengths > 0
    )
    return np.maximum(cosines, 0.0)
