"""The rate of the trace's own answer by the share of its reasoning that is kept.

Each test that keeps shares has a panel: all lengths together with a band, every length that enough
traces have as a thin line, greedy traces beside, and how often another trace of the question states
the same answer, which is what a curve is measured against.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.page.data import Evidence
from analysis.page.faithfulness import base_of
from analysis.page.text import interval, number, percent
from analysis.statistics import ratio_interval
from cot.types import TRACE_KEY

__all__ = ["FEWEST", "kept_figures"]

FEWEST = 10
"""Traces that a length must have for a line of its own."""
AXES = {"filler": "dots, as a share of the reasoning’s tokens"}
"""What the share is of, where it isn't of the reasoning that is kept."""
MEANINGS = {
    "filler": "A curve that rises with the dots would say that room to compute is of use, whatever "
    "is written in it.",
}
MEANING = "A curve that rises late speaks for reasoning that is used; it can't tell why."


def kept_figures(evidence: Evidence) -> list[dict[str, Any]]:
    """A panel a test, in the order of the table `faithfulness_curves`."""
    table = evidence.get("faithfulness_curves")
    if not len(table):
        return []
    return [_panel(evidence, str(test), rows) for test, rows in table.groupby("test", sort=False)]


def _panel(evidence: Evidence, test: str, rows: pd.DataFrame) -> dict[str, Any]:
    whole = rows[rows["n_steps"].isna()]
    sampled, greedy = whole[~whole["greedy"].astype(bool)], whole[whole["greedy"].astype(bool)]
    lengths = [
        (int(n), points)
        for n, points in rows[~rows["greedy"].astype(bool)]
        .dropna(subset="n_steps")
        .groupby("n_steps")
    ]
    many = [(n, points) for n, points in lengths if points["n_traces"].max() >= FEWEST]
    lines = [_line("all lengths", "all", sampled)]
    lines += [_line(f"{n} step{'s' * (n > 1)}", "length", points) for n, points in many]
    lines += [_line("greedy traces", "greedy", greedy)] * bool(len(greedy))
    return {
        "test": test,
        "axis": AXES.get(base_of(test), "share of the reasoning that is kept"),
        "meaning": MEANINGS.get(base_of(test), MEANING),
        "lines": [line for line in lines if line["share"]],
        "fresh": _fresh(evidence, test),
        "n_traces": int(sampled["n_traces"].max()) if len(sampled) else 0,
        "n_questions": int(sampled["n_questions"].max()) if len(sampled) else 0,
        "n_greedy": int(greedy["n_traces"].max()) if len(greedy) else 0,
        "few": [n for n, points in lengths if points["n_traces"].max() < FEWEST],
        "rows": [cells for line in lines for cells in _cells(line)],
    }


def _line(name: str, kind: str, points: pd.DataFrame) -> dict[str, Any]:
    ordered = points.sort_values("share")
    names = ("share", "same", "low", "high", "same_correctness")
    columns = {column: [number(value) for value in ordered[column]] for column in names}
    return {"name": name, "kind": kind, **columns, "n": [int(n) for n in ordered["n_traces"]]}


def _cells(line: dict[str, Any]) -> list[list[str]]:
    return [
        [
            line["name"],
            percent(share),
            percent(line["same"][i]),
            interval(line["low"][i], line["high"][i], percent),
            percent(line["same_correctness"][i]),
            str(line["n"][i]),
        ]
        for i, share in enumerate(line["share"])
    ]


def _fresh(evidence: Evidence, test: str) -> dict[str, float | None] | None:
    """How often another trace of the question states the answer, over the curve's own traces."""
    traces, readings = evidence.get("faithfulness_traces"), evidence.get("faithfulness")
    if not len(traces):
        return None
    own = traces[(traces["test"] == test) & ~traces["greedy"].astype(bool)]
    if len(readings):
        drawn = readings["share"].notna() & ~readings["control"] & ~readings["greedy"].astype(bool)
        points = readings[drawn & (readings["test"] == test)]
        known = points["same"].notna().groupby([points[key] for key in TRACE_KEY]).all()
        own = own.merge(known[known].reset_index()[TRACE_KEY], on=TRACE_KEY)
    own = own[own["fresh"].notna()]
    if not len(own):
        return None
    per = own.groupby("question_id")["fresh"].agg(["sum", "size"])
    low, high = ratio_interval(per["sum"], per["size"])
    value = own["fresh"].mean()
    return {"value": number(value), "low": number(low), "high": number(high)}
