"""The answers that layers hold: which agree with the last one, how probable is the stated one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.figures.look import (
    COLOURS,
    DASHES,
    FAINT,
    NEUTRAL,
    add_line,
    between,
    draw,
)
from analysis.figures.tables import place_of, read
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["Commitment", "commitment", "consistency", "stated"]

MEASURES = {"agreement": "as read", "agreement_calibrated": "calibrated"}
"""Measure of `lens_layers` to what it is."""
COMMAND = "cot lens RUN"
LINE = ("layer", "estimate", "low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The layer from which on all later ones hold the final answer, over traces."""

    low: float
    """Lower quartile."""
    median: float
    """Median."""
    high: float
    """Upper quartile."""
    n: int
    """Traces that have one."""
    without: int
    """Traces with two candidates or more that have none."""


def consistency(run: Run) -> Figure:
    """How often each layer's latent answer right before the answer is the last layer's, beside
    another trace's of the question, from the table `lens_layers`.

    Raises:
        InputError: no such table, or no question has two candidates and two traces.
    """
    table = read(run, "lens_layers", COMMAND)
    table = table[table["measure"].isin(MEASURES) & table["estimate"].notna()]
    if table.empty:
        raise InputError(f"no question of {run.path} has two candidates and two traces to compare")
    caption = (
        f"n = {between(table['n_questions'])} questions with two traces and two candidates or more "
        f"(told apart by their first token), {between(table['n_traces'])} traces; each question "
        "weighs the same. Bands: 95%, bootstrap over questions. Control (grey, dotted): the last "
        "layer's answer in another trace of the question. The last layer agrees with itself by "
        "definition."
    )
    figure = draw("Latent answers: which layers say what the last one says?", caption)
    for place, (measure, label) in enumerate(MEASURES.items()):
        rows = table[table["measure"] == measure].sort_values("layer")
        if rows.empty:
            continue
        style: dict[str, Any] = {"colour": COLOURS[place], "dash": DASHES[place], "mode": "lines"}
        add_line(figure, rows, label, LINE, counted="n_traces", at="layer %{x}", **style)
        control = ("layer", "control", "control_low", "control_high")
        other: dict[str, Any] = {
            "colour": NEUTRAL,
            "dash": "dot",
            "mode": "lines",
            "width": 1.5,
            "band": False,
        }
        name = f"another trace’s final answer, {label}"
        add_line(figure, rows, name, control, at="layer %{x}", **other)
    _draw_commitment(figure, run)
    figure.update_xaxes(title="layer")
    return figure.update_yaxes(title="share as the last layer", tickformat=".0%", range=[0, 1.03])


def stated(run: Run) -> Figure:
    """The mean probability of the stated answer among the candidates, by layer and position, from
    the table `lens_layers`.

    Raises:
        InputError: no such table, or no trace states one of its question's candidates.
    """
    table = read(run, "lens_layers", COMMAND)
    table = table[(table["measure"] == "p_stated") & table["estimate"].notna()]
    if table.empty:
        raise InputError(f"no trace of {run.path} states one of two candidates or more")
    caption = (
        f"n = {between(table['n_questions'])} questions with two candidates or more, "
        f"{between(table['n_traces'])} traces; each question weighs the same. Bands: 95%, "
        "bootstrap over questions. No control: the figure of agreement has one."
    )
    figure = draw("Latent answers: how probable is the stated one?", caption)
    for place, position in enumerate(sorted(table["position"].unique(), key=place_of)):
        rows = table[table["position"] == position].sort_values("layer")
        style: dict[str, Any] = {
            "colour": COLOURS[place % 6],
            "dash": DASHES[place % 4],
            "mode": "lines",
        }
        more: dict[str, Any] = {"show": ".2f", "counted": "n_traces", "at": "layer %{x}"}
        add_line(figure, rows, str(position), LINE, **style, **more)
    _draw_commitment(figure, run)
    figure.update_xaxes(title="layer")
    return figure.update_yaxes(title="p(stated answer)", range=[0, 1.03])


def commitment(traces: pd.DataFrame) -> Commitment | None:
    """Quartiles of the commitment layer over the traces of the table `lens_traces` whose question
    has two candidates or more; None where no trace has such a layer."""
    several = traces[traces["n_candidates"] > 1]
    known = several["commitment_layer"].dropna().astype(int)
    if known.empty:
        return None
    low, middle, high = (float(known.quantile(q)) for q in (0.25, 0.5, 0.75))
    without = len(several) - len(known)
    return Commitment(low=low, median=middle, high=high, n=len(known), without=without)


def _draw_commitment(figure: Figure, run: Run) -> None:
    found = commitment(run.table("lens_traces")) if "lens_traces" in run.tables() else None
    if found is not None:
        figure.add_vrect(
            found.low, found.high, fillcolor=FAINT, opacity=0.5, line_width=0, layer="below"
        )
        line = {"color": NEUTRAL, "width": 1.5, "dash": "longdash"}
        figure.add_vline(found.median, line=line, layer="below")
