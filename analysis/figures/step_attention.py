"""Attention between steps: receiver scores of all heads, and one head's steps in one trace.

All numbers are read from the tables of `cot attention`; nothing is estimated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import DIVERGING, SCALE, draw, shown
from analysis.figures.tables import read
from analysis.figures.text import chance, decimal, interval, number
from cot.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["attention_matrix", "head_words", "receiver_heads"]

PANELS = {
    "kurtosis": "receiver score",
    "position": "control: place alone",
    "adjusted": "adjusted for place",
    "permuted": "control: later steps permuted",
}
"""Columns of `attention_heads`, and what a panel calls them."""


def receiver_heads(run: Run) -> Figure:
    """The receiver score of every head, beside that of the place alone, and adjusted for place
    beside that of permuted steps, in the same colours; from the table `attention_heads`.

    Raises:
        InputError: no such table, or no trace has steps enough for a score.
    """
    table = read(run, "attention_heads", "cot attention RUN")
    if table["kurtosis"].isna().all():
        raise InputError(
            f"no trace of {run.path} has steps enough for a receiver score: `cot attention "
            f"{run.path} --nearest 0` needs the fewest"
        )
    n = {name: table[name].max() for name in ("n_questions", "n_traces", "n_excluded")}
    caption = (
        f"n = up to {n['n_questions']} questions, {n['n_traces']} traces; up to {n['n_excluded']} "
        "with too few steps left out. Excess kurtosis of the mean attention that later steps pay "
        "each step. Intervals (95%, bootstrap over questions) are in the hover text. Controls in "
        "the same colours. ★: receiver head, above both controls after Holm's correction over all "
        f"{len(table)} heads; the largest score of so many is no estimate."
    )
    height = 90 + 16 * table["layer"].nunique()
    figure = draw("Receiver heads", caption, list(PANELS.values()), height=height)
    reach = float(table[list(PANELS)].abs().max().max())
    placed = table.assign(
        words=[shown(head_words(row)) for row in table.to_dict("records")],
        star=["★" if each else "" for each in table["receiver"]],
    )
    for col, column in enumerate(PANELS, 1):
        grids = {
            name: placed.pivot(index="layer", columns="head", values=name)
            for name in (column, "words", "star")
        }
        figure.add_heatmap(
            z=grids[column].to_numpy(float).tolist(),
            x=[str(head) for head in grids[column].columns],
            y=[str(layer) for layer in grids[column].index],
            zmin=-reach,
            zmid=0.0,
            zmax=reach,
            colorscale=DIVERGING,
            showscale=col == 1,
            colorbar={"len": 0.9, "thickness": 10, "outlinewidth": 0},
            texttemplate="%{text}",
            text=grids["star"].to_numpy().tolist() if column == "kurtosis" else None,
            customdata=grids["words"].to_numpy().tolist(),
            hovertemplate="%{customdata}<extra></extra>",
            row=1,
            col=col,
        )
    figure.update_xaxes(type="category", title="head")
    figure.update_yaxes(type="category")
    return figure.update_yaxes(title="layer", col=1)


def head_words(row: object) -> str:
    """A row of `attention_heads` in words."""
    given = dict(row)  # type: ignore[call-overload]
    value = number(given["kurtosis"])
    name = f"Layer {given['layer']}, head {given['head']}"
    if value is None:
        return f"{name}: no receiver score, too few steps"
    span = interval(number(given["low"]), number(given["high"]), decimal)
    controls = (
        f"place alone {decimal(number(given['position']))}; adjusted for place "
        f"{decimal(number(given['adjusted']))}, steps permuted {decimal(number(given['permuted']))}"
    )
    word = "receiver head" if given["receiver"] else "not shown to be a receiver head"
    return (
        f"{name}: receiver score {decimal(value)} ({span}); {controls}; {word}, "
        f"Holm's p {chance(number(given['p_holm']))}; reliability "
        f"{decimal(number(given['reliability']))}; {given['n_traces']} traces"
    )


def attention_matrix(
    run: Run, question_id: str, sample_index: int, layer: int, head: int
) -> Figure:
    """Mean attention of a head from each step of a trace to those before it, from the table
    `attention_matrices`.

    Raises:
        InputError: no such table; the trace's matrices weren't kept; no such head.
    """
    table = read(run, "attention_matrices", "cot attention RUN")
    rows = table[(table["question_id"] == question_id) & (table["sample_index"] == sample_index)]
    if rows.empty:
        keys = table[["question_id", "sample_index"]].drop_duplicates().to_numpy()
        there = ", ".join(f"{name}:{index}" for name, index in keys[:10])
        raise InputError(
            f"the matrices of trace {question_id}:{sample_index} of {run.path} weren't kept: "
            f"choose from {there}, or `cot attention {run.path} --trace "
            f"{question_id}:{sample_index}`"
        )
    own = rows[(rows["layer"] == layer) & (rows["head"] == head)]
    if own.empty:
        raise InputError(
            f"no head {head} in layer {layer}: there are layers 1 to {rows['layer'].max()} with "
            f"heads 0 to {rows['head'].max()}"
        )
    grid = own.pivot(index="later", columns="step", values="attention")
    caption = (
        f"n = 1 trace, {len(grid)} steps: no interval and no control, which the table "
        "findings_attention has. A cell is the mean attention weight from a token of the later "
        "step to a token of the step. Attention is not cause."
    )
    title = f"Attention: {question_id}, trace {sample_index}, layer {layer}, head {head}"
    figure = draw(title, caption, height=110 + 24 * len(grid))
    figure.add_heatmap(
        z=grid.to_numpy(float).tolist(),
        x=[str(step) for step in grid.columns],
        y=[str(step) for step in grid.index],
        zmin=0.0,
        colorscale=SCALE,
        colorbar={"len": 0.9, "thickness": 10, "outlinewidth": 0},
        hovertemplate="step %{y} looks at step %{x}: %{z:.4f}<extra></extra>",
    )
    figure.update_xaxes(type="category", title="step looked at")
    return figure.update_yaxes(type="category", autorange="reversed", title="later step")
