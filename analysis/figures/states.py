"""How hidden states lie: how alike layers are, how many dimensions they fill, how they move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import COLOURS, DASHES, SCALE, add_band, add_line, between, draw, shown
from analysis.figures.tables import place_of, read, rows_of
from analysis.figures.text import decimal, interval, number
from cot.errors import InputError
from cot.types import TRACE_KEY

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["NAMES", "dimension", "similarity", "state_steps"]

COMMAND = "cot geometry RUN"
NAMES = {"cka": "CKA", "rsa": "RSA"}
"""Measure of similarity to what the page calls it."""
LINES = 60
"""Single traces that a figure of steps draws of right and of wrong each, evenly taken."""
FEWEST = 5
"""Traces that a mean needs to be drawn."""
SIDES = {"right": (COLOURS[0], "solid", "circle"), "wrong": (COLOURS[1], "dash", "diamond-open")}


def similarity(run: Run, measure: str = "cka") -> Figure:
    """How alike each two layers are, a panel a position, from the table `similarity`.

    Args:
        measure: `cka` or `rsa`.

    Raises:
        InputError: no such table or measure.
    """
    table = read(run, "similarity", COMMAND)
    layers = rows_of(run, table[table["what"] == "layers"], "kind", measure)
    positions = sorted(layers["position"].unique(), key=place_of)
    caption = (
        f"n = {between(layers['n'])}. Intervals (95%) are in the hover text. 1 is alike up to "
        "rotation and scale, 0 is unrelated. No control: neighbours share most of their state, so "
        "that high values near the diagonal are no finding."
    )
    name = NAMES.get(measure, measure)
    n = max(len({*rows["layer"], *rows["other"]}) for _, rows in layers.groupby("position"))
    figure = draw(f"Similarity of layers: {name}", caption, positions, height=80 + 28 * n)
    for col, position in enumerate(positions, 1):
        value, words = _square(layers[layers["position"] == position])
        names = [str(layer) for layer in value.index]
        figure.add_heatmap(
            z=value.to_numpy(float).tolist(),
            x=names,
            y=names,
            zmin=0.0,
            zmax=1.0,
            colorscale=SCALE,
            showscale=col == 1,
            colorbar={"len": 0.9, "thickness": 10, "outlinewidth": 0},
            texttemplate="%{text}",
            text=[[decimal(number(each)) for each in line] for line in value.to_numpy()],
            customdata=words.to_numpy(object).tolist(),
            hovertemplate="%{customdata}<extra></extra>",
            row=1,
            col=col,
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_yaxes(title="layer", col=1)


def _square(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values and intervals in words, layer by layer; a layer is like itself."""
    import pandas as pd

    both = pd.concat([rows, rows.rename(columns={"layer": "other", "other": "layer"})])
    names = sorted({*rows["layer"], *rows["other"]})
    # A layer beside itself is no row of the table: the same states, alike by definition.
    itself = {"value": 1.0, "low": 1.0, "high": 1.0, "n": rows["n"].max()}
    both = pd.concat([both, pd.DataFrame([{"layer": k, "other": k, **itself} for k in names])])
    both = both.drop_duplicates(["layer", "other"])
    words = [
        shown(
            f"{rows['position'].iloc[0]}: layers {row['layer']} and {row['other']}: "
            f"{decimal(number(row['value']))} "
            f"({interval(number(row['low']), number(row['high']), decimal)}), n = {row['n']}"
        )
        for row in both.to_dict("records")
    ]
    value = both.pivot(index="layer", columns="other", values="value")
    text = both.assign(words=words).pivot(index="layer", columns="other", values="words")
    return value, text.fillna("")


def dimension(run: Run) -> Figure:
    """Intrinsic dimension of the states by layer, a line a position, from the table `dimension`.

    Raises:
        InputError: no such table.
    """
    table = read(run, "dimension", COMMAND).sort_values("layer")
    caption = (
        f"n = {between(table['n'])} states of the run ({', '.join(table['method'].unique())}). "
        "Bands: 95%. No control: how many directions states move in near a point, not how many the "
        "model has."
    )
    figure = draw("Intrinsic dimension of hidden states", caption)
    for place, position in enumerate(sorted(table["position"].unique(), key=place_of)):
        rows = table[table["position"] == position]
        style: dict[str, Any] = {"colour": COLOURS[place % 6], "dash": DASHES[place % 4]}
        style |= {"show": ".1f", "counted": "n", "at": "layer %{x}"}
        add_line(figure, rows, str(position), ("layer", "dimension", "low", "high"), **style)
    figure.update_xaxes(title="layer", tickvals=sorted(table["layer"].unique()))
    return figure.update_yaxes(title="dimension", rangemode="tozero")


def state_steps(run: Run, layer: int | None = None) -> Figure:
    """Where right and wrong traces are in the plane of states after each step, x and y side by
    side, from the tables `trajectory_steps`, `trajectories` and `answers`.

    Args:
        layer: by default the first that was drawn.

    Raises:
        InputError: no such table or layer.
    """
    table = read(run, "trajectory_steps", COMMAND)
    table = rows_of(run, table, "layer", table["layer"].iloc[0] if layer is None else layer)
    lines = read(run, "trajectories", COMMAND)
    lines = lines[lines["layer"] == table["layer"].iloc[0]].dropna(subset=["x", "y"])
    answers = read(run, "answers", "cot answers RUN")[[*TRACE_KEY, "correct"]]
    lines = lines.merge(answers.dropna(subset=["correct"]), on=TRACE_KEY)
    if lines.empty:
        raise InputError(f"no trace of {run.path} that was drawn is known to be right or wrong")
    n = {side: _side(lines, side)[TRACE_KEY].drop_duplicates().shape[0] for side in SIDES}
    caption = (
        f"n = {n['right']} right and {n['wrong']} wrong traces. Blue and solid: right; orange and "
        "dashed: wrong. Thick: the mean of the traces that have this step; band: one standard "
        "deviation to each side, which is spread and no interval; thin: single traces, at most "
        f"{LINES} of each. Right and wrong traces are of different questions in part: the control "
        "is the difference within questions, in the same table with its interval."
    )
    figure = draw("Right and wrong traces, step by step", caption, ("x", "y"), height=340)
    for col, axis in enumerate("xy", 1):
        for side, (colour, dash, symbol) in SIDES.items():
            at = {"row": 1, "col": col}
            _draw_single(figure, _side(lines, side), axis, colour, at)
            means = table[(table["what"] == side) & (table["n_traces"] >= FEWEST)]
            means = means.sort_values("step").assign(
                bottom=means[axis] - means[f"{axis}_spread"].fillna(0.0),
                top=means[axis] + means[f"{axis}_spread"].fillna(0.0),
            )
            add_band(figure, means, ("step", "bottom", "top"), colour, **at)
            figure.add_scatter(
                x=means["step"],
                y=means[axis],
                name=f"{side} ({n[side]})",
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 3},
                marker={"size": 7, "symbol": symbol},
                customdata=means["n_traces"],
                hovertemplate="step %{x}: %{y:.3g}, %{customdata} traces"
                f"<extra>{shown(side)}</extra>",
                legendgroup=side,
                showlegend=col == 1,
                **at,
            )
    return figure.update_xaxes(title="step (−1: before the first)")


def _side(lines: pd.DataFrame, side: str) -> pd.DataFrame:
    return lines[lines["correct"].astype(bool) == (side == "right")]


def _draw_single(
    figure: Figure, lines: pd.DataFrame, axis: str, colour: str, at: dict[str, int]
) -> None:
    """Single traces as one series, whose line is cut between them."""
    import pandas as pd

    traces = lines[TRACE_KEY].drop_duplicates()
    some = lines.merge(traces.iloc[:: max(1, -(-len(traces) // LINES))], on=TRACE_KEY)
    ends = some.drop_duplicates(TRACE_KEY).assign(step=lambda rows: float("inf"), x=None, y=None)
    cut = pd.concat([some, ends]).sort_values([*TRACE_KEY, "step"], kind="stable")
    figure.add_scatter(
        x=cut["step"].where(cut["step"] < float("inf")),
        y=cut[axis].astype(float),
        mode="lines",
        line={"color": colour + "33", "width": 1},
        hoverinfo="skip",
        showlegend=False,
        **at,
    )
