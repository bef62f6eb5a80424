"""Where the states of traces lie: the state map, and how right and wrong traces move with steps.

The lines of a trajectory figure are means over traces; right and wrong traces come from different
questions in part, so that the table below compares them within a question, where both exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.tables import place_of
from analysis.figures.text import count, decimal, flag, interval, number
from analysis.page.evidence import Evidence
from analysis.statistics import mean_interval
from cot.types import TRACE_KEY

__all__ = ["POINTS", "state_maps", "trajectory_figures"]

POINTS = 4000
"""Traces that one map draws at most, evenly taken."""
MAPS = 12
"""Maps that one page carries."""
LINES = 60
"""Single traces that a trajectory figure draws of right and of wrong each, evenly taken."""
FEWEST = 5
"""Traces that a mean needs to be drawn, and questions that a difference needs to be given."""
RANKED = 4
"""Answers and paths of a question that have a colour of their own, the most frequent first."""


def state_maps(evidence: Evidence) -> dict[str, Any] | None:
    """`maps` (layer, position, method, and per trace x, y and its row) and `traces`, each row
    [question, index, right, rank of the answer, rank of the path]; None without a table."""
    table = evidence.get("state_map")
    table = table[np.isfinite(table[["x", "y"]]).all(axis=1)] if len(table) else table
    if table.empty:
        return None
    places = table[["position", "layer", "method"]].drop_duplicates().to_dict("records")
    places = sorted(places, key=lambda at: (at["method"], place_of(at["position"]), at["layer"]))
    keys = (
        table[TRACE_KEY]
        .drop_duplicates()
        .sort_values(TRACE_KEY, kind="stable")
        .reset_index(drop=True)
    )
    keys = keys.iloc[:: -(-len(keys) // POINTS)].reset_index(drop=True)
    rows = _described(keys, evidence)
    at = keys.assign(row=np.arange(len(keys)))
    maps = []
    for place in places[:MAPS]:
        mine = table
        for name, value in place.items():
            mine = mine[mine[name] == value]
        drawn = mine.merge(at, on=TRACE_KEY)
        maps.append(
            {
                "layer": int(place["layer"]),
                "position": str(place["position"]),
                "method": str(place["method"]),
                "x": [_rounded(value) for value in drawn["x"]],
                "y": [_rounded(value) for value in drawn["y"]],
                "row": [int(row) for row in drawn["row"]],
                "n": len(mine),
            }
        )
    return {"maps": maps, "traces": rows, "left_out": max(0, len(places) - MAPS), "ranked": RANKED}


def _described(keys: pd.DataFrame, evidence: Evidence) -> list[list[Any]]:
    """[question, index, right, answer's rank, path's rank] of each trace; ranks are by size in the
    question, None without one."""
    frame = keys
    for table, column in (("answers", "answer"), ("paths", "cluster")):
        given = evidence.get(table)
        if given.empty:
            frame = frame.assign(
                **{column: None, **({"correct": None} if column == "answer" else {})}
            )
            continue
        extra = ["correct"] if column == "answer" else []
        ranked = given[[*TRACE_KEY, *extra]].assign(**{column: _ranks(given, column)})
        frame = frame.merge(ranked, on=TRACE_KEY, how="left")
    return [
        [
            str(row["question_id"]),
            count(row["sample_index"]),
            flag(row["correct"]),
            count(row["answer"]),
            count(row["cluster"]),
        ]
        for row in frame.to_dict("records")
    ]


def _ranks(table: pd.DataFrame, column: str) -> pd.Series[Any]:
    """0 for the question's most frequent value, at most `RANKED`; null where there is none."""
    sizes = table.groupby(["question_id", column], dropna=True).size().rename("n").reset_index()
    sizes = sizes.sort_values(["question_id", "n"], ascending=[True, False], kind="stable")
    sizes["rank"] = sizes.groupby("question_id").cumcount().clip(upper=RANKED)
    ranked = table[["question_id", column]].merge(sizes, on=["question_id", column], how="left")
    return ranked["rank"].set_axis(table.index)


def trajectory_figures(evidence: Evidence) -> list[dict[str, Any]]:
    """One figure a layer: `sides`, right and wrong, each with mean, spread and single lines of x
    and y by step; and rows that compare the two within questions."""
    table, answers = evidence.get("trajectories"), evidence.get("answers")
    if table.empty or answers.empty:
        return []
    known = answers.loc[answers["correct"].notna(), [*TRACE_KEY, "correct"]]
    moved = table.dropna(subset=["x", "y"]).merge(known, on=TRACE_KEY)
    moved = moved.assign(right=moved["correct"].astype(bool)).sort_values([*TRACE_KEY, "step"])
    return [
        {
            "layer": int(layer),
            "sides": [_side(rows[rows["right"] == right], right) for right in (True, False)],
            "rows": _differences(rows),
        }
        for layer, rows in moved.groupby("layer")
    ]


def _side(rows: pd.DataFrame, right: bool) -> dict[str, Any]:
    traces = rows[TRACE_KEY].drop_duplicates()
    some = rows.merge(traces.iloc[:: max(1, -(-len(traces) // LINES))], on=TRACE_KEY)
    steps = rows.groupby("step")[["x", "y"]].agg(["mean", "std", "size"])
    steps = steps[steps["x", "size"] >= FEWEST]
    return {
        "right": right,
        "n": len(traces),
        "step": [int(step) for step in steps.index],
        "traces": [int(n) for n in steps["x", "size"]],
        "mean": {axis: [_rounded(v) for v in steps[axis, "mean"]] for axis in "xy"},
        "spread": {axis: [_rounded(v) for v in steps[axis, "std"].fillna(0.0)] for axis in "xy"},
        "lines": [
            {
                "name": f"{trace['question_id'].iloc[0]} #{trace['sample_index'].iloc[0]}",
                "step": [int(step) for step in trace["step"]],
                **{axis: [_rounded(v) for v in trace[axis]] for axis in "xy"},
            }
            for _, trace in some.groupby(TRACE_KEY, sort=False)
        ],
    }


def _differences(rows: pd.DataFrame) -> list[list[str]]:
    """Per step with `FEWEST` questions that have both: right minus wrong, mean over them, x and y
    with intervals."""
    found = []
    for step, here in rows.groupby("step"):
        means = here.groupby(["question_id", "right"])[["x", "y"]].mean().unstack("right")
        means = means.dropna()
        if len(means) < FEWEST or len(means.columns) < 4:
            continue
        cells = ["prompt_end" if step < 0 else str(int(step))]
        for axis in "xy":
            gap = (means[axis, True] - means[axis, False]).to_numpy(float)
            low, high = mean_interval(gap)
            cells += [decimal(float(gap.mean())), interval(number(low), number(high), decimal)]
        found.append([*cells, str(len(means))])
    return found


def _rounded(value: Any) -> float:
    """Four significant digits, enough for a picture."""
    return float(f"{float(value):.4g}")
