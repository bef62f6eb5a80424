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
from analysis.statistics import mean_interval
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["draw_trajectories", "read_points", "trajectory_steps"]

Floats = NDArray[np.float64]
STEPS = {
    **{"layer": "int64", "step": "int64", "what": "str"},
    **dict.fromkeys(("x", "x_low", "x_high", "x_spread"), "float64"),
    **dict.fromkeys(("y", "y_low", "y_high", "y_spread"), "float64"),
    **{"n_questions": "int64", "n_traces": "int64"},
}


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
    index = index[[*TRACE_KEY, "step"]].astype({"sample_index": traces["sample_index"].dtype})
    index = index.assign(step=index["step"].astype("int64"), row=np.arange(len(index)))
    traces = traces.assign(order=np.arange(len(traces)))
    points = traces.merge(index, on=TRACE_KEY, how="inner")
    states = vectors[points.pop("row")].astype(np.float64)
    question = points.groupby("question_id", sort=False).ngroup().to_numpy()
    first = np.flatnonzero(np.diff(question, prepend=-1))
    means = np.add.reduceat(states, first) / np.bincount(question)[:, None]
    states -= means[question]
    if (layer, "prompt_end") in captured(run, None, None):
        stepped = points.assign(question=question, step=-1).drop_duplicates([*TRACE_KEY])
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

    frame = points[[*TRACE_KEY, "step"]].assign(layer=layer, x=0.0, y=0.0)
    ends = states[points["step"] >= 0]
    if min(ends.shape) >= 2 and np.ptp(ends, axis=0).any():
        places = PCA(2, random_state=seed).fit(ends).transform(states)
        frame = frame.assign(x=places[:, 0], y=places[:, 1])
    return frame


def trajectory_steps(drawn: pd.DataFrame, judged: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Where right and wrong traces are at each step; the table `trajectory_steps`.

    Columns: layer, step, what, x, y, each with _low, _high and _spread, n_questions, n_traces.
    `right` and `wrong` are means over traces, with the standard deviation over traces as spread and
    no interval: they come from different questions in part. `difference` is right minus wrong
    within a question, the mean over the questions that have both at the step, with a 95% interval
    by bootstrap over questions and no spread.

    Args:
        drawn: the table `trajectories`.
        judged: question_id, sample_index, right.
    """
    rows = []
    points = drawn.merge(judged, on=TRACE_KEY)
    for (layer, step), here in points.groupby(["layer", "step"]):
        place = {"layer": layer, "step": step}
        for right, side in here.groupby("right"):
            counts = {"n_questions": side["question_id"].nunique(), "n_traces": len(side)}
            row = place | counts | {"what": "right" if right else "wrong"}
            for axis in "xy":
                row |= {axis: side[axis].mean(), f"{axis}_spread": side[axis].std()}
            rows.append(row)
        sides = here.groupby(["question_id", "right"])[["x", "y"]].mean().unstack("right")
        sides = sides.dropna()
        if len(sides) and here["right"].nunique() == 2:
            n_traces = int(here["question_id"].isin(sides.index).sum())
            row = place | {"what": "difference", "n_questions": len(sides), "n_traces": n_traces}
            for axis in "xy":
                gap = (sides[axis, True] - sides[axis, False]).to_numpy(float)
                low, high = mean_interval(gap, seed=seed)
                row |= {axis: gap.mean(), f"{axis}_low": low, f"{axis}_high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(STEPS)).astype(STEPS)
