"""Does a signal of confidence predict what is right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import COLOURS, NEUTRAL, draw, shown
from analysis.figures.tables import read, rows_of
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["calibration"]

PANELS = {"reliability": "reliability", "risk_coverage": "risk against coverage"}
COMMAND = "cot calibrate RUN"
HEIGHT = 210
"""Of the panels, in pixels."""
AXES = {
    "reliability": ("mean in the bin", "share right"),
    "risk_coverage": ("share kept, most confident first", "share wrong among them"),
}


def calibration(run: Run, signal: str = "vote_share", kind: str | None = None) -> Figure:
    """Reliability (of a signal that is a probability) and risk-coverage, from the tables
    `calibration` and `calibration_curves`.

    Args:
        kind: `reliability` or `risk_coverage` alone; by default both.

    Raises:
        InputError: no such table or signal, or one that nothing could be drawn of.
    """
    scores = read(run, "calibration", COMMAND)
    row = rows_of(run, scores, "signal", signal).iloc[0]
    curves = read(run, "calibration_curves", COMMAND)
    drawn = dict(list(curves[curves["signal"] == signal].groupby("kind")))
    kinds = [each for each in PANELS if each in drawn and kind in (None, each)]
    if not kinds:
        raise InputError(f"signal {signal} of {run.path} can't be drawn: {row['note']}")
    caption = (
        f"{row['confident']} counts as confident. AUROC {row['auroc']:.2f}, 95% interval "
        f"{row['low']:.2f} to {row['high']:.2f} (bootstrap over questions; chance 0.50); n = "
        f"{row['n']} {row['unit']}s ({row['n_questions']} questions), "
        f"{row['no_gold'] + row['no_answer'] + row['no_signal']} left out. The curves have no "
        "interval: the larger the point of a bin, the more items. Controls: dashed, no ranking (or "
        f"a probability that is kept); dotted, a perfect ranking. {row['note']}"
    )
    figure = draw(f"Confidence: {signal}", caption, [PANELS[each] for each in kinds], height=HEIGHT)
    for col, each in enumerate(kinds, start=1):
        at = {"row": 1, "col": col, "showlegend": False}
        if each == "reliability":
            _draw_bins(figure, drawn[each], at)
        else:
            _draw_risk(figure, drawn[each], float(row["prevalence"]), signal, at)
        percents = {"tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1], "row": 1, "col": col}
        figure.update_xaxes(title=AXES[each][0], range=[-0.02, 1.05], **percents)
        figure.update_yaxes(title=AXES[each][1], range=[-0.02, 1.05], **percents)
    return figure


def _draw_bins(figure: Figure, rows: pd.DataFrame, at: dict[str, Any]) -> None:
    dashed = {"dash": "dash", "color": NEUTRAL, "width": 1.5}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=dashed, hoverinfo="skip", **at)
    size = 5 + 11 * (rows["n"] / rows["n"].max()) ** 0.5  # the area tells the number of items
    figure.add_scatter(
        x=rows["x"],
        y=rows["y"],
        mode="lines+markers",
        line={"color": COLOURS[0] + "33", "width": 1.5},
        marker={"color": COLOURS[0], "size": size},
        customdata=rows["n"],
        hovertemplate="mean %{x:.0%}: %{y:.0%} right, n = %{customdata}<extra></extra>",
        **at,
    )


def _draw_risk(
    figure: Figure, rows: pd.DataFrame, right: float, signal: str, at: dict[str, Any]
) -> None:
    perfect = ((rows["x"] - right) / rows["x"]).clip(lower=0)
    for name, y, colour, dash, width in (
        ("chance", [1 - right] * len(rows), NEUTRAL, "dash", 1.5),
        ("oracle", perfect, COLOURS[2], "dot", 1.5),
        (shown(signal), rows["y"], COLOURS[0], "solid", 2.5),
    ):
        hover = "most confident %{x:.0%} (%{customdata}): %{y:.1%} wrong"
        figure.add_scatter(
            x=rows["x"],
            y=y,
            name=name,
            mode="lines",
            line={"color": colour, "dash": dash, "width": width},
            customdata=rows["n"],
            hovertemplate=f"{hover}<extra>{name}</extra>",
            **at,
        )
