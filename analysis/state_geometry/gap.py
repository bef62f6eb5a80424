"""Do right and wrong traces of a question go different ways?

The squared distance between the mean right and the mean wrong trajectory, in all dimensions, in
units of the states' mean squared distance to their question's mean at a step (the spread):

    gap = Σ_s n_s U_s / (Σ_s n_s · spread)      U_s = mean of D_qs · D_rs over questions q ≠ r

with D_qs = mean right − mean wrong state of question q at step s, and n_s the questions that have
both there. Products are of different questions only, so that chance alone gives 0 in expectation,
often less. The labels, shuffled over each question's traces, say how far chance goes: a small p
says that right and wrong differ in these questions; an interval above 0 says that they differ in
the same direction in others too.

Right traces may be shorter, and step 1 then is the last of one and the middle of another:
`same_length` compares, and shuffles, traces that have as many steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probes.controls import shuffled_within
from analysis.state_geometry.jackknife import jackknife_interval

__all__ = ["Gap", "trajectory_gap"]

SHUFFLES = 500
Floats = NDArray[np.float64]
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
            products = np.full(len(total), whole @ whole - own.sum())
            products[of] -= 2 * (here @ whole - own)
            others = np.full(len(total), n)
            others[of] -= 1
            several = others >= 2
            total[several] += products[several] / (others[several] - 1)
            norm[several] += others[several]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = total / (norm * self.spread)
        return float(values[0]), values[1:]

    def _contrast(self, right: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """Weights of the points, with which a question and step sums to mean right − mean wrong
        (over strata, weighted by the harmonic mean of both numbers), and which have such."""
        n, n_right = np.bincount(self.part), np.bincount(self.part, right)
        worth = n_right * (n - n_right) / n
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
