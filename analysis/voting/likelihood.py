"""Votes weighted by how likely the model found each trace (Wang et al. 2022, arXiv 2203.11171).

With logp the log-probabilities of a trace's sampled tokens, its weight is exp(sum logp), or, when
normalised by length, exp(mean logp). A class's weights are summed, or averaged. Their Table 1
(PaLM-540B on GSM8K, 40 paths) has all four: sum 59.9, sum normalised 74.1, average 56.3, average
normalised 22.1, beside majority's 74.4.

Everything is compared in log space, against the question's likeliest trace: exp(-10000) is 0 in
floating point, but two such traces are as comparable as any.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher

__all__ = ["mean_prob", "mean_prob_norm", "sum_prob", "sum_prob_norm"]

Floats = NDArray[np.float64]


@weigher("sum_logp")
def sum_prob(ballots: pd.DataFrame) -> Floats:
    """Weight exp(sum logp), summed by class."""
    return relative(ballots, ballots["sum_logp"])


@weigher("mean_logp")
def sum_prob_norm(ballots: pd.DataFrame) -> Floats:
    """Weight exp(mean logp), summed by class."""
    return relative(ballots, ballots["mean_logp"])


@weigher("sum_logp")
def mean_prob(ballots: pd.DataFrame) -> Floats:
    """Weight exp(sum logp), averaged by class."""
    return relative(ballots, ballots["sum_logp"]) / _class_size(ballots, "sum_logp")


@weigher("mean_logp")
def mean_prob_norm(ballots: pd.DataFrame) -> Floats:
    """Weight exp(mean logp), averaged by class."""
    return relative(ballots, ballots["mean_logp"]) / _class_size(ballots, "mean_logp")


def relative(ballots: pd.DataFrame, logs: pd.Series) -> Floats:
    """exp(log weight), as a share of the question's largest; NaN where the log is."""
    largest = logs.groupby(ballots["question_id"], sort=False).transform("max")
    weights: Floats = np.exp((logs - largest).to_numpy(dtype=float))
    return weights


def _class_size(ballots: pd.DataFrame, column: str) -> Floats:
    """How many ballots of the same question and answer have this column."""
    by = [ballots["question_id"], ballots["answer"]]
    sizes: Floats = ballots[column].groupby(by, sort=False).transform("count").to_numpy(dtype=float)
    return np.maximum(sizes, 1.0)
