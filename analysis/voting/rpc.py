"""RPC: reasoning-pruning perplexity consistency (Zhou et al. 2025, arXiv 2502.00511, 2510.15444).

Perplexity consistency: an answer's weight is the sum of the probabilities of the *distinct* paths
that lead to it; a text sampled twice counts once. Reasoning pruning: the probabilities of a
question's paths are fitted by a mixture of two Weibull distributions, and a path is left out that
is more probably of the component with the lower mean, if its probability is also below the mean of
all paths' (the paper's second condition, against a bad fit). The shares of the components lie
between 0.2 and 0.8, as in the paper's code.

Probabilities are compared, and the Weibull distributions fitted, by their logarithms
(`analysis.voting.mixtures`). A path's probability is that of its token sequence, exp(sum logp);
`probability=mean_logp` takes exp(mean logp) instead, which the paper's published data holds, and
without which the likeliest of long paths outweighs all others.

Fewer than eight paths are not pruned: five parameters would be fitted to them. The paper fits paths
without an answer too; here only ballots are there to fit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.likelihood import relative
from analysis.voting.mixtures import fit_two, log_weibull
from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["FEWEST", "rpc"]

Floats = NDArray[np.float64]
FEWEST = 8
"""Traces of a question from which on its paths are pruned."""
LEAST_SHARE = 0.2
"""Least share of a component of the mixture."""


def _note(ballots: pd.DataFrame, probability: str) -> str:
    sizes = ballots[probability].groupby(ballots["question_id"], sort=False).count()
    few = int((sizes < FEWEST).sum())
    return f"nothing pruned on {few} of {len(sizes)} questions, with under {FEWEST} paths"


@weigher("{probability}", "text_id", note=_note)
def rpc(ballots: pd.DataFrame, probability: str = "sum_logp") -> Floats:
    """Weight exp(sum logp), once for equal texts; 0 for paths of the less likely component.

    Args:
        probability: log-probability of a path: `sum_logp`, or `mean_logp`, normalised by length.
    """
    if probability not in ("sum_logp", "mean_logp"):
        raise InputError(f"rpc: probability is {probability!r}: choose from sum_logp, mean_logp")
    logs = ballots[probability].astype(float)
    kept = logs.where(~_pruned(ballots["question_id"], logs))
    same = [ballots["question_id"], ballots["answer"], ballots["text_id"]]
    copies = kept.groupby(same, sort=False).transform("count").to_numpy(dtype=float)
    # copies share one path's weight; NaN, a trace without log-probabilities, is no ballot
    weights = relative(ballots, kept) / np.maximum(copies, 1.0)
    return np.where(logs.notna() & kept.isna(), 0.0, weights)


def _pruned(question: pd.Series, logs: pd.Series) -> NDArray[np.bool_]:
    """Whether each path is left out, [ballot]."""
    codes = pd.factorize(question)[0]
    known = logs.notna().to_numpy()
    size = np.bincount(codes, known)[codes] if len(codes) else np.zeros(0)
    fitted = known & (size >= FEWEST)
    pruned = np.zeros(len(logs), dtype=np.bool_)
    values, rows = logs.to_numpy(dtype=float)[fitted], codes[fitted]
    if not len(values):
        return pruned
    low = fit_two(values, rows, log_weibull, least_share=LEAST_SHARE).lower > 0.5
    largest = np.full(len(size), -np.inf)
    np.maximum.at(largest, rows, values)
    sums = np.bincount(rows, np.exp(values - largest[rows]), len(size))
    log_mean = largest[rows] + np.log(sums[rows] / size[fitted])
    pruned[fitted] = low & (values < log_mean)
    return pruned
