"""Layer by layer: what probes read, what the lens reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import COLOURS, DIVERGING, NEUTRAL, SCALE, add_line, draw, shown
from analysis.figures.tables import place_of, read, rows_of
from analysis.figures.text import decimal, interval, number
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["BASELINES", "lens", "probe_lines", "probes"]

MEASURES = {
    "auroc": ("pooled", "low", "high", "control", "length"),
    "within_question_auroc": (
        "within questions",
        "within_low",
        "within_high",
        "control_within",
        "length_within",
    ),
}
"""Measure to its name, its interval's ends, its shuffled control and its baseline of length."""
PANELS = {
    "auroc": "pooled",
    "control": "pooled, labels shuffled",
    "within_question_auroc": "within questions",
    "control_within": "within questions, labels shuffled",
}
BASELINES = {
    "length": "length",
    "tfidf": "TF-IDF",
    "embedding": "embedding",
    "position_only": "position alone",
}
"""Columns of baselines, and what they are called; within questions they end in `_within`."""
LEAST_REACH = 0.1
"""Distance from 0.5 at which colours are full, unless a value is further away."""
FLOOR = 0.4
"""Lowest AUROC of the lines' axis, unless one is lower."""
FITS = 7
"""Characters of a token that a cell of the lens has room for."""


def probes(run: Run, target: str = "correct") -> Figure:
    """AUROC by layer and position, pooled and within questions, each beside the same with shuffled
    labels in the same colours; from the table `probes`.

    Raises:
        InputError: no such table or target.
    """
    table = read(run, "probes", f"cot probe RUN --target {target}")
    cells = rows_of(run, table, "target", target)
    positions = sorted(cells["position"].unique(), key=place_of)
    caption = (
        f"{_counts(cells)} Intervals (95%, bootstrap over questions) are in the hover text. "
        "Control: labels shuffled over all traces, and within questions, in the same colours; "
        "chance is 0.50. ★ marks the cell that most folds chose on their training "
        f"questions. The largest of {len(cells)} cells is no estimate: findings_probe has one, its "
        "cell chosen apart."
    )
    title = f"Probes: {target}, AUROC"
    titles = list(PANELS.values())
    layers = cells["layer"].nunique()
    size = {"height": 2 * (70 + 22 * layers), "rows": 2, "cols": 2}
    figure = draw(title, caption, titles, vertical_spacing=70 / (70 + 22 * layers) / 2, **size)
    reach = max(LEAST_REACH, float((cells[list(PANELS)] - 0.5).abs().max().max()))
    for place, column in enumerate(PANELS):
        grid = cells.pivot(index="layer", columns="position", values=column)[positions]
        figure.add_heatmap(
            z=grid.to_numpy(float).tolist(),
            x=[shown(position) for position in positions],
            y=[str(layer) for layer in grid.index],
            zmin=0.5 - reach,
            zmid=0.5,
            zmax=0.5 + reach,
            colorscale=DIVERGING,
            showscale=place == 0,
            colorbar={"len": 0.9, "thickness": 10, "outlinewidth": 0},
            texttemplate="%{text}",
            text=_values(cells, column, positions),
            customdata=_words(cells, column, positions),
            hovertemplate="%{customdata}<extra></extra>",
            row=place // 2 + 1,
            col=place % 2 + 1,
        )
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_yaxes(title="layer", col=1)


def probe_lines(run: Run, target: str = "correct", measure: str = "auroc") -> Figure:
    """AUROC against the layer, a panel a position, with its interval, shuffled labels and the
    baseline of a trace's length; from the table `probes`.

    Args:
        measure: `auroc` (pooled) or `within_question_auroc`.

    Raises:
        InputError: no such table or target.
    """
    table = read(run, "probes", f"cot probe RUN --target {target}")
    cells = rows_of(run, table, "target", target).sort_values("layer")
    positions = sorted(cells["position"].unique(), key=place_of)
    name, low, high, control, length = MEASURES[measure]
    caption = (
        f"{_counts(cells)} Bands: 95%, bootstrap over questions. Controls: dashed, labels "
        "shuffled; dotted, a probe of the trace's length alone; chance is 0.50."
    )
    figure = draw(f"Probes: {target}, AUROC {name}", caption, positions, height=210)
    columns = [measure, low, high, control, length]
    floor = min([FLOOR, *cells[columns].min().dropna()])
    for col, position in enumerate(positions, 1):
        rows = cells[cells["position"] == position]
        at: dict[str, Any] = {"row": 1, "col": col}
        for label, value, colour, dash in (
            ("length alone", length, COLOURS[4], "dot"),
            ("labels shuffled", control, NEUTRAL, "dash"),
        ):
            figure.add_scatter(
                x=rows["layer"],
                y=rows[value],
                name=label,
                mode="lines+markers",
                marker={"size": 4},
                line={"color": colour, "dash": dash, "width": 1.5},
                hovertemplate=f"layer %{{x}}: %{{y:.2f}}<extra>{label}</extra>",
                legendgroup=label,
                showlegend=col == 1,
                **at,
            )
        own: dict[str, Any] = {
            "colour": COLOURS[0],
            "show": ".2f",
            "counted": "n_traces",
            "at": "layer %{x}",
        }
        more: dict[str, Any] = {"legendgroup": "probe", "showlegend": col == 1}
        add_line(figure, rows, "probe", ("layer", measure, low, high), **own, **more, **at)
        best = rows[rows["best"].astype(bool)]
        if len(best):
            star = {"text": "★", "showarrow": False, "yshift": 12}
            figure.add_annotation(x=best["layer"].iloc[0], y=best[measure].iloc[0], **star, **at)
        figure.update_xaxes(tickvals=rows["layer"], **at)
    figure.add_hline(0.5, line={"color": NEUTRAL, "width": 1}, layer="below")
    figure.update_xaxes(title="layer")
    figure.update_yaxes(range=[int(floor * 20) / 20, 1.0])
    return figure.update_yaxes(title="AUROC", col=1)


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


def _counts(cells: pd.DataFrame) -> str:
    n = {name: cells[name].max() for name in ("n_questions", "n_within", "n_traces", "n_excluded")}
    return (
        f"n = up to {n['n_questions']} questions ({n['n_within']} with both classes), "
        f"{n['n_traces']} traces; up to {n['n_excluded']} left out."
    )


def _values(cells: pd.DataFrame, column: str, positions: list[str]) -> list[list[str]]:
    """Each cell's number in words, shape [layer][position], with a star at the chosen cell."""
    starred = cells["best"].astype(bool) & (column in MEASURES)
    text = [
        ("–" if value != value else decimal(value)) + (" ★" if star else "")
        for value, star in zip(cells[column], starred, strict=True)
    ]
    return _grid(cells.assign(text=text), positions, "–")


def _words(cells: pd.DataFrame, column: str, positions: list[str]) -> list[list[str]]:
    """What a cell of the measure holds, with interval, control and baselines; shape
    [layer][position]."""
    within = column in ("within_question_auroc", "control_within")
    measure, suffix = ("within_question_auroc", "_within") if within else ("auroc", "")
    _, low, high, control, _ = MEASURES[measure]
    text = []
    for row in cells.to_dict("records"):
        span = interval(number(row[low]), number(row[high]), decimal)
        parts = [f"{decimal(number(row[measure]))} ({span})"]
        parts.append(f"labels shuffled {decimal(number(row[control]))}")
        for name, label in BASELINES.items():
            value = number(row.get(f"{name}{suffix}"))
            parts += [] if value is None else [f"{label} {decimal(value)}"]
        n = f"{row['n_within']} questions" if within else f"{row['n_traces']} traces"
        place = f"Layer {row['layer']} at {row['position']}"
        text.append(shown(f"{place}: {', '.join(parts)}; {n}"))
    return _grid(cells.assign(text=text), positions, "not captured")


def _grid(cells: pd.DataFrame, positions: list[str], missing: str) -> list[list[str]]:
    """The column `text`, shape [layer][position]."""
    placed = cells.pivot(index="layer", columns="position", values="text")[positions]
    return [[str(each) for each in line] for line in placed.fillna(missing).to_numpy()]
