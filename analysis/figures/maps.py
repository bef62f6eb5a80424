"""Traces in the plane: a question's reasoning paths, and the ways of hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import COLOURS, NEUTRAL, draw, shown
from analysis.figures.tables import read, rows_of
from cot.types import TRACE_KEY

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["paths", "trajectories"]

VERDICTS = {
    "right": ("circle", COLOURS[0]),
    "wrong": ("x", COLOURS[1]),
    "not judged": ("circle-open", NEUTRAL),
}
"""A trace's verdict to its symbol and colour."""


def paths(run: Run, question_id: str) -> Figure:
    """A question's traces on its map, the colour a path, the symbol right or wrong; from the tables
    `path_map`, `paths` and `answers`.

    Raises:
        InputError: no such table or question.
    """
    places = rows_of(run, read(run, "path_map", "cot paths RUN"), "question_id", question_id)
    traces = places.merge(
        read(run, "paths", "cot paths RUN")[[*TRACE_KEY, "cluster"]], on=TRACE_KEY
    )
    traces = _judged(run, traces)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in traces["verdict"].value_counts().items())
    caption = (
        f"n = {len(traces)} traces in {traces['cluster'].nunique()} paths: {counts}. Filled: "
        "right; x: wrong; open: not judged (no gold or no valid answer); path -1 is noise. One "
        "question, so no interval and no control; the map "
        f"({places['method'].iloc[0]}) distorts: near is not always alike, and paths are found "
        "before it is drawn."
    )
    figure = draw(f"Reasoning paths of {question_id}", caption)
    for path, rows in traces.groupby("cluster"):
        colour = COLOURS[int(path) % len(COLOURS)] if path >= 0 else NEUTRAL
        marker = {"color": colour, "size": 10}
        marker |= {"symbol": [VERDICTS[verdict][0] for verdict in rows["verdict"]]}
        text = [
            f"trace {index}: {shown(answer)}, {verdict}"
            for index, answer, verdict in zip(
                rows["sample_index"],
                rows["answer"].fillna("no answer"),
                rows["verdict"],
                strict=True,
            )
        ]
        style = {"mode": "markers", "marker": marker, "hovertext": text, "showlegend": True}
        figure.add_scatter(x=rows["x"], y=rows["y"], name=f"path {path}", **style)
    return figure.update_yaxes(scaleanchor="x")


def trajectories(run: Run, question_id: str | None = None) -> Figure:
    """Where states go from the prompt's end over the ends of steps, a line a trace, coloured by
    right or wrong, from the tables `trajectories` and `answers`.

    Args:
        question_id: of one question only; by default of all that were drawn.

    Raises:
        InputError: no such table or question.
    """
    points = read(run, "trajectories", "cot geometry RUN")
    if question_id is not None:
        points = rows_of(run, points, "question_id", question_id)
    points = _judged(run, points.sort_values([*TRACE_KEY, "step"]))
    n = len(points.drop_duplicates(TRACE_KEY))
    caption = (
        f"n = {n} traces of {points['question_id'].nunique()} questions, layer "
        f"{', '.join(map(str, points['layer'].unique()))}; a line runs from step to step, a "
        "diamond is the prompt's end. Two directions of many: a picture, not an estimate. Whether "
        "right and wrong part, with interval and shuffled labels, is in findings_geometry."
    )
    of = "" if question_id is None else f" of {question_id}"
    figure = draw(f"Trajectories{of}", caption)
    for verdict in points["verdict"].value_counts().index:  # the fewest on top
        colour = VERDICTS[verdict][1]
        rows = _with_gaps(points[points["verdict"] == verdict])
        ends = rows["step"] == -1
        marker = {
            "symbol": ends.map({True: "diamond", False: "circle"}),
            "size": 5,
            "color": colour,
        }
        style = {"mode": "lines+markers", "marker": marker, "line": {"color": colour, "width": 1}}
        figure.add_scatter(
            x=rows["x"], y=rows["y"], name=verdict, opacity=0.6 if question_id else 0.3, **style
        )
    return figure.update_yaxes(scaleanchor="x")


def _judged(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """With each trace's answer and verdict; a trace without a valid answer isn't judged."""
    answers = read(run, "answers", "cot answers RUN")[[*TRACE_KEY, "answer", "status", "correct"]]
    joined = rows.merge(answers, on=TRACE_KEY, how="left")
    known = joined["correct"].where(joined["status"] == "ok")
    verdict = known.astype(object).map({True: "right", False: "wrong"}).fillna("not judged")
    return joined.assign(verdict=verdict)


def _with_gaps(points: pd.DataFrame) -> pd.DataFrame:
    """With a row without a place after each trace, at which its line ends."""
    import pandas as pd

    ends = points.drop_duplicates(TRACE_KEY, keep="last").assign(x=float("nan"), y=float("nan"))
    return pd.concat([points, ends]).sort_values([*TRACE_KEY, "step"], kind="stable")
