"""Trajectories: how a trace's state moves from step to step, and whether right and wrong part.

A point is the state at the prompt's end (step −1) or at the end of a step. Each question's mean
over the step ends of its traces is taken off, which leaves what differs between its traces and
steps; the plane is that of the two leading principal components of the run's step ends.

The gap between right and wrong is the squared distance between the mean right and the mean wrong
trajectory, in all dimensions, in units of the states' mean squared distance to their question's
mean at a step (the spread):

    gap = Σ_s n_s U_s / (Σ_s n_s · spread)      U_s = mean of D_qs · D_rs over questions q ≠ r

with D_qs = mean right − mean wrong state of question q at step s, and n_s the questions that have
both there. Products are of different questions only, so that chance alone gives 0 in expectation,
often less. The labels, shuffled over each question's traces, show how far chance goes: a small p
shows that right and wrong differ in these questions; an interval above 0 says that they differ in
the same direction in others too.

Right traces may be shorter, and step 1 then is the last of one and the middle of another:
`same_length` compares, and shuffles, traces that have as many steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.stored_states import captured, read_cell
from analysis.statistics import mean_interval
from analysis.statistics.jackknife import jackknife_interval
from analysis.statistics.shuffled_labels import shuffled_within
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["Gap", "draw_trajectories", "read_points", "trajectory_gap", "trajectory_steps"]

# -- points ----------------------------------------------------------------------------------------

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
    # rows of a question are adjacent, so that `reduceat` sums them between its first rows
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


# -- the gap between right and wrong ---------------------------------------------------------------

SHUFFLES = 500
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Between right and wrong trajectories."""

    value: float
    """In units of the spread; NaN with fewer than two questions to compare."""
    low: float
    """95% jackknife interval over questions."""
    high: float
    """Likewise."""
    null_mean: float
    """With labels shuffled."""
    null_high: float
    """Its 95th percentile."""
    p: float
    """Share of shuffles, the observed labels among them, that reach the value."""
    n_questions: int
    """Those with right and wrong traces that are compared at a step."""
    n_traces: int
    """Those of the questions that have right and wrong traces."""


def trajectory_gap(
    points: pd.DataFrame, states: Floats, *, same_length: bool = False, seed: int = 0
) -> Gap:
    """The gap between right and wrong traces, beside shuffled labels.

    Args:
        points: question_id, sample_index, step, right (bool, the trace's).
        states: shape [point, d].
        same_length: compare only traces of a question that have as many steps.
        seed: of the shuffles.
    """
    mixed = (points.groupby("question_id")["right"].transform("nunique") == 2).to_numpy()
    points, states = points[mixed], states[mixed]
    trace, question = _codes(points, "question_id", "sample_index"), _codes(points, "question_id")
    step = _codes(points, "step")
    first = np.unique(trace, return_index=True)[1]
    right = points["right"].to_numpy(bool)[first]
    stratum = pd.DataFrame({"question": question[first]})
    if same_length:
        stratum["steps"] = np.bincount(trace)
    among = _codes(stratum, *stratum)
    ways = _Ways(states, question, step, among[trace])
    value, left_out = ways.gap(right[trace])
    if np.isnan(value):
        nothing = dict.fromkeys(("low", "high", "null_mean", "null_high", "p"), np.nan)
        return Gap(value=value, n_questions=len(left_out), n_traces=len(first), **nothing)
    null = np.array(
        [
            ways.gap(shuffled_within(right, among, seed + index)[trace])[0]
            for index in range(SHUFFLES)
        ]
    )
    low, high = jackknife_interval(value, left_out)
    return Gap(
        value=value,
        low=low,
        high=high,
        null_mean=float(null.mean()),
        null_high=float(np.quantile(null, 0.95)),
        # shuffles that give the observed labels again differ from the value by rounding only
        p=(1 + int((null >= value - 1e-12).sum())) / (1 + SHUFFLES),
        n_questions=len(left_out),
        n_traces=len(first),
    )


class _Ways:
    """Points by question and step; traces are compared within a stratum of their question."""

    def __init__(self, states: Floats, question: Codes, step: Codes, stratum: Codes) -> None:
        at = pd.DataFrame({"question": question, "step": step, "stratum": stratum})
        self.states = states
        self.cell, self.part = _codes(at, "question", "step"), _codes(at, "stratum", "step")
        here = np.unique(self.cell, return_index=True)[1]
        self.question, self.step = question[here], step[here]
        ones = np.ones(len(states))
        means = self._sums(ones) / np.bincount(self.cell)[:, None]
        self.spread = float(((states - means[self.cell]) ** 2).sum() / max(len(states), 1))

    def gap(self, right: NDArray[np.bool_]) -> tuple[float, Floats]:
        """The gap, and without each question that is compared; labels have shape [point]."""
        weights, known = self._contrast(right)
        D, question, step = self._sums(weights)[known], self.question[known], self.step[known]
        asked, which = np.unique(question, return_inverse=True)
        total, norm = np.zeros(1 + len(asked)), np.zeros(1 + len(asked))
        for s in np.unique(step):
            here, of = D[step == s], 1 + which[step == s]
            n, whole, own = len(here), here.sum(axis=0), (here**2).sum(axis=1)
            # Σ over q ≠ r of D_q · D_r = |Σ D|² - Σ |D|²: a question's product with itself is noise
            products = np.full(len(total), whole @ whole - own.sum())
            products[of] -= 2 * (here @ whole - own)
            others = np.full(len(total), n)
            others[of] -= 1
            several = others >= 2  # a pair needs two questions
            # n U = n Σ / (n (n - 1)): the mean over pairs, weighted by the step's questions
            total[several] += products[several] / (others[several] - 1)
            norm[several] += others[several]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = total / (norm * self.spread)
        return float(values[0]), values[1:]

    def _contrast(self, right: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """Weights of the points, with which a question and step sums to mean right − mean wrong
        (over strata, weighted by the harmonic mean of both numbers), and which have such."""
        n, n_right = np.bincount(self.part), np.bincount(self.part, right)
        worth = n_right * (n - n_right) / n  # half the harmonic mean; 0 where all are of one kind
        whole = np.bincount(self.cell, (worth / n)[self.part])
        alike = np.where(right, n_right[self.part], (n - n_right)[self.part])
        weights = np.where(right, 1, -1) * worth[self.part] / alike
        known = whole > 0
        return weights / np.where(known, whole, 1)[self.cell], known

    def _sums(self, weights: Floats) -> Floats:
        """Weighted sums of the states of each question and step."""
        from scipy.sparse import csr_matrix

        shape = (len(self.question), len(weights))
        sums: Floats = csr_matrix((weights, (self.cell, np.arange(len(weights)))), shape)
        return sums @ self.states


def _codes(frame: pd.DataFrame, *names: str) -> Codes:
    """A number for each different row of these columns, by first appearance."""
    codes: Codes = frame.groupby(list(names), sort=False).ngroup().to_numpy(np.int64)
    return codes
