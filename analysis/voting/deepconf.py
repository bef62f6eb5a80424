"""DeepConf, offline: only the surest traces vote, by their confidence (arXiv 2508.15260).

A token's confidence is -(mean of its k largest log-probabilities); a trace's is summarised over
sliding windows (see `analysis.columns`). Traces below the (100 - keep)th percentile of their
question's are left out, and the rest vote with their confidence as weight. The paper names its two
settings by what is kept: the top 10% and the top 90%.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["deepconf"]


@weigher("{confidence}@{window}")
def deepconf(
    ballots: pd.DataFrame, confidence: str = "lowest", keep: float = 90, window: int = 2048
) -> NDArray[np.float64]:
    """Weight: the trace's confidence if it is among the question's surest `keep` percent, else 0.

    Args:
        confidence: `mean`, `tail`, `lowest` (window) or `bottom` (tenth of the windows).
        keep: percent of the traces that vote, in (0, 100]; the surest one always does.
        window: tokens a window.
    """
    if confidence not in ("mean", "tail", "lowest", "bottom"):
        raise InputError(
            f"deepconf: confidence is {confidence!r}: choose from mean, tail, lowest, bottom"
        )
    if not (0 < keep <= 100 and window > 0):
        raise InputError(f"deepconf: keep={keep} in (0, 100] and window={window} above 0 expected")
    values = ballots[f"{confidence}@{window}"]
    by_question = values.groupby(ballots["question_id"], sort=False)
    ranks = by_question.rank(method="max")  # of n, 1 is the least sure
    sizes = by_question.transform("count")
    bar = 1 + (1 - keep / 100) * (sizes - 1)  # the percentile's place, between the ranks it needs
    kept = ranks >= bar - 1e-9
    weights: NDArray[np.float64] = values.where(kept | values.isna(), 0.0).to_numpy(dtype=float)
    return weights
