"""What each layer already believes: the lens over the run by layer, and in single traces by token.

The figures are those of notebooks, from the table `lens_layers`: how often a layer's latent answer
right before the answer is the last layer's, beside that of another trace of the question; and the
mean probability of the stated answer, by position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis import figures
from analysis.figures.latent import Commitment, commitment
from analysis.figures.tables import place_of
from analysis.figures.text import decimal, interval, number, percent
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.lens.card import lens_card
from analysis.page.sections.lens.tokens import TokenMap, left_out, token_maps
from cot.errors import InputError
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Lens", "LensLayers", "lens_layers"]

AGREEING = {"agreement": "raw", "agreement_calibrated": "calibrated"}
"""Measure of `lens_layers` to what the page calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LensLayers:
    """What stands around the figures."""

    agreeing: bool
    """Whether any question can be compared with the last layer's answer."""
    stated: bool
    """Whether the probability of the stated answer is known anywhere."""
    n_questions: int
    """Questions at most."""
    n_traces: int
    """Traces at most."""
    commitment: Commitment | None
    """Where traces commit."""
    heads: list[str]
    """Of `rows`."""
    rows: list[list[str]]
    """One a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """What the section shows."""

    layers: LensLayers | None
    """Numbers by layer; None where no table has any."""
    tokens: list[TokenMap]
    """Maps of single traces, token by token."""
    left_out: int
    """Stored traces without a map."""


def lens_data(evidence: Evidence) -> Lens:
    """Numbers and maps."""
    maps = token_maps(evidence)
    return Lens(layers=lens_layers(evidence), tokens=maps, left_out=left_out(evidence, maps))


def lens_figures(run: Run) -> dict[str, Figure]:
    """`agreeing` and `stated`, where they can be drawn."""
    found = {}
    drawings: dict[str, Callable[[Run], Figure]] = {
        "agreeing": figures.consistency,
        "stated": figures.stated,
    }
    for name, draw in drawings.items():
        try:
            found[name] = draw(run)
        except InputError:
            continue  # the table is missing, which the notice says, or has nothing to draw
    return found


def lens_layers(evidence: Evidence) -> LensLayers | None:
    """The numbers of the table `lens_layers`; None where it has none."""
    table, traces = evidence.get("lens_layers"), evidence.get("lens_traces")
    known = table.dropna(subset=["estimate"]) if len(table) else table
    if known.empty:
        return None
    heads, rows = _table(known)
    return LensLayers(
        agreeing=bool(known["measure"].isin(AGREEING).any()),
        stated=bool((known["measure"] == "p_stated").any()),
        n_questions=int(known["n_questions"].max()),
        n_traces=int(known["n_traces"].max()),
        commitment=commitment(traces) if len(traces) else None,
        heads=heads,
        rows=rows,
    )


def _table(known: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A column a line of the figures with its interval, and the raw agreement's control."""
    heads = ["Layer"]
    columns: list[Callable[[int], list[str]]] = []
    for measure, name in AGREEING.items():
        if len(mine := known[known["measure"] == measure]):
            heads += [f"As the last, {name}", "95% interval"]
            columns.append(_column(mine, "", percent))
    if len(mine := known[known["measure"] == "agreement"]) and mine["control"].notna().any():
        heads += ["As another trace's last", "95% interval"]
        columns.append(_column(mine, "control", percent))
    stated = known[known["measure"] == "p_stated"]
    for position in sorted(stated["position"].unique(), key=place_of):
        heads += [f"p(stated) at {position}", "95% interval"]
        columns.append(_column(stated[stated["position"] == position], "", decimal))
    layers = sorted(int(layer) for layer in known["layer"].unique())
    rows = [
        [str(layer), *(cell for column in columns for cell in column(layer))] for layer in layers
    ]
    return heads, rows


def _column(
    rows: pd.DataFrame, control: str, show: Callable[[float | None], str]
) -> Callable[[int], list[str]]:
    """A layer's value and interval, as shown."""
    by_layer = rows.set_index("layer").to_dict("index")
    names = [control or "estimate", *(f"{control}_{end}".strip("_") for end in ("low", "high"))]

    def cells(layer: int) -> list[str]:
        row = by_layer.get(layer)
        if row is None:
            return ["–", "–"]
        value, low, high = (number(row[name]) for name in names)
        return [show(value), interval(low, high, show)]

    return cells


section(
    folder=__name__,
    name="lens",
    title="Latent answers, layer by layer",
    navigation="Lens",
    order=90,
    reads=["lens_layers", "lens_traces", "lens_tokens"],
    downloads=["lens_layers", "lens_traces", "lens_tokens", "lens"],
    data=lens_data,
    sends=lambda data: data.tokens,
    figure=lens_figures,
    cards=((40, lens_card),),
)
