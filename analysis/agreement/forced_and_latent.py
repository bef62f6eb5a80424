"""Decided before reasoning? What the model says without reasoning, against what its state holds.

Two looks at one trace: whether the answer that is forced at the prompt's end (early answering with
none of the reasoning) is the trace's own, and whether the lens reads it there in the last layer's
state. Cohen's kappa over traces says how far the two agree beyond their own rates:

    kappa = (p - e) / (1 - e)    p: share alike; e: share that would be alike by the rates alone

                lens yes   lens no
    forced yes     20         5        p = 35/50 = .7
    forced no      10        15        e = .5 * .6 + .5 * .4 = .5        kappa = .4

Both looks ask for the trace's answer, which traces of a question share; what another question's
state gives (`control`) says how much of kappa that explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.statistics import resample
from cot.types import TRACE_KEY

__all__ = ["CrossCheck", "cross_check", "kappa", "looks"]

CELLS = [(True, True), (True, False), (False, True), (False, False)]
"""(forced, lens), in the order of a table read line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """How far the two looks agree."""

    counts: tuple[int, int, int, int]
    """Traces by (forced, lens): both, forced alone, lens alone, neither."""
    kappa: float
    """Cohen's, over traces; NaN where both looks say the same of every trace."""
    low: float
    """95% bootstrap over questions."""
    high: float
    """95% bootstrap over questions."""
    control: float
    """Kappa with another question's state in place of the trace's; NaN where it wasn't read."""
    questions: pd.DataFrame
    """question_id, n, differ, forced_only, lens_only (traces), those that differ most first."""


def cross_check(readings: pd.DataFrame, lens_traces: pd.DataFrame, seed: int = 0) -> CrossCheck:
    """Of the sampled traces of which both looks are known.

    Args:
        readings: table `faithfulness`.
        lens_traces: the table.
    """
    both = looks(readings, lens_traces)
    first, second = (both[name].to_numpy(bool) for name in ("forced", "lens"))
    cells = np.column_stack([(first == a) & (second == b) for a, b in CELLS]).astype(int)
    per = pd.DataFrame(cells).groupby(both["question_id"].to_numpy(), sort=False).sum()
    drawn = kappa(resample(len(per), seed=seed) @ per.to_numpy())
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return CrossCheck(
        counts=tuple(cells.sum(axis=0).tolist()),
        kappa=float(kappa(cells.sum(axis=0))),
        low=float(low),
        high=float(high),
        control=_control(both),
        questions=_questions(per),
    )


def looks(readings: pd.DataFrame, lens_traces: pd.DataFrame) -> pd.DataFrame:
    """question_id, sample_index, forced, lens (booleans), control (nullable), one row a trace."""
    first = readings[readings["test"].str.split(":").str[0] == "early_answering"]
    first = first[(first["share"] == 0) & ~first["greedy"].astype(bool) & first["same"].notna()]
    forced = first.drop_duplicates(TRACE_KEY)[[*TRACE_KEY, "same"]].rename(
        columns={"same": "forced"}
    )
    names = {"decided_at_prompt": "lens", "decided_control": "control"}
    there = [name for name in names if name in lens_traces]
    lens = lens_traces[lens_traces["decided_at_prompt"].notna()][[*TRACE_KEY, *there]]
    both = forced.merge(lens.rename(columns=names), on=TRACE_KEY)
    return both.astype({"forced": bool, "lens": bool})


def kappa(counts: ArrayLike) -> NDArray[np.float64]:
    """Cohen's kappa of 2 × 2 tables, [..., 4] -> [...]; NaN where both are constant and alike."""
    both, first, second, neither = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    n = both + first + second + neither
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = (both + neither) / n
        a, b = (both + first) / n, (both + second) / n
        chance = a * b + (1 - a) * (1 - b)
        found = np.where(chance < 1, (alike - chance) / (1 - chance), np.nan)
    return np.asarray(found, dtype=np.float64)


def _control(both: pd.DataFrame) -> float:
    known: Any = both[both["control"].notna()] if "control" in both else both.head(0)
    if not len(known):
        return float("nan")
    other = known["control"].to_numpy(bool)
    forced = known["forced"].to_numpy(bool)
    return float(kappa([int(((forced == a) & (other == b)).sum()) for a, b in CELLS]))


def _questions(per: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "question_id": per.index.astype(str),
            "n": per.sum(axis=1).to_numpy(),
            "differ": (per[1] + per[2]).to_numpy(),
            "forced_only": per[1].to_numpy(),
            "lens_only": per[2].to_numpy(),
        }
    )
    order = (frame["differ"] / frame["n"]).sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)
