"""The rate of the trace's own answer by the share of its reasoning that is kept.

Each test that keeps shares has a panel: all lengths together with a band, every length that enough
traces have as a thin line, greedy traces beside, and how often another trace of the question states
the same answer, which is what a curve is measured against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.reasoning import FEWEST
from analysis.figures.text import interval, number, percent
from analysis.page.evidence import Evidence

__all__ = ["Curve", "curve_panels"]

MOST_NAMED = 12
"""Lengths without a line that are named one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One test's panel."""

    test: str
    """As typed."""
    meaning: str
    """What the curve's shape would say."""
    other_traces: tuple[float | None, float | None, float | None] | None
    """How often another trace of the question states the answer, with its interval; or None."""
    n_traces: int
    """Traces of all lengths of which every point has an answer."""
    n_questions: int
    """Their questions."""
    n_greedy: int
    """Greedy traces."""
    few: str
    """Lengths with too few traces for a line, in words; empty where there is none."""
    rows: list[list[str]]
    """Traces, share, rate, interval, rate of the same correctness, n: a row a point."""


def curve_panels(evidence: Evidence) -> list[Curve]:
    """A panel a test, in the order of the table `faithfulness_curves`."""
    table = evidence.get("faithfulness_curves")
    if not len(table):
        return []
    tests = evidence.get("faithfulness_tests")
    shown = tests.set_index("test").to_dict("index") if len(tests) else {}
    return [
        _panel(str(test), rows, shown.get(test, {}))
        for test, rows in table.groupby("test", sort=False)
    ]


def _panel(test: str, rows: pd.DataFrame, shown: Mapping[str, Any]) -> Curve:
    whole = rows[rows["n_steps"].isna()]
    sampled, greedy = whole[~whole["greedy"].astype(bool)], whole[whole["greedy"].astype(bool)]
    by_length = rows[~rows["greedy"].astype(bool)].dropna(subset="n_steps").groupby("n_steps")
    lengths = [(int(n), points) for n, points in by_length]
    many = [(n, points) for n, points in lengths if points["n_traces"].max() >= FEWEST]
    cells = _cells("all lengths", sampled)
    for n, points in many:
        cells += _cells(f"{n} step{'s' if n > 1 else ''}", points)
    return Curve(
        test=test,
        meaning=str(shown.get("curve_meaning", "")),
        other_traces=_other_traces(sampled),
        n_traces=int(sampled["n_traces"].max()) if len(sampled) else 0,
        n_questions=int(sampled["n_questions"].max()) if len(sampled) else 0,
        n_greedy=int(greedy["n_traces"].max()) if len(greedy) else 0,
        few=_lengths([n for n, points in lengths if points["n_traces"].max() < FEWEST]),
        rows=cells + _cells("greedy traces", greedy),
    )


def _lengths(few: Sequence[int]) -> str:
    if len(few) > MOST_NAMED:
        return f"{len(few)} lengths from {min(few)} to {max(few)} steps"
    return ", ".join(map(str, few))


def _cells(name: str, points: pd.DataFrame) -> list[list[str]]:
    return [
        [
            name,
            percent(number(row["share"])),
            percent(number(row["same"])),
            interval(number(row["low"]), number(row["high"]), percent),
            percent(number(row["same_correctness"])),
            str(int(row["n_traces"])),
        ]
        for row in points.sort_values("share").to_dict("records")
    ]


def _other_traces(
    points: pd.DataFrame,
) -> tuple[float | None, float | None, float | None] | None:
    """The same at each point of a curve."""
    if not len(points) or pd.isna(points["other_traces"].iloc[0]):
        return None
    row = points.iloc[0]
    columns = ("other_traces", "other_traces_low", "other_traces_high")
    value, low, high = (number(row[name]) for name in columns)
    return value, low, high
