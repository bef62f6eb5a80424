"""What moves the answer: effects of changed states and hidden steps, each beside its control.

An effect is a change of the log-odds of the trace's own answer against another one, in nats, or a
share of the gap between two traces' log-odds. All numbers are read from the tables of `cot
intervene`; nothing is estimated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import (
    COLOURS,
    DASHES,
    DIVERGING,
    NEUTRAL,
    add_band,
    add_dots,
    add_line,
    between,
    draw,
    mark,
    shown,
)
from analysis.figures.tables import place_of, read, rows_of
from analysis.figures.text import chance, decimal, interval, number
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = [
    "CONTROLS",
    "MAPPED",
    "MEASURES",
    "PATHS",
    "SAMPLED",
    "chosen_layer",
    "dose_response",
    "intervention_effects",
    "intervention_map",
    "mapped",
    "place_words",
]

MEASURES = {
    "recovered": "recovered share",
    "log_odds": "log-odds, nats",
    "slope": "log-odds, nats per σ",
    "total": "total effect, nats",
    "indirect": "indirect share of the total effect",
    "direct": "direct share of the total effect",
    "auroc_after": "AUROC of the probe afterwards",
    "accuracy": "accuracy of single traces",
    "majority_accuracy": "accuracy of the majority",
    "changed": "share of answers changed",
    "missing": "share without an answer",
    "length": "tokens a trace",
    "repetition": "share of repeated 4-grams",
    "perplexity": "log-perplexity under the unchanged model, nats",
}
"""Measure of an effect to what an axis calls it."""
SAMPLED = tuple(MEASURES)[7:]
"""Measures of sampled traces: changes from the unchanged model's trace of the same seed."""
UNITS = {"indirect": "share of the total effect", "direct": "share of the total effect"}
"""Measures that share an axis; every other measure has its own."""
CONTROLS = {
    "same_answer": "donor with the same answer",
    "other_question": "donor of another question",
    "random": "random directions",
    "shuffled": "labels shuffled",
    "random_span": "random span of as many tokens",
}
"""Control to what figures and page call it; one that a plug-in adds keeps its own name."""
PATHS = ("indirect", "direct")
"""Shares of the total effect that mediation finds, in the order in which they are drawn."""
LEAST_REACH = 0.05
"""Distance from 0 at which a map's colours are full, unless a value is further away."""
MAPPED = ("recovered", "slope", "log_odds")
"""Measures that a map may be of, the first that there is by default."""
CELL = ["layer", "position"]


def intervention_map(
    run: Run,
    method: str = "patching",
    target: str | None = None,
    measure: str | None = None,
    strength: float | None = None,
) -> Figure:
    """The effect by layer and position beside that of each control, in the same colours around 0;
    from the table `intervention_effects`.

    Args:
        target: of what the direction is; by default the first one.
        measure: by default the recovered share, the slope or the log-odds, whichever is there.
        strength: by default the largest.

    Raises:
        InputError: no such table, method, target, measure or strength; or a method that acts on all
            layers at once.
    """
    cells, rest = mapped(run, method, target, measure, strength)
    controls = [each for each in dict.fromkeys(cells["control"]) if each]
    positions = sorted(cells["position"].unique(), key=place_of)
    first = cells.drop_duplicates(CELL)
    what = MEASURES.get(first["measure"].iloc[0], str(first["measure"].iloc[0]))
    at = "".join(f" Strength {value:g}." for value in first["strength"].dropna().unique()[:1])
    named = ", ".join(CONTROLS.get(each, each) for each in controls) or "none"
    caption = (
        f"n = {between(cells['n_questions'])} questions, {between(cells['n_traces'])} traces; "
        f"{between(cells['n_excluded'])} left out.{at} Intervals (95%, bootstrap over questions) "
        f"are in the hover text. Control, in the same colours: {named}. With {len(first)} cells "
        "some look large by chance: Holm's p counts them; ★ marks the cell that was chosen on "
        "other questions."
    )
    of = f", {first['target'].iloc[0]}" if first["target"].iloc[0] else ""
    panels = ["effect", *(CONTROLS.get(each, each) for each in controls)]
    height = 90 + 26 * first["layer"].nunique()
    figure = draw(f"{method.capitalize()}{of}: {what}", caption, panels, height=height)
    values = cells[["effect", "control_effect"]].abs().max().max()
    reach = max(LEAST_REACH, float(values))
    grids = [
        (first, "effect"),
        *((cells[cells["control"] == c], "control_effect") for c in controls),
    ]
    for col, (rows, column) in enumerate(grids, 1):
        star = {(row["layer"], row["position"]) for row in rest.to_dict("records")}
        rows = rows.assign(
            text=[
                decimal(number(row[column]))
                + (" ★" if col == 1 and (row["layer"], row["position"]) in star else "")
                for row in rows.to_dict("records")
            ],
            words=[shown(_words(row)) for row in rows.to_dict("records")],
        )
        grid = {name: _grid(rows, name, positions) for name in (column, "text", "words")}
        figure.add_heatmap(
            z=grid[column].to_numpy(float).tolist(),
            x=[shown(position) for position in positions],
            y=[str(layer) for layer in grid[column].index],
            zmin=-reach,
            zmid=0.0,
            zmax=reach,
            colorscale=DIVERGING,
            showscale=col == 1,
            colorbar={"len": 0.9, "thickness": 10, "outlinewidth": 0},
            texttemplate="%{text}",
            text=grid["text"].fillna("–").to_numpy().tolist(),
            customdata=grid["words"].fillna("not tried").to_numpy().tolist(),
            hovertemplate="%{customdata}<extra></extra>",
            row=1,
            col=col,
        )
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_yaxes(title="layer", col=1)


def mapped(
    run: Run,
    method: str,
    target: str | None = None,
    measure: str | None = None,
    strength: float | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells of a method's map, one a layer, position and control, and its headline's rows.

    Raises:
        InputError: as `intervention_map`.
    """
    table = read(run, "intervention_effects", f"cot intervene RUN --method {method}")
    rows = rows_of(run, table, "method", method)
    placed = rows[rows["layer"].notna() & ~rows["headline"].astype(bool)]
    there = list(placed["measure"] if len(placed) else rows["measure"])
    measures = [each for each in MAPPED if each in there]
    rows = rows_of(run, rows, "measure", measure or next(iter(measures), there[0]))
    rows = rows_of(run, rows, "target", rows["target"].iloc[0] if target is None else target)
    chosen = rows[rows["headline"].astype(bool)]
    cells = rows[rows["layer"].notna()].sort_values("headline", kind="stable")
    if strength is None and cells["strength"].notna().any():
        strength = float(cells["strength"].max())
    if strength is not None:
        cells = rows_of(run, cells, "strength", strength)
    if cells.empty:
        raise InputError(f"{method} acts on all layers at once in {run.path}: it has no map")
    # A headline is estimated apart from the cell that it stands for, which is what a map shows.
    cells = cells.drop_duplicates([*CELL, "control"]).sort_values("layer", kind="stable")
    return cells.reset_index(drop=True), chosen


def dose_response(
    run: Run,
    target: str | None = None,
    layer: int | None = None,
    measure: str = "log_odds",
    method: str = "steering",
) -> Figure:
    """The effect against the strength, with its interval, each control, and the range of the random
    directions; from the table `intervention_effects`.

    Args:
        target: of what the direction is; by default the first one.
        layer: by default the headline's.
        measure: `log_odds`, or one of sampled traces, such as `accuracy` or `missing`.

    Raises:
        InputError: no such table, target, layer or measure.
    """
    table = read(run, "intervention_effects", f"cot intervene RUN --method {method}")
    rows = rows_of(run, table, "method", method)
    rows = rows_of(run, rows, "target", rows["target"].iloc[0] if target is None else target)
    layer = chosen_layer(rows) if layer is None else layer
    rows = rows_of(run, rows_of(run, rows, "measure", measure), "layer", layer)
    rows = rows[rows["strength"].notna()].sort_values("strength", kind="stable")
    if rows.empty:
        raise InputError(f"{method} of {run.path} has no {measure} by strength at layer {layer}")
    controls = [each for each in dict.fromkeys(rows["control"]) if each]
    first = rows.sort_values("band_low", kind="stable").drop_duplicates("strength")
    first = first.sort_values("strength")
    banded = first["band_low"].notna().any()
    named = ", ".join(CONTROLS.get(each, each) for each in controls) or "none"
    caption = (
        f"n = {between(first['n_questions'])} questions, {between(first['n_traces'])} traces; "
        f"{between(first['n_excluded'])} left out. Blue band: 95%, bootstrap over questions. "
        f"Controls, dashed: {named}."
    )
    if measure in SAMPLED:
        caption += " A change from the unchanged model's traces of the same seeds."
    if banded:
        caption += " Grey band: 2.5 to 97.5% of the random directions' effects."
    name = str(first["target"].iloc[0])
    words = MEASURES.get(measure, measure)
    figure = draw(f"{method.capitalize()}, {name}, layer {layer}: {words}", caption, height=300)
    at: dict[str, Any] = {"at": "strength %{x}", "row": 1, "col": 1, "counted": "n_traces"}
    add_band(figure, first, ("strength", "band_low", "band_high"), NEUTRAL, row=1, col=1)
    for place, control in enumerate(controls):
        beside = rows[rows["control"] == control]
        ends = ("strength", "control_effect", "control_low", "control_high")
        style: dict[str, Any] = {"colour": NEUTRAL, "dash": DASHES[1 + place % 3], "width": 1.5}
        style |= {"band": False, "show": ".3f", "marker": {"size": 4}}
        add_line(figure, beside, CONTROLS.get(control, control), ends, **style, **at)
    own = ("strength", "effect", "low", "high")
    add_line(figure, first, "effect", own, colour=COLOURS[0], show=".3f", **at)
    if measure in SAMPLED:
        words += ", change"
    if measure != "auroc_after":
        figure.add_hline(0, line={"color": NEUTRAL, "width": 1}, layer="below")
    figure.update_xaxes(title="strength, σ", tickvals=sorted(first["strength"].unique()))
    return figure.update_yaxes(title=words)


def chosen_layer(rows: pd.DataFrame) -> int:
    """The layer of the first headline among a method's rows, else the first layer.

    Raises:
        InputError: no row has a layer.
    """
    known = rows[rows["layer"].notna()]
    if known.empty:
        raise InputError(f"{rows['method'].iloc[0]} acts on all layers at once: name none")
    marked = known[known["headline"].astype(bool)]
    return int((marked if len(marked) else known)["layer"].iloc[0])


def intervention_effects(run: Run) -> Figure:
    """Each method's headline effect beside its controls (grey), and the difference with the
    verdict; a line of panels a unit; from the table `intervention_effects`.

    Raises:
        InputError: no such table, or no headline in it.
    """
    table = read(run, "intervention_effects", "cot intervene RUN")
    rows = table[table["headline"].astype(bool)]
    if rows.empty:
        raise InputError(f"table intervention_effects of {run.path} has no headline to draw")
    rows = rows.assign(
        unit=[UNITS.get(each, MEASURES.get(each, each)) for each in rows["measure"]],
        name=[f"{row['method']}{place_words(row)}" for row in rows.to_dict("records")],
    )
    # A place with two controls has a line for each.
    several = rows["name"].duplicated(keep=False)
    rows["name"] = rows["name"].where(~several, rows["name"] + ", " + rows["control"])
    units = list(dict.fromkeys(rows["unit"]))
    caption = (
        f"n = {between(rows['n_questions'])} questions, {between(rows['n_traces'])} traces; "
        f"{between(rows['n_excluded'])} left out. Whiskers: 95%, bootstrap over questions, paired "
        "for differences. Grey: the control. Layer and strength were chosen on other questions. "
        "Not shown: the difference's interval reaches 0, which is no proof of no effect; its width "
        "says how large one could be."
    )
    counts = [int((rows["unit"] == unit).sum()) for unit in units]
    titles = [title for unit in units for title in (unit, "less its control")]
    figure = draw(
        "What moves the answer?",
        caption,
        titles,
        height=60 + 70 * len(units) + 34 * len(rows),
        rows=len(units),
        cols=2,
        row_heights=[1 + n for n in counts],
        shared_yaxes=True,
        vertical_spacing=min(0.2, 0.5 / len(units)),
    )
    for line, unit in enumerate(units, 1):
        own = rows[rows["unit"] == unit]
        beside, less = ("control_effect", "control_low", "control_high"), "difference"
        grey = {"color": NEUTRAL, "symbol": "diamond"}
        named = [CONTROLS.get(each, each) for each in own["control"]]
        add_dots(figure, own["name"], own, beside, row=line, col=1, marker=grey, hovertext=named)
        said = [shown(_words(row)) for row in own.to_dict("records")]
        ends = ("effect", "low", "high")
        add_dots(figure, own["name"], own, ends, row=line, col=1, marker=mark(0), hovertext=said)
        add_dots(
            figure,
            own["name"],
            own,
            (less, f"{less}_low", f"{less}_high"),
            row=line,
            col=2,
            marker=mark(0),
            mode="markers+text",
            text=own["verdict"],
            textposition="top center",
            cliponaxis=False,
            hovertext=said,
        )
        figure.add_vline(0, line={"dash": "dash", "color": NEUTRAL}, row=line, col="all")
    return figure


def place_words(row: Any) -> str:
    """Target, layer, position and strength of a row of `intervention_effects`, those it has.

    >>> place_words({"target": "correct", "layer": 20, "position": "cue", "strength": float("nan")})
    ' correct, layer 20 at cue'
    """
    layer, strength = number(row["layer"]), number(row["strength"])
    parts = [str(row["target"])] if row["target"] else []
    place = "" if layer is None else f"layer {layer:.0f}"
    if row["position"]:
        place = f"{place} at {row['position']}" if place else str(row["position"])
    parts += [place] if place else []
    parts += [] if strength is None else [f"strength {strength:g}"]
    return f" {', '.join(parts)}" if parts else ""


def _words(row: Any) -> str:
    """An effect with its interval, its control, the difference, and n."""
    ends = [
        (f"{decimal(number(row[name]))} ({interval(number(row[low]), number(row[high]), decimal)})")
        for name, low, high in (
            ("effect", "low", "high"),
            ("control_effect", "control_low", "control_high"),
            ("difference", "difference_low", "difference_high"),
        )
    ]
    p, holm = number(row["p"]), number(row["p_holm"])
    text = f"{row['method']}{place_words(row)}: {ends[0]}"
    if row["control"]:
        beside = CONTROLS.get(row["control"], row["control"])
        text += f"; {beside} {ends[1]}; difference {ends[2]}"
    text += "" if p is None else f", p {chance(p)}"
    text += "" if holm is None else f", Holm {chance(holm)}"
    text += f"; {row['how']}" if row["how"] else ""
    return f"{text}; {row['n_traces']} traces of {row['n_questions']} questions"


def _grid(rows: pd.DataFrame, name: str, positions: list[str]) -> pd.DataFrame:
    """A column by layer and position; a cell that was not tried is missing."""
    return rows.pivot(index="layer", columns="position", values=name).reindex(columns=positions)
