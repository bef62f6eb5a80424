"""Which traces' states geometry measures, and their vectors, one row a trace."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.answer_table import ballots_of
from analysis.catalogue import need
from analysis.hidden_states.stored_states import read_cell, within_gap
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["MAX_ROWS", "judged_traces", "read_rows", "sample_traces"]

MAX_ROWS = 2000
"""Traces that are compared pair by pair, or drawn; of more, a seeded sample."""


def judged_traces(run: Run) -> pd.DataFrame:
    """question_id, sample_index and right (bool) of the traces within the log-probability gap that
    have a valid answer to a question with gold, in run order."""
    answers = ballots_of(need(run, "answers"))
    known = answers.loc[answers["correct"].notna(), [*TRACE_KEY, "correct"]]
    joined = within_gap(run).merge(known, on=TRACE_KEY, how="inner")
    return joined[TRACE_KEY].assign(right=joined["correct"].astype(bool))


def sample_traces(traces: pd.DataFrame, seed: int) -> pd.DataFrame:
    """At most `MAX_ROWS` of the traces, in their order."""
    if len(traces) <= MAX_ROWS:
        return traces
    chosen = np.random.default_rng(seed).choice(len(traces), MAX_ROWS, replace=False)
    return traces.iloc[np.sort(chosen)].reset_index(drop=True)


def read_rows(
    run: Run, traces: pd.DataFrame, layer: int, position: str
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The given traces that have a vector here, and it, shape [row, d_model]; a trace's last where
    it has several, and one row a question at `prompt_end`, which its traces share."""
    cell = read_cell(run, traces, layer, position)
    frame, row = cell.traces, cell.row
    if position == "prompt_end":
        first = ~frame["question_id"].duplicated().to_numpy()
        frame, row = frame[first].reset_index(drop=True), row[first]
    return frame, cell.vectors[row].astype(np.float64)
