"""Trajectories: where a trace's state goes, step by step.

A point is the state at the prompt's end (step −1) or at the end of a step. Each question's mean
over the step ends of its traces is taken off, which leaves what differs between its traces and
steps; the plane is that of the two leading principal components of the run's step ends.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.cells import captured, read_cell
from analysis.state_geometry.rows import KEYS
from cot.store.run import Run

__all__ = ["draw_trajectories", "read_points"]

Floats = NDArray[np.float64]


def read_points(run: Run, traces: pd.DataFrame, layer: int) -> tuple[pd.DataFrame, Floats]:
    """The ways of the given traces through one layer.

    Returns:
        points: the columns of the traces that have a step, and step: -1 (where `prompt_end` was
            captured), 0, 1, ...; in the order of the traces and of their steps.
        states: the question's mean over step ends taken off, shape [point, d_model].

    Raises:
        InputError: `step_end` was not captured at this layer.
    """
    index, vectors = run.activations(layer=layer, position="step_end")
    index = index[[*KEYS, "step"]].astype({"sample_index": traces["sample_index"].dtype})
    index = index.assign(step=index["step"].astype("int64"), row=np.arange(len(index)))
    traces = traces.assign(order=np.arange(len(traces)))
    points = traces.merge(index, on=KEYS, how="inner")
    states = vectors[points.pop("row")].astype(np.float64)
    question = points.groupby("question_id", sort=False).ngroup().to_numpy()
    first = np.flatnonzero(np.diff(question, prepend=-1))
    means = np.add.reduceat(states, first) / np.bincount(question)[:, None]
    states -= means[question]
    if (layer, "prompt_end") in captured(run, None, None):
        stepped = points.assign(question=question, step=-1).drop_duplicates([*KEYS])
        cell = read_cell(run, stepped, layer, "prompt_end")
        begins = cell.traces.pop("question").to_numpy()
        states = np.vstack([cell.vectors[cell.row] - means[begins], states])
        points = pd.concat([cell.traces, points], ignore_index=True)
    along = np.lexsort((points["step"], points["order"]))
    return points.iloc[along].drop(columns="order").reset_index(drop=True), states[along]


def draw_trajectories(
    points: pd.DataFrame, states: Floats, layer: int, *, seed: int
) -> pd.DataFrame:
    """The table `trajectories`: question_id, sample_index, step, layer, x, y."""
    from sklearn.decomposition import PCA

    frame = points[[*KEYS, "step"]].assign(layer=layer, x=0.0, y=0.0)
    ends = states[points["step"] >= 0]
    if min(ends.shape) >= 2 and np.ptp(ends, axis=0).any():
        places = PCA(2, random_state=seed).fit(ends).transform(states)
        frame = frame.assign(x=places[:, 0], y=places[:, 1])
    return frame
