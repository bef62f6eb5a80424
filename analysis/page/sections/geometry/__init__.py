"""Shape of the hidden states: right and wrong traces step by step, where traces are, how alike
layers are, and how many dimensions the states fill.

The figures are those of notebooks; the map of states, in which a reader chooses, is the page's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis import figures
from analysis.figures.states import LINES, NAMES
from analysis.figures.text import decimal, interval, number
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.geometry.card import geometry_card
from analysis.page.sections.geometry.states import StateMaps, state_maps
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Geometry", "Steps", "dimension_rows", "similarity_rows", "step_tables"]

FEWEST = 5
"""Questions that a difference needs to be given."""
MOST_ROWS = 40
"""Steps of which a difference is listed, evenly spaced; the figure and the table have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Right and wrong traces at one layer."""

    layer: int
    """Which."""
    rows: list[list[str]]
    """Right minus wrong within questions: step, x, interval, y, interval, questions."""
    of: int
    """Steps with a difference, of which at most MOST_ROWS are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What the section shows; None and empty where no table says it."""

    steps: list[Steps]
    """Right and wrong traces step by step, one a layer."""
    states: StateMaps | None
    """Maps of states."""
    kinds: list[tuple[str, str]]
    """Measures of similarity of layers, each with what the page calls it."""
    similarity: list[list[str]]
    """Right against wrong traces, a row a layer and position."""
    method: str
    """How the dimension was estimated."""
    dimension: list[list[str]]
    """Dimension and EigenScore, a row a layer and position."""
    most_lines: int = LINES
    """Single traces of right and of wrong each that a figure draws at most."""


def geometry_data(evidence: Evidence) -> Geometry:
    """All of it."""
    similar, dimension = evidence.get("similarity"), evidence.get("dimension")
    return Geometry(
        steps=step_tables(evidence),
        states=state_maps(evidence),
        kinds=[(kind, NAMES.get(kind, kind)) for kind in _kinds(similar)],
        similarity=similarity_rows(similar),
        method=", ".join(str(name) for name in dimension["method"].unique())
        if len(dimension)
        else "",
        dimension=dimension_rows(evidence),
    )


def geometry_figures(run: Run) -> dict[str, Figure]:
    """`steps/LAYER`, `similarity/MEASURE` and `dimension`, of the tables that are there."""
    there = run.tables()
    found: dict[str, Figure] = {}
    if {"trajectory_steps", "trajectories", "answers"} <= set(there):
        layers = _drawn_layers(run.table("trajectory_steps"))
        found |= {f"steps/{layer}": figures.state_steps(run, layer) for layer in layers}
    if "similarity" in there:
        kinds = _kinds(run.table("similarity"))
        found |= {f"similarity/{kind}": figures.similarity(run, kind) for kind in kinds}
    if "dimension" in there and len(run.table("dimension")):
        found["dimension"] = figures.dimension(run)
    return found


def step_tables(evidence: Evidence) -> list[Steps]:
    """The differences of the table `trajectory_steps`, by layer."""
    table = evidence.get("trajectory_steps")
    if table.empty or not {"trajectories", "answers"} <= set(evidence.tables):
        return []
    gaps = table[(table["what"] == "difference") & (table["n_questions"] >= FEWEST)]
    return [
        Steps(
            layer=layer,
            rows=[_difference(row) for row in _spaced(mine).to_dict("records")],
            of=len(mine),
        )
        for layer in _drawn_layers(table)
        for mine in [gaps[gaps["layer"] == layer].sort_values("step")]
    ]


def _spaced(rows: pd.DataFrame) -> pd.DataFrame:
    """All rows, or MOST_ROWS of them with even gaps, the first and the last among them."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(int)]


def _difference(row: dict[Any, Any]) -> list[str]:
    cells = ["prompt_end" if row["step"] < 0 else str(int(row["step"]))]
    for axis in "xy":
        low, high = number(row[f"{axis}_low"]), number(row[f"{axis}_high"])
        cells += [decimal(number(row[axis])), interval(low, high, decimal)]
    return [*cells, str(row["n_questions"])]


def _drawn_layers(table: pd.DataFrame) -> list[int]:
    """Layers at which a trace is known to be right or wrong."""
    return sorted(int(layer) for layer in table["layer"].unique())


def _kinds(similarity: pd.DataFrame) -> list[str]:
    """Measures by which layers are compared."""
    if similarity.empty:
        return []
    return sorted(similarity.loc[similarity["what"] == "layers", "kind"].unique())


def similarity_rows(table: pd.DataFrame) -> list[list[str]]:
    """Right against wrong traces beside both nulls, from the table `similarity`."""
    if table.empty:
        return []
    return [_row(row) for row in table[table["what"] == "right_wrong"].to_dict("records")]


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


def dimension_rows(evidence: Evidence) -> list[list[str]]:
    """Position, layer, dimension, interval, n, mean EigenScore."""
    scores = evidence.get("eigen_layers")
    means: dict[Any, Any] = {}
    if len(scores):
        means = scores.set_index(["layer", "position"])["eigen_score"].to_dict()
    table = evidence.get("dimension")
    return [
        [
            str(row["position"]),
            str(row["layer"]),
            decimal(number(row["dimension"])),
            interval(number(row["low"]), number(row["high"]), decimal),
            str(row["n"]),
            decimal(number(means.get((row["layer"], row["position"])))),
        ]
        for row in (table.sort_values("layer") if len(table) else table).to_dict("records")
    ]


section(
    folder=__name__,
    name="geometry",
    title="Shape of the hidden states",
    navigation="Geometry",
    order=100,
    reads=["similarity", "dimension", "eigen_layers", "state_map", "trajectory_steps"],
    downloads=["similarity", "dimension", "eigen_scores", "state_map", "trajectories"],
    data=geometry_data,
    sends=lambda data: data.states,
    figure=geometry_figures,
    plots=lambda evidence: len(evidence.get("state_map")) > 0,
    cards=((50, geometry_card),),
)
