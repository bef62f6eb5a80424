"""Whether the reasoning is what moved the answer: how much of it is needed, and which step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from analysis.figures.look import NEUTRAL, between, draw, mark, shown, whiskers
from analysis.figures.tables import read
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["faithfulness", "importance"]

COMMAND = "cot faithfulness RUN --test early_answering"
RESAMPLING = "cot faithfulness RUN --test resampling"
FITS = 60
"""Characters of a step beside its bar."""


def faithfulness(run: Run) -> Figure:
    """How often the answer is the trace's own, by the share of its reasoning that is kept, a panel
    a test, from the tables `faithfulness_curves` and `faithfulness_traces`.

    Raises:
        InputError: no such table.
    """
    table = read(run, "faithfulness_curves", COMMAND)
    traces = read(run, "faithfulness_traces", COMMAND)
    whole = table[table["n_steps"].isna()]
    sampled = whole[~whole["greedy"]]
    caption = (
        f"n = {between(sampled['n_traces'])} traces, {between(sampled['n_questions'])} questions; "
        "traces with a point without an answer are left out. Whiskers: 95%, bootstrap over "
        "questions. Control (grey, dashed): how often another trace of the question states the "
        "same answer. Diamonds: greedy traces alone. Of filler, the share is of dots."
    )
    tests = list(dict.fromkeys(whole["test"]))
    figure = draw("How much of the reasoning does the answer need?", caption, tests)
    for column, test in enumerate(tests, 1):
        place = {"row": 1, "col": column}
        for greedy, rows in whole[whole["test"] == test].groupby("greedy"):
            points = rows.sort_values("share")
            marker = {**mark(int(greedy)), "symbol": "diamond" if greedy else "circle"}
            error = None if greedy else whiskers(points, "same")
            style = {"mode": "lines+markers", "marker": marker, "error_y": error}
            name = "greedy traces" if greedy else "all traces"
            series = {"x": points["share"], "y": points["same"], "name": name, **style}
            figure.add_scatter(**series, showlegend=column == 1, legendgroup=name, **place)
        fresh = traces.loc[(traces["test"] == test) & ~traces["greedy"], "fresh"].mean()
        if fresh == fresh:
            figure.add_hline(fresh, line={"dash": "dash", "color": NEUTRAL}, **place)
    figure.update_xaxes(title="share kept", tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(tickformat=".0%", range=[0, 1.03])
    return figure.update_yaxes(title="the answer stays", col=1)


def importance(run: Run, question_id: str, sample_index: int) -> Figure:
    """How far the answers move when each step of a trace is sampled again, from the rows of
    `resampling` in the table `faithfulness`.

    Raises:
        InputError: no such table, or the trace's steps weren't resampled.
    """
    steps = _steps(read(run, "faithfulness", RESAMPLING))
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


def _steps(readings: pd.DataFrame) -> pd.DataFrame:
    """question_id, sample_index, step, importance, by_chance, n, n_dissimilar, one row a step."""
    import pandas as pd

    mine = readings["test"].str.split(":").str[0] == "resampling"
    rows = readings[mine & ~readings["greedy"] & readings["step"].notna()]
    details = pd.DataFrame([json.loads(cell) for cell in rows["detail"]], index=rows.index)
    details = details.reindex(columns=["importance", "by_chance", "n", "n_dissimilar"])
    details = details.astype({"importance": float, "by_chance": float})
    keys = ["question_id", "sample_index", "step"]
    known = rows[keys].join(details).dropna(subset="importance")
    return known.drop_duplicates(keys).sort_values(keys)


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
