"""DistriVoting: the low mode of a question's confidences doesn't vote (arXiv 2603.03872).

A question's confidences are fitted by a mixture of two Gaussians (`analysis.voting.mixtures`).
Traces more probably of the component with the lower mean are rejected, unless they are surer than
the other component's mean (which a wide lower component would claim too); the rest vote with their
confidence as weight. Where one Gaussian has the lower BIC, or with fewer than eight traces, all
vote.

Of the paper, its abstract and summaries were read. Its second filter (an answer that leads among
the rejected traces costs traces among the kept) and its vote by intervals of confidence are not
done here, nor is its way of sampling. The BIC, and the least number of traces, are this project's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.mixtures import fit_two
from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["FEWEST", "distri"]

Floats = NDArray[np.float64]
FEWEST = 8
"""Traces of a question from which on a mixture is fitted."""


def _note(ballots: pd.DataFrame, confidence: str) -> str:
    values = ballots[confidence].to_numpy(dtype=float)
    question = pd.factorize(ballots["question_id"])[0]
    known = ~np.isnan(values)
    split = np.unique(question[known][_split(values[known], question[known])[1]])
    n = len(np.unique(question[known]))
    return f"nothing rejected on {n - len(split)} of {n} questions, with one mode or under {FEWEST}"


@weigher("{confidence}", note=_note)
def distri(ballots: pd.DataFrame, confidence: str = "self_certainty") -> Floats:
    """Weight the confidence, 0 for traces of the lower of two modes.

    Args:
        confidence: `self_certainty`, or any other column of `analysis.columns` that is never
            negative; higher is surer.
    """
    values = ballots[confidence].to_numpy(dtype=float)
    if (values < 0).any():
        raise InputError(
            f"distri: {confidence} is the vote's weight, and {int((values < 0).sum())} of "
            f"{len(values)} are negative: choose a confidence that never is, such as "
            "self_certainty or p_true"
        )
    known = ~np.isnan(values)
    weights: Floats = values.copy()
    rejected, _ = _split(values[known], pd.factorize(ballots["question_id"])[0][known])
    weights[known] = np.where(rejected, 0.0, values[known])
    return weights


def _split(
    values: Floats, question: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each value is rejected, and whether its question's values have two modes."""
    rejected, two = np.zeros((2, len(values)), dtype=np.bool_)
    if not len(values):
        return rejected, two
    enough = np.bincount(question)[question] >= FEWEST
    mixture = fit_two(values[enough], question[enough])
    two[enough] = mixture.better
    low = (mixture.lower > 0.5) & (values[enough] < mixture.upper_mean)
    rejected[enough] = mixture.better & low
    return rejected, two
