"""What moves when a step of a trace is hidden: later steps and the answer, beside a random span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.interventions import CONTROLS
from analysis.figures.look import SCALE, draw, shown
from analysis.figures.tables import read
from analysis.figures.text import decimal, number
from cot.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["step_matrix", "step_name"]


def step_matrix(run: Run, question_id: str, sample_index: int) -> Figure:
    """How far each later step of a trace moves when a step is hidden, beside a random span of as
    many tokens, in the same colours; from the table `intervention_steps`.

    Raises:
        InputError: no such table, or the trace's steps weren't hidden.
    """
    table = read(run, "intervention_steps", "cot intervene RUN --method knockout")
    rows = table[(table["question_id"] == question_id) & (table["sample_index"] == sample_index)]
    if rows.empty:
        keys = table[["question_id", "sample_index"]].drop_duplicates().to_numpy()
        there = ", ".join(f"{name}:{index}" for name, index in keys[:10])
        raise InputError(
            f"the steps of trace {question_id}:{sample_index} of {run.path} weren't hidden: choose "
            f"from {there}"
        )
    steps = sorted(rows["step"].astype(int).unique())
    later = sorted(rows["later"].dropna().astype(int).unique())
    caption = (
        f"n = 1 trace, {len(steps)} steps hidden one by one: no interval. A cell is the mean "
        "KL divergence (nats) of the next-token distributions at the tokens of a later step, or of "
        "the answer, from those of the unchanged pass. Control: a random span of as many tokens. "
        "Colours are full at the largest of later steps."
    )
    names = [*map(str, later), "answer"]
    panels = ["step hidden", CONTROLS["random_span"]]
    height = 110 + 24 * len(steps)
    figure = draw(
        f"Steps hidden: {question_id}, trace {sample_index}", caption, panels, height=height
    )
    placed = rows.assign(
        to=[step_name(each) for each in rows["later"]],
        words=[shown(_step_words(row)) for row in rows.to_dict("records")],
    )
    # The answer can move by far more than steps do: colours are full at the largest of these.
    of_steps = placed[placed["later"].notna()]
    top = float((of_steps if len(of_steps) else placed)[["kl", "control_kl"]].max().max())
    for col, column in enumerate(("kl", "control_kl"), 1):
        grid = placed.pivot(index="step", columns="to", values=column).reindex(columns=names)
        words = placed.pivot(index="step", columns="to", values="words").reindex(columns=names)
        text = [["" if v != v else f"{v:.2f}" for v in line] for line in grid.to_numpy(float)]
        figure.add_heatmap(
            z=grid.to_numpy(float).tolist(),
            x=names,
            y=[str(step) for step in grid.index],
            zmin=0.0,
            zmax=top,
            colorscale=SCALE,
            showscale=col == 1,
            colorbar={"len": 0.9, "thickness": 10, "outlinewidth": 0},
            texttemplate="%{text}",
            text=text,
            customdata=words.fillna("").to_numpy().tolist(),
            hovertemplate="%{customdata}<extra></extra>",
            row=1,
            col=col,
        )
    figure.update_xaxes(type="category", title="later step")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_yaxes(title="step hidden", col=1)


def step_name(later: Any) -> str:
    """The later step of a row of `intervention_steps` by its number, or the answer."""
    known = number(later)
    return "answer" if known is None else f"{known:.0f}"


def _step_words(row: Any) -> str:
    """How far hiding a step moves a later one, or the answer."""
    text = f"Step {row['step']} hidden, {step_name(row['later'])}: "
    text += (
        f"KL {decimal(number(row['kl']))} nats, random span {decimal(number(row['control_kl']))}"
    )
    lost = number(row["effect"])
    if lost is not None:
        beside = decimal(number(row["control_effect"]))
        text += f"; the own answer loses {decimal(lost)} nats, random span {beside}"
    return f"{text}; {row['n_tokens']} tokens"
