"""How much of the reasoning's effect on the answer goes through the states of the answer's cue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.interventions import CONTROLS, PATHS
from analysis.figures.look import COLOURS, DASHES, NEUTRAL, add_line, between, draw, mark
from analysis.figures.tables import read, rows_of
from analysis.figures.text import decimal, interval, number
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["mediation_by_layer"]


def mediation_by_layer(run: Run, method: str = "mediation") -> Figure:
    """Indirect and direct share of the reasoning's effect by layer, each with its interval and its
    control (dotted), and the total effect in words; from the table `intervention_effects`.

    Args:
        method: as typed, parameters included.

    Raises:
        InputError: no such table, or no mediation in it.
    """
    table = read(run, "intervention_effects", f"cot intervene RUN --method {method}")
    found = rows_of(run, table, "method", method)
    rows = found[found["layer"].notna() & found["measure"].isin(PATHS)]
    rows = rows.sort_values(["headline", "layer"], kind="stable")
    rows = rows.drop_duplicates(["measure", "layer", "control"]).sort_values("layer")
    if rows.empty:
        raise InputError(f"{method} of {run.path} has no effect by layer to draw")
    named = [CONTROLS.get(each, each) for each in dict.fromkeys(rows["control"]) if each]
    control = ", ".join(named) or "none"
    caption = (
        f"n = {between(rows['n_questions'])} questions, {between(rows['n_traces'])} traces; "
        f"{between(rows['n_excluded'])} left out. Bands: 95%, bootstrap over questions. Control, "
        f"dotted in the same colour: {control}.{_total(found)} Indirect: the share that the cue's "
        "states bring into a pass without reasoning; direct: the share left with the cue's states "
        "of that pass."
    )
    figure = draw("Mediation by layer: shares of the total effect", caption, height=320)
    for place, measure in enumerate(PATHS):
        own = rows[rows["measure"] == measure]
        at: dict[str, Any] = {"at": "layer %{x}", "show": ".3f", "row": 1, "col": 1}
        at |= {"colour": COLOURS[place], "counted": "n_traces"}
        beside = ("layer", "control_effect", "control_low", "control_high")
        thin: dict[str, Any] = {"dash": "dot", "width": 1.5, "band": False, "showlegend": False}
        for control, other in own[own["control"] != ""].groupby("control", sort=False):
            name = f"{measure}, {CONTROLS.get(str(control), control)}"
            add_line(figure, other, name, beside, **thin, **at)
        at |= {"dash": DASHES[place], "marker": {"size": 7, "symbol": mark(place)["symbol"]}}
        first = own.drop_duplicates("layer")
        add_line(figure, first, measure, ("layer", "effect", "low", "high"), **at)
    for level in (0, 1):
        figure.add_hline(level, line={"color": NEUTRAL, "width": 1}, layer="below")
    figure.update_xaxes(title="layer", tickvals=sorted(rows["layer"].astype(int).unique()))
    return figure.update_yaxes(title="share of the total effect")


def _total(rows: pd.DataFrame) -> str:
    """The total effect in a sentence; empty where it is not known."""
    total = rows[rows["measure"] == "total"]
    if total.empty:
        return ""
    row = total.iloc[0]
    ends = interval(number(row["low"]), number(row["high"]), decimal)
    return f" Total: {decimal(number(row['effect']))} nats ({ends})."
