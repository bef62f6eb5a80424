"""Votes for the answer whose traces look alike inside and are many.

    V(a) = λ · mean pairwise cosine of the class's hidden states + (1 - λ) · frequency

λ = 0.35 unless fitted; states are read near half the model's depth, before the answer is written.
After arXiv 2506.21590, which takes a class of one to be perfectly alike; here its cosine is 0
unless `singleton` says otherwise. A negative V counts as 0.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.fitting import fit_on_others
from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["representation"]

SHARES = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""Values of λ that are tried when it is fitted."""


@weigher("state@{layer}@{position}")
def representation(
    ballots: pd.DataFrame,
    share: float = 0.35,
    singleton: float = 0.0,
    layer: str = "middle",
    position: str = "pre_answer",
    fit: bool = False,
) -> NDArray[np.float64]:
    """Weight V(a) / (traces of the class), so that a class's weights sum to V(a).

    Args:
        share: λ in [0, 1].
        singleton: cosine of a class with one trace; the paper's reading is 1.
        layer: a captured layer, or `middle`: the one nearest half depth.
        position: captured there.
        fit: choose λ for each fifth of the questions by the accuracy on the others.
    """
    if not 0 <= share <= 1:
        raise InputError(f"representation: share is {share}: a number from 0 to 1")
    states = ballots[f"state@{layer}@{position}"]
    known = states.notna().to_numpy()
    weights = np.full(len(ballots), np.nan)
    if not known.any():
        return weights
    similarity, frequency, size = _classes(ballots[known], np.stack(list(states[known])), singleton)
    values = ballots[known].assign(similarity=similarity, frequency=frequency, size=size)
    if fit:
        weights[known] = fit_on_others(values, SHARES, _weigh, nearest=0.35)
    else:
        weights[known] = _weigh(values, share)
    return weights


def _classes(
    ballots: pd.DataFrame, states: NDArray[np.floating], singleton: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each ballot's class: mean pairwise cosine, share of the question's ballots, and size.

    The sum of all pairwise products of unit vectors is (|sum|² - n) / 2.
    """
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    units = np.divide(states, lengths, out=np.zeros_like(states, dtype=float), where=lengths > 0)
    classes = ballots.groupby(["question_id", "answer"], sort=False).ngroup().to_numpy()
    size = np.bincount(classes).astype(float)
    sums = np.zeros((len(size), units.shape[1]))
    np.add.at(sums, classes, units)
    own = np.bincount(classes, (units**2).sum(axis=1))
    pairs = size * (size - 1)
    similarity = np.where(
        pairs > 0, ((sums**2).sum(axis=1) - own) / np.maximum(pairs, 1), singleton
    )
    of_question = ballots.groupby("question_id")["answer"].transform("size").to_numpy(float)
    return similarity[classes], size[classes] / of_question, size[classes]


def _weigh(values: pd.DataFrame, share: float) -> NDArray[np.float64]:
    value = share * values["similarity"] + (1 - share) * values["frequency"]
    weights: NDArray[np.float64] = (value.clip(lower=0) / values["size"]).to_numpy(float)
    return weights
