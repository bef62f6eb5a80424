"""Does a signal of confidence predict what is right?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import COLOURS, NEUTRAL, draw
from analysis.figures.tables import read, rows_of
from cot.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["calibration"]

PANELS = {"reliability": "reliability", "risk_coverage": "risk against coverage"}
AXES = {
    "reliability": ("probability given", "share right"),
    "risk_coverage": ("share kept, most confident first", "share wrong among them"),
}


def calibration(run: Run, signal: str = "vote_share") -> Figure:
    """Reliability (of a signal that is a probability) and risk-coverage, from the tables
    `calibration` and `calibration_curves`.

    Raises:
        InputError: no such table or signal, or one that nothing could be drawn of.
    """
    scores = read(run, "calibration", "cot calibration RUN")
    row = rows_of(run, scores, "signal", signal).iloc[0]
    curves = read(run, "calibration_curves", "cot calibration RUN")
    drawn = dict(list(curves[curves["signal"] == signal].groupby("kind")))
    kinds = [kind for kind in PANELS if kind in drawn]
    if not kinds:
        raise InputError(f"signal {signal} of {run.path} can't be drawn: {row['note']}")
    caption = (
        f"{row['confident']} counts as confident. AUROC {row['auroc']:.2f}, 95% interval "
        f"{row['low']:.2f} to {row['high']:.2f} (bootstrap over questions; chance 0.50); n = "
        f"{row['n']} {row['unit']}s ({row['n_questions']} questions), "
        f"{row['no_gold'] + row['no_answer'] + row['no_signal']} left out. The curves have no "
        "interval: numbers at bins are their n. Controls: dashed, no ranking (or a probability "
        f"that is kept); dotted, a perfect ranking. {row['note']}"
    )
    figure = draw(f"Confidence: {signal}", caption, [PANELS[kind] for kind in kinds])
    for col, kind in enumerate(kinds, start=1):
        rows, at = drawn[kind], {"row": 1, "col": col, "showlegend": False}
        dashed, own = {"dash": "dash", "color": NEUTRAL}, {"color": COLOURS[0]}
        if kind == "reliability":
            figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=dashed, **at)
            text = {"text": rows["n"], "textposition": "top center", "mode": "lines+markers+text"}
            figure.add_scatter(x=rows["x"], y=rows["y"], marker=own, **text, **at)
        else:
            right, ends = row["prevalence"], [rows["x"].min(), 1]
            figure.add_scatter(x=ends, y=[1 - right] * 2, mode="lines", line=dashed, **at)
            perfect = ((rows["x"] - right) / rows["x"]).clip(lower=0)
            dotted = {"dash": "dot", "color": NEUTRAL}
            figure.add_scatter(x=rows["x"], y=perfect, mode="lines", line=dotted, **at)
            figure.add_scatter(x=rows["x"], y=rows["y"], mode="lines", line=own, **at)
        figure.update_xaxes(title=AXES[kind][0], range=[0, 1.05], row=1, col=col)
        figure.update_yaxes(title=AXES[kind][1], range=[0, 1.05], row=1, col=col)
    return figure
