"""Where the states of traces lie: maps in which a reader chooses place and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.tables import place_of
from analysis.figures.text import count, flag
from analysis.page.evidence import Evidence
from cot.types import TRACE_KEY

__all__ = ["POINTS", "StateMap", "StateMaps", "state_maps"]

POINTS = 4000
"""Traces that one map draws at most, evenly taken."""
MAPS = 12
"""Maps that one page carries."""
RANKED = 4
"""Answers and paths of a question that have a colour of their own, the most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMap:
    """The traces at one layer and position."""

    layer: int
    """Which."""
    position: str
    """Which."""
    method: str
    """How the plane was made: pca, tsne, umap."""
    x: list[float]
    """Of each trace drawn."""
    y: list[float]
    """Of each trace drawn."""
    row: list[int]
    """Each one's place in `StateMaps.traces`."""
    n: int
    """Traces there, drawn or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMaps:
    """Maps that share their traces."""

    maps: list[StateMap]
    """At most `MAPS`."""
    traces: list[list[Any]]
    """Question, index, right, rank of the answer, rank of the cluster; None where unknown."""
    left_out: int
    """Maps beyond the first `MAPS`."""
    ranked: int
    """Ranks that have a colour of their own."""


def state_maps(evidence: Evidence) -> StateMaps | None:
    """The maps of the table `state_map`; None without it."""
    table = evidence.get("state_map")
    table = table[np.isfinite(table[["x", "y"]]).all(axis=1)] if len(table) else table
    if table.empty:
        return None
    places = table[["position", "layer", "method"]].drop_duplicates().to_dict("records")
    places = sorted(places, key=lambda at: (at["method"], place_of(at["position"]), at["layer"]))
    keys = table[TRACE_KEY].drop_duplicates().sort_values(TRACE_KEY, kind="stable")
    keys = keys.iloc[:: -(-len(keys) // POINTS)].reset_index(drop=True)
    at = keys.assign(row=np.arange(len(keys)))
    maps = []
    for place in places[:MAPS]:
        mine = table
        for name, value in place.items():
            mine = mine[mine[name] == value]
        drawn = mine.merge(at, on=TRACE_KEY)
        maps.append(
            StateMap(
                layer=int(place["layer"]),
                position=str(place["position"]),
                method=str(place["method"]),
                x=[_rounded(value) for value in drawn["x"]],
                y=[_rounded(value) for value in drawn["y"]],
                row=[int(row) for row in drawn["row"]],
                n=len(mine),
            )
        )
    return StateMaps(
        maps=maps,
        traces=_described(keys, evidence),
        left_out=max(0, len(places) - MAPS),
        ranked=RANKED,
    )


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


def _rounded(value: Any) -> float:
    """Four significant digits, enough for a picture."""
    return float(f"{float(value):.4g}")
