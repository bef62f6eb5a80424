"""Votes in which a trace whose answer comes from a false equation counts less.

Ours. Every stated equation of a trace is evaluated (`analysis.equations.checks`). A trace has the
vote weight `weight` where its answer is the result of a wrong equation, or computed from one, that
it does not correct (`analysis.equations.outcomes`). Any other trace has 1, also one without an
equation that can be checked, or with an answer that holds no number.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting.fitting import fit_on_others
from analysis.voting.rule import weigher
from cot.errors import InputError

__all__ = ["checked"]

WEIGHTS = (0.001, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Tried when the weight is fitted; the least leaves such a trace a vote only where it is alone."""


@weigher("n_reaching")
def checked(ballots: pd.DataFrame, weight: float = 0.5, fit: bool = False) -> NDArray[np.float64]:
    """Weight 1, or `weight` for a trace whose answer comes from a wrong equation.

    Args:
        weight: in [0, 1].
        fit: choose it for each fifth of the questions by the accuracy on the others.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"checked: weight is {weight}: a number from 0 to 1")
    if fit:
        return fit_on_others(ballots, WEIGHTS, _weigh, nearest=0.5)
    return _weigh(ballots, weight)


def _weigh(ballots: pd.DataFrame, weight: float) -> NDArray[np.float64]:
    reaching = pd.to_numeric(ballots["n_reaching"]).fillna(0)
    return np.where(reaching.to_numpy(dtype=float) > 0, weight, 1.0)
