"""What carries the answer: steps by attribution beside knock-out, and whether methods can be
believed. All numbers are read from the tables of `cot attribute`; nothing is estimated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import DIVERGING, NEUTRAL, draw, mark, shown, whiskers
from analysis.figures.tables import read
from analysis.figures.text import decimal, interval, number, shorten
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["CHECKS", "attribution", "attribution_checks", "step_values"]

CHECKS = {
    "knockout": "knock-out",
    "resampling": "resampling",
    "second_seed": "a second seed",
    "randomised": "random weights (must be 0)",
}
"""What a method's ranks are compared with, in the order of rows."""
KEY = ["question_id", "sample_index"]


def step_values(values: pd.DataFrame, importance: pd.DataFrame | None) -> pd.DataFrame:
    """A trace's steps with a column a method, and `knock-out` where it is known; rows by step.

    Args:
        values: the trace's rows of `attributions`.
        importance: its rows of `step_importance`.
    """
    steps = values[values["part"] == "step"].astype({"step": int})
    order = list(dict.fromkeys(values["method"]))
    table = steps.pivot(index="step", columns="method", values="value").reindex(columns=order)
    if importance is not None and len(importance):
        table["knock-out"] = importance.set_index("step")["knockout"].reindex(table.index)
    return table


def attribution(run: Run, question_id: str, sample_index: int) -> Figure:
    """A trace's steps coloured by each method's value, beside what the answer loses where the step
    is hidden, each on its own scale; from the tables `attributions` and `step_importance`.

    Raises:
        InputError: no such table, or the trace wasn't attributed.
    """
    table = read(run, "attributions", "cot attribute RUN")
    rows = table[(table["question_id"] == question_id) & (table["sample_index"] == sample_index)]
    if rows.empty:
        keys = table[KEY].drop_duplicates().to_numpy()
        there = ", ".join(f"{name}:{index}" for name, index in keys[:10])
        raise InputError(
            f"trace {question_id}:{sample_index} of {run.path} has no attribution: choose from "
            f"{there}"
        )
    knocked = None
    if "step_importance" in run.tables():
        known = run.table("step_importance")
        same = (known["question_id"] == question_id) & (known["sample_index"] == sample_index)
        knocked = known[same]
    grid = step_values(rows, knocked)
    texts = _texts(run, question_id, sample_index)
    names = [f"{step}  {shorten(texts.get(step, ''), 60)}" for step in grid.index]
    caption = (
        f"n = 1 trace, {len(grid)} steps: no interval. Nats of log-odds of the trace's own answer "
        "against another one: above 0, the step speaks for the own answer. Colours are full at "
        "each column's largest number. Controls (deleted steps, random weights) are in "
        "attribution_checks. "
    )
    caption += (
        "Beside them, what the answer loses where the step is hidden from all that follows."
        if "knock-out" in grid
        else "No step was knocked out to compare with."
    )
    figure = draw(
        f"Steps by attribution: {question_id}, trace {sample_index}",
        caption,
        height=120 + 26 * len(grid),
    )
    # methods give values of other sizes: each column has a scale of its own
    most = grid.abs().max().replace(0.0, 1.0)
    cells = grid.to_numpy(float)
    figure.add_heatmap(
        z=(grid / most).to_numpy(float).tolist(),
        x=[shown(str(name)) for name in grid.columns],
        y=[shown(name) for name in names],
        zmin=-1.0,
        zmid=0.0,
        zmax=1.0,
        colorscale=[list(each) for each in DIVERGING],
        showscale=False,
        text=[["" if v != v else decimal(v) for v in line] for line in cells],
        texttemplate="%{text}",
        hovertemplate="%{y}<br>%{x}: %{text} nats<extra></extra>",
    )
    figure.update_xaxes(type="category", side="top")
    return figure.update_yaxes(type="category", autorange="reversed")


def _texts(run: Run, question_id: str, sample_index: int) -> dict[int, str]:
    """What the trace's steps say, by number."""
    steps, traces = run.table("steps"), run.traces(["text"])
    own = traces[(traces["question_id"] == question_id) & (traces["sample_index"] == sample_index)]
    if own.empty:
        return {}
    text = str(own["text"].iloc[0])
    same = (steps["question_id"] == question_id) & (steps["sample_index"] == sample_index)
    rows = steps.loc[same, ["step", "start", "end"]].itertuples(index=False)
    return {int(step): text[int(start) : int(end)] for step, start, end in rows}


def attribution_checks(run: Run) -> Figure:
    """How well each method's ranks of steps agree with knock-out, resampling, itself under a second
    seed, and itself under random weights; from the table `findings_attribute`.

    Raises:
        InputError: no such table, or no correlation is known.
    """
    table = read(run, "findings_attribute", "cot attribute RUN")
    rows = table[(table["measure"] == "spearman") & (table["baseline"] == "")]
    rows = rows[rows["estimate"].notna()]
    sides = rows["subject"].str.rsplit(" × ", n=1, expand=True).reindex(columns=[0, 1])
    rows = rows.assign(method=sides[0], other=sides[1])
    rows = rows[rows["other"].isin(CHECKS)]
    if rows.empty:
        raise InputError(
            f"{run.path} has no rank correlation of steps to draw: attribute more questions, and "
            "run `cot intervene --method knockout` first"
        )
    counts = rows["n_questions"].astype(int)
    n = str(counts.min()) if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"
    caption = (
        f"Spearman's rank correlation over a trace's steps, mean over traces, then over n = {n} "
        "questions; 95% bootstrap over questions. Control: the same method under random weights, "
        "where nothing may be left."
    )
    others = [name for name in CHECKS if (rows["other"] == name).any()]
    methods = list(dict.fromkeys(rows["method"]))
    figure = draw("Do attributions rank steps as other measures do?", caption, height=320)
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1})
    for place, method in enumerate(methods):
        own = rows[rows["method"] == method].set_index("other").reindex(others).dropna(how="all")
        look = mark(place)
        # methods stand beside each other in a row
        shift = (place - (len(methods) - 1) / 2) * 0.16
        figure.add_scatter(
            x=own["estimate"],
            y=[others.index(name) + shift for name in own.index],
            mode="markers",
            name=shown(str(method)),
            marker={**look, "size": 9},
            error_x=whiskers(own) | {"thickness": 1.5},
            customdata=[shown(_words(row)) for row in own.reset_index().to_dict("records")],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_xaxes(title="rank correlation", range=[-1.05, 1.05])
    figure.update_yaxes(
        tickvals=list(range(len(others))),
        ticktext=[CHECKS[name] for name in others],
        range=[len(others) - 0.5, -0.5],
    )
    return figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})


def _words(row: Any) -> str:
    """A correlation in words."""
    ends = interval(number(row["low"]), number(row["high"]), decimal)
    return (
        f"{row['method']}, {CHECKS[row['other']]}: {decimal(number(row['estimate']))} ({ends}), "
        f"{row['n_questions']} questions, {row['n_traces']} traces"
    )
