"""Whether the reasoning is what moved the answer: how much of it is needed, and which step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import COLOURS, NEUTRAL, add_line, between, draw, mark, shown
from analysis.figures.tables import read, rows_of
from cot.errors import InputError
from cot.types import TRACE_KEY

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["faithfulness", "importance"]

COMMAND = "cot faithfulness RUN --test early_answering"
RESAMPLING = "cot faithfulness RUN --test resampling"
FEWEST = 10
"""Traces that a length must have for a line of its own."""
FITS = 60
"""Characters of a step beside its bar."""


def faithfulness(run: Run, test: str | None = None) -> Figure:
    """How often the answer is the trace's own, by the share of its reasoning that is kept, a panel
    a test, from the table `faithfulness_curves`.

    All lengths together are thick, with a band; each length that enough traces have is thin; greedy
    traces are dotted; another trace of the question, the control, is dashed.

    Args:
        test: one test, as typed; by default all that have a curve.

    Raises:
        InputError: no such table or test.
    """
    table = read(run, "faithfulness_curves", COMMAND)
    if test is not None:
        table = rows_of(run, table, "test", test)
    whole = table[table["n_steps"].isna()]
    sampled = whole[~whole["greedy"].astype(bool)]
    caption = (
        f"n = {between(sampled['n_traces'])} traces, {between(sampled['n_questions'])} questions; "
        "traces with a point without an answer are left out. Band: 95%, bootstrap over "
        "questions. Control (grey, dashed): how often another trace of the question states the "
        "same answer. Dotted: greedy traces alone. Thin: traces of one length, without bands."
    )
    tests = list(dict.fromkeys(whole["test"]))
    figure = draw("How much of the reasoning does the answer need?", caption, tests)
    axes = _axes(run)
    for column, name in enumerate(tests, 1):
        at = {"row": 1, "col": column}
        _draw_test(figure, table[table["test"] == name], at)
        title = shown(axes.get(name, "share kept"))
        figure.update_xaxes(title=title, tickformat=".0%", range=[-0.03, 1.03], **at)
    if test is not None:
        figure.layout.annotations = ()  # the panel's title is the figure's
    figure.update_yaxes(tickformat=".0%", range=[0, 1.03])
    return figure.update_yaxes(title="the answer stays", col=1)


POINTS = ("share", "same", "low", "high")


def _draw_test(figure: Figure, table: pd.DataFrame, at: dict[str, Any]) -> None:
    """The lines of one test, in its panel; only the first panel's stand in the legend."""
    named = at["col"] == 1
    greedy = table["greedy"].astype(bool)
    lengths = table[~greedy].dropna(subset="n_steps").groupby("n_steps")
    for n, rows in lengths:
        if rows["n_traces"].max() >= FEWEST:
            points = rows.sort_values("share")
            thin: dict[str, Any] = {
                "colour": NEUTRAL,
                "width": 1,
                "marker": {"size": 4},
                "band": False,
            }
            of = f"{int(n)} step{'s' if n > 1 else ''}"
            add_line(figure, points, of, POINTS, counted="n_traces", showlegend=False, **thin, **at)
    whole = table[table["n_steps"].isna()]
    for name, rows, colour, dash in (
        ("all lengths", whole[~whole["greedy"].astype(bool)], COLOURS[0], "solid"),
        ("greedy traces", whole[whole["greedy"].astype(bool)], COLOURS[1], "dot"),
    ):
        if len(rows):
            points = rows.sort_values("share")
            own: dict[str, Any] = {"colour": colour, "dash": dash}
            own |= {"band": dash == "solid", "showlegend": named, "legendgroup": name}
            add_line(figure, points, name, POINTS, counted="n_traces", mode="lines", **own, **at)
    sampled = whole[~whole["greedy"].astype(bool)]
    if len(sampled) and sampled["other_traces"].notna().any():
        figure.add_scatter(
            x=[0, 1],
            y=[sampled["other_traces"].iloc[0]] * 2,
            name="another trace of the question",
            mode="lines",
            line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
            hovertemplate="another trace: %{y:.1%}<extra></extra>",
            showlegend=named,
            legendgroup="another",
            **at,
        )


def _axes(run: Run) -> dict[str, str]:
    """What the share of each test is of, where the run says it."""
    if "faithfulness_tests" not in run.tables():
        return {}
    tests = run.table("faithfulness_tests")
    return dict(zip(tests["test"], tests["curve"], strict=True))


def importance(run: Run, question_id: str, sample_index: int) -> Figure:
    """How far the answers move when each step of a trace is sampled again, from the table
    `faithfulness_steps`.

    Raises:
        InputError: no such table, or the trace's steps weren't resampled.
    """
    steps = read(run, "faithfulness_steps", RESAMPLING)
    steps = steps[~steps["greedy"]].drop_duplicates([*TRACE_KEY, "step"]).sort_values("step")
    rows = steps[(steps["question_id"] == question_id) & (steps["sample_index"] == sample_index)]
    if rows.empty:
        keys = steps[["question_id", "sample_index"]].drop_duplicates().to_numpy()
        there = ", ".join(f"{name}:{index}" for name, index in keys[:10]) or "none"
        raise InputError(
            f"the steps of trace {question_id}:{sample_index} of {run.path} weren't resampled: "
            f"choose from {there}"
        )
    caption = (
        f"n = {between(rows['n'])} resamples a step, of them {between(rows['n_dissimilar'])} "
        "dissimilar and with an answer; no interval: of few, importance is rough. KL (nats) from "
        "the answers when the step is kept. Control (grey): the answers dealt at random."
    )
    height = 100 + 34 * len(rows)
    figure = draw(f"Importance: {question_id}, trace {sample_index}", caption, height=height)
    names = [f"{step}  {text}" for step, text in zip(rows["step"], _words(run, rows), strict=True)]
    figure.add_bar(
        x=rows["importance"],
        y=names,
        orientation="h",
        marker={"color": mark(0)["color"]},
        customdata=rows[["n", "n_dissimilar"]].to_numpy(),
        hovertemplate="%{x:.3f} nats, %{customdata[1]} of %{customdata[0]} dissimilar"
        "<extra></extra>",
        showlegend=False,
    )
    grey = {"color": NEUTRAL, "symbol": "diamond", "size": 9}
    chance = rows["by_chance"].dropna()
    figure.add_scatter(
        x=chance,
        y=[name for name, known in zip(names, rows["by_chance"].notna(), strict=True) if known],
        name="by chance",
        mode="markers",
        marker=grey,
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed", type="category")
    return figure.update_xaxes(title="importance, nats", rangemode="tozero")


def _words(run: Run, rows: pd.DataFrame) -> list[str]:
    """What each step says, cut to fit; empty where the run has no table of steps."""
    if "steps" not in run.tables():
        return [""] * len(rows)
    keys = ["question_id", "sample_index"]
    placed = rows[[*keys, "step"]].merge(run.table("steps"), on=[*keys, "step"], how="left")
    texts = placed[keys].merge(run.traces(["text"]), on=keys, how="left")["text"]
    found = []
    for text, start, end in zip(texts, placed["start"], placed["end"], strict=True):
        words = text[int(start) : int(end)] if start == start and end == end else ""
        found.append(shown(words if len(words) <= FITS else words[: FITS - 1] + "…"))
    return found
