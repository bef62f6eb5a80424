"""How alike the layers are, whether right and wrong traces look alike, and how many dimensions the
states fill.

Heat maps of similarity between layers, one a position; right against wrong traces beside what its
null gives; and the intrinsic dimension by layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.tables import place_of
from analysis.figures.text import decimal, interval, number
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.geometry.card import geometry_card
from analysis.page.sections.geometry.states import LINES, state_maps, trajectory_figures

__all__ = ["dimension_figure", "similarity_figure"]

NAMES = {"cka": "CKA", "rsa": "RSA"}


def similarity_figure(evidence: Evidence) -> dict[str, Any] | None:
    """Maps between layers by kind and position, and rows of right against wrong; None without."""
    table = evidence.get("similarity")
    if table.empty:
        return None
    layers = table[table["what"] == "layers"]
    rows = table[table["what"] == "right_wrong"]
    return {
        "kinds": [
            {"name": NAMES.get(kind, kind), "maps": _maps(layers[layers["kind"] == kind])}
            for kind in sorted(layers["kind"].unique())
        ],
        "rows": [_row(row) for row in rows.to_dict("records")],
    }


def _maps(layers: pd.DataFrame) -> list[dict[str, Any]]:
    maps = []
    for position in sorted(layers["position"].unique(), key=place_of):
        rows = layers[layers["position"] == position]
        names = sorted({*rows["layer"].astype(int), *rows["other"].astype(int)})
        cells = {(int(row["layer"]), int(row["other"])): row for row in rows.to_dict("records")}
        itself = {"value": 1.0, "low": 1.0, "high": 1.0, "n": int(rows["n"].max())}
        cells |= {(a, a): {"layer": a, "other": a, **itself} for a in names}
        found = [[cells.get((a, b)) or cells.get((b, a)) for b in names] for a in names]
        maps.append(
            {
                "position": str(position),
                "layers": names,
                "value": [
                    [number(row["value"]) if row else None for row in line] for line in found
                ],
                "words": [[_words(row) if row else "" for row in line] for line in found],
            }
        )
    return maps


def _words(row: dict[Any, Any]) -> str:
    span = interval(number(row["low"]), number(row["high"]), decimal)
    value = decimal(number(row["value"]))
    return f"Layers {row['layer']} and {row['other']}: {value} ({span}), n = {row['n']}"


def _row(row: dict[Any, Any]) -> list[str]:
    low, high = number(row["low"]), number(row["high"])
    numbers = [decimal(number(row["value"])), interval(low, high, decimal)]
    beside = ("null_mean", "null_high", "shuffled_mean", "shuffled_low")
    numbers += [decimal(number(row.get(name))) for name in beside]
    place = [NAMES.get(row["kind"], str(row["kind"])), str(row["position"]), str(row["layer"])]
    return [*place, *numbers, str(row["n"]), _reading(row)]


def _reading(row: dict[Any, Any]) -> str:
    """Right and wrong differ only where they are less alike than two random parts are."""
    value, least = number(row["value"]), number(row.get("shuffled_low"))
    if value is None or least is None:
        return "–"
    return "less alike than by chance" if value < least else "nothing: as by chance"


def dimension_figure(evidence: Evidence) -> dict[str, Any] | None:
    """A line a position against the layer, and rows with the mean EigenScore; None without."""
    table = evidence.get("dimension")
    if table.empty:
        return None
    table = table.sort_values("layer")
    scores = evidence.get("eigen_scores")
    means: dict[Any, float] = {}
    if len(scores):
        means = scores.groupby(["layer", "position"])["eigen_score"].mean().to_dict()
    lines = []
    for position in sorted(table["position"].unique(), key=place_of):
        rows = table[table["position"] == position]
        line: dict[str, Any] = {"name": str(position), "layer": [int(k) for k in rows["layer"]]}
        for name, column in {"y": "dimension", "low": "low", "high": "high"}.items():
            line[name] = [number(value) for value in rows[column]]
        lines.append(line)
    return {
        "lines": lines,
        "method": ", ".join(str(name) for name in table["method"].unique()),
        "rows": [
            [
                str(row["position"]),
                str(row["layer"]),
                decimal(number(row["dimension"])),
                interval(number(row["low"]), number(row["high"]), decimal),
                str(row["n"]),
                decimal(number(means.get((row["layer"], row["position"])))),
            ]
            for row in table.to_dict("records")
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What the section shows; None and empty where no table says it."""

    trajectories: list[dict[str, Any]]
    """Right and wrong traces step by step, a figure a layer."""
    states: dict[str, Any] | None
    """Maps of states."""
    similarity: dict[str, Any] | None
    """Maps of the similarity of layers."""
    dimension: dict[str, Any] | None
    """Intrinsic dimension by layer."""
    most_lines: int = LINES
    """Single traces of right and of wrong each that a trajectory figure draws at most."""


def geometry_data(evidence: Evidence) -> Geometry:
    """All four."""
    return Geometry(
        trajectories=trajectory_figures(evidence),
        states=state_maps(evidence),
        similarity=similarity_figure(evidence),
        dimension=dimension_figure(evidence),
    )


section(
    folder=__name__,
    name="geometry",
    title="How the states lie",
    navigation="Geometry",
    order=100,
    reads=["similarity", "dimension", "eigen_scores", "state_map", "trajectories"],
    data=geometry_data,
    plots=lambda evidence: any(
        map(len, map(evidence.get, ("dimension", "trajectories", "state_map")))
    ),
    sends=lambda data: data,
    cards=((50, geometry_card),),
)
