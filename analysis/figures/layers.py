"""Layer by layer: what probes read, what the lens reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import SCALE, draw, shown
from analysis.figures.tables import read, rows_of
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["lens", "probes"]

PANELS = {
    "auroc": "pooled",
    "within_question_auroc": "within questions",
    "control": "pooled, labels shuffled",
    "control_within": "within questions, labels shuffled",
}
INTERVALS = {"auroc": ("low", "high"), "within_question_auroc": ("within_low", "within_high")}
FLOOR = 0.4
"""Lowest AUROC of the colours, unless one is lower."""
FITS = 7
"""Characters of a token that a cell of the lens has room for."""


def probes(run: Run, target: str = "correct") -> Figure:
    """AUROC by layer and position, pooled and within questions, above the same with shuffled labels
    in the same colours; from the table `probes`.

    Raises:
        InputError: no such table or target.
    """
    table = read(run, "probes", f"cot probe RUN --target {target}")
    cells = rows_of(run, table, "target", target)
    positions = list(dict.fromkeys(cells["position"]))
    counts = {
        name: cells[name].max() for name in ("n_questions", "n_traces", "n_excluded", "n_within")
    }
    caption = (
        f"n = up to {counts['n_questions']} questions ({counts['n_within']} with both classes), "
        f"{counts['n_traces']} traces; up to {counts['n_excluded']} left out. Intervals (95%, "
        "bootstrap over questions) are in the hover text. Control: labels shuffled over all "
        "traces, and within questions, below in the same colours; chance is 0.50. The largest of "
        f"{len(cells)} cells is no estimate: findings_probe has one, its cell chosen apart."
    )
    title = f"Probes: {target}, AUROC"
    titles = list(PANELS.values())
    figure = draw(title, caption, titles, height=560, rows=2, cols=2, vertical_spacing=0.14)
    low = min([FLOOR, *cells[list(PANELS)].min().dropna()])
    for place, column in enumerate(PANELS):
        grid = cells.pivot(index="layer", columns="position", values=column)[positions]
        figure.add_heatmap(
            z=grid.to_numpy(float),
            x=[shown(position) for position in positions],
            y=[str(layer) for layer in grid.index],
            zmin=low,
            zmax=1.0,
            colorscale=SCALE,
            showscale=place == 0,
            texttemplate="%{z:.2f}",
            text=_spans(cells, column, positions),
            hovertemplate="layer %{y}, %{x}: %{z:.3f}%{text}<extra></extra>",
            row=place // 2 + 1,
            col=place % 2 + 1,
        )
    figure.update_yaxes(type="category")
    return figure.update_yaxes(title="layer", col=1)


def lens(run: Run, question_id: str, sample_index: int) -> Figure:
    """The most probable next token after each token of a trace at each layer, from the table
    `lens_tokens`; the colour is its probability.

    Raises:
        InputError: no such table, or the trace wasn't read token by token.
    """
    import numpy as np

    table = read(run, "lens_tokens", "cot lens RUN")
    rows = table[(table["question_id"] == question_id) & (table["sample_index"] == sample_index)]
    if rows.empty:
        keys = table[["question_id", "sample_index"]].drop_duplicates().to_numpy()
        there = ", ".join(f"{name}:{index}" for name, index in keys[:10])
        raise InputError(
            f"trace {question_id}:{sample_index} of {run.path} was not read token by token: choose "
            f"from {there}, or `cot lens {run.path} --trace {question_id}:{sample_index}`"
        )
    tokens = rows.drop_duplicates("token").sort_values("token")
    caption = (
        f"n = 1 trace, {len(tokens)} tokens: no interval and no control, which the table "
        "findings_lens has. A cell is the most probable token of head(norm(state)); early layers "
        "are not trained to be read so. Hover: probability of the stated answer, and entropy."
    )
    height = 120 + 20 * rows["layer"].nunique()
    figure = draw(f"Lens: {question_id}, trace {sample_index}", caption, height=height)
    grids = {
        name: rows.pivot(index="layer", columns="token", values=name)
        for name in ("p_top", "top", "p_stated", "entropy")
    }
    grids["whole"] = grids["top"].map(shown)
    figure.add_heatmap(
        z=grids["p_top"].to_numpy(float),
        x=tokens["token"],
        y=[str(layer) for layer in grids["p_top"].index],
        text=grids["top"].map(_short).to_numpy(object),
        textfont={"size": 10},
        customdata=np.stack([grids[name] for name in ("p_stated", "entropy", "whole")], axis=-1),
        zmin=0.0,
        zmax=1.0,
        colorscale=SCALE,
        texttemplate="%{text}",
        hovertemplate="layer %{y}, after token %{x}: %{customdata[2]}, p %{z:.3f}<br>p(stated) "
        "%{customdata[0]:.3f}, entropy %{customdata[1]:.2f} nats<extra></extra>",
    )
    figure.update_layout(width=max(700, 120 + 42 * len(tokens)))
    figure.update_yaxes(title="layer", type="category")
    ticks = {"tickvals": tokens["token"], "ticktext": [shown(text) for text in tokens["text"]]}
    return figure.update_xaxes(title="token read", **ticks)


def _short(token: str) -> str:
    """What fits into a cell."""
    return shown(token if len(token) <= FITS else token[: FITS - 1] + "…")


def _spans(cells: pd.DataFrame, column: str, positions: list[str]) -> Any:
    """Each cell's interval in words, shape [layer, position]."""
    low, high = INTERVALS.get(column, (column, column))
    text = [
        f" ({begin:.3f} to {end:.3f}), n = {n}" if begin < end else f", n = {n}"
        for begin, end, n in zip(cells[low], cells[high], cells["n_traces"], strict=True)
    ]
    placed = cells.assign(text=text).pivot(index="layer", columns="position", values="text")
    return placed[positions].to_numpy(object)
