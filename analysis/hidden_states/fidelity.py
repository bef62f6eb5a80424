"""Whether the replay saw what the sampler saw: log-probabilities of the sampled tokens, stored and
replayed. The same model in the same precision gives gaps below 1e-3; another model, precision or
prompt shows here."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.catalogue import need
from cot.store.run import Run

__all__ = ["MAX_GAP", "faithful", "fidelity_table", "largest_gap"]

log = logging.getLogger("cot")

MAX_GAP = 0.5
"""Nats, by default. Half precision on another device stays below; a trace beyond it was not
replayed faithfully, and what reads the vectors leaves it out."""


def largest_gap(stored: ArrayLike | None, replayed: ArrayLike | None) -> float:
    """Largest absolute difference of log-probability over a trace's tokens, in nats.

    Tokens of which either is NaN don't count. NaN where none is left, or where their numbers of
    tokens differ.
    """
    if stored is None or replayed is None or np.shape(stored) != np.shape(replayed):
        return np.nan
    gaps = np.abs(np.asarray(stored, np.float64) - np.asarray(replayed, np.float64))
    return float(np.fmax.reduce(gaps, initial=np.nan))


def fidelity_table(run: Run, replays: pd.DataFrame, max_gap: float = MAX_GAP) -> pd.DataFrame:
    """The replays in the run's order of traces, those with a gap above `max_gap` flagged."""
    keys = run.traces([])
    table = keys.merge(replays, on=["question_id", "sample_index"], how="inner")
    table["flagged"] = table["max_logprob_gap"] > max_gap
    beyond = int(table["flagged"].sum())
    if beyond:
        log.warning(
            "%d of %d traces were replayed with log-probabilities more than %g from the stored "
            "ones: another model, precision or prompt?",
            beyond,
            len(table),
            max_gap,
        )
    return table


def faithful(run: Run) -> pd.DataFrame:
    """question_id and sample_index of the replayed traces that aren't flagged, in run order."""
    table = need(run, "fidelity")
    return table.loc[~table["flagged"], ["question_id", "sample_index"]].reset_index(drop=True)
