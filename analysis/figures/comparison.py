"""Runs beside each other: each run's measures, and the paired differences to one of them.

A panel is a measure of a family. It has a row a run; where the runs lie along a numeric setting,
that is the axis instead; and a measure that has a number of samples is a line a run over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from analysis.figures.look import DASHES, NEUTRAL, between, draw, mark, shown, whiskers
from analysis.figures.tables import read, rows_of

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["ALPHA", "Axis", "compared_differences", "compared_measures", "named", "setting_axis"]

COMMAND = "cot compare RUN OTHER"
ALPHA = 0.05
"""A difference is shown where Holm's p is at most this."""
MOST_PANELS = 6
"""Measures of a family that are drawn; the others are in the table."""
MOST_SERIES = 6
"""Lines up to which runs are drawn along a setting."""
LEAST_PLACES = 3
"""Different values of a setting from which it is an axis."""
ROW, PANEL, GAP = 26, 150, 58
"""Pixels: a run's row, a panel with an axis, and what lies between two panels."""
LABEL = 22
"""Characters of a run's name in a line."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A numeric setting along which runs lie."""

    setting: str
    """Its name."""
    places: Mapping[str, float]
    """Run to its value."""
    series: Mapping[str, str]
    """Run to its other settings that differ, in words; empty where there are none."""
    along: tuple[str, ...]
    """Settings that change with it wherever it changes, so that their effects can't be told
    apart."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One measure."""

    title: str
    """Its name."""
    unit: str
    """What it is in."""
    rows: pd.DataFrame
    """Of the table, one a run, or one a run and number of samples."""

    @property
    def sampled(self) -> bool:
        """Whether it has several numbers of samples."""
        return bool(self.rows["n_samples"].nunique() > 1)

    @property
    def form(self) -> str:
        """How a value is formatted (d3)."""
        return ".1%" if self.unit.startswith("share") else ".3~g"


def compared_measures(run: Run, family: str = "accuracy", over: str | None = None) -> Figure:
    """The measures of one family, run beside run, from the table `compared_measures`.

    Args:
        over: a numeric setting that is the axis; by default the one with the most values.

    Raises:
        InputError: no such table, or no such family in it.
    """
    table = rows_of(run, read(run, "compared_measures", COMMAND), "family", family)
    panels, left_out = _panels(table.assign(baseline=table["run"] == _baseline(run)))
    caption = (
        f"n = {_between(table['n_questions'])} questions a run. Whiskers: 95%, bootstrap over "
        f"questions; a number without them has no interval. Diamond: {_baseline(run)}, the run "
        f"that the others are compared with.{_more(left_out)}"
    )
    return _drawn(run, f"{family}: each run", caption, panels, over, differences=False)


def compared_differences(run: Run, family: str = "accuracy", over: str | None = None) -> Figure:
    """The paired differences of one family to the run that all are compared with, from the table
    `compared_differences`.

    Args:
        over: as `compared_measures` takes it.

    Raises:
        InputError: no such table, or no such family in it.
    """
    table = rows_of(run, read(run, "compared_differences", COMMAND), "family", family)
    panels, left_out = _panels(table)
    caption = (
        f"n = {_between(table['n_questions'])} questions in both runs. Whiskers: 95%, paired "
        f"bootstrap over questions. Filled: shown to differ from {_baseline(run)} (p ≤ {ALPHA:g} "
        f"after Holm's correction over {_between(table['n_comparisons'])} comparisons); hollow: "
        f"not shown.{_more(left_out)}"
    )
    return _drawn(run, f"{family}: difference to {_baseline(run)}", caption, panels, over)


def named(measure: str, subject: str, n_samples: Any = None) -> str:
    """A measure in words.

    >>> named("expected_accuracy", "majority", 5), named("pass@k", "", 8)
    ('expected accuracy, majority, n = 5', 'pass@8')
    """
    import pandas as pd

    n = None if n_samples is None or pd.isna(n_samples) else int(n_samples)
    if measure == "pass@k" and n is not None:
        return f"pass@{n}"
    words = [measure.replace("_", " "), subject, "" if n is None else f"n = {n}"]
    return ", ".join(word for word in words if word)


def setting_axis(settings: pd.DataFrame, over: str | None = None) -> Axis | None:
    """The numeric setting along which the runs lie, from the table `compared_settings`; None where
    none has three values, or the other settings leave no line of several runs.

    Args:
        over: the only setting that it may be; two values are enough of it.
    """
    runs = list(dict.fromkeys(settings["run"]))
    wide = settings[settings["differs"]].pivot(index="run", columns="setting", values="value")
    wide = wide.reindex(index=runs, columns=list(dict.fromkeys(settings["setting"])))
    wide = wide.dropna(axis="columns", how="all").fillna("none")
    numeric = {
        name: [float(value) for value in values]
        for name, values in wide.items()
        if (name == over if over else not str(name).endswith(("seed", "sha256")))
        and all(map(_is_number, values))
    }
    if not numeric:
        return None
    setting = max(numeric, key=lambda name: len(set(numeric[name])))
    others, along, kept = [], [], [setting]
    for name in wide.columns:
        if name == setting or str(name).endswith("sha256"):
            continue
        if _tells_more(wide, kept, name):
            others.append(str(name))
            kept.append(name)
        elif not str(name).endswith("revision"):
            along.append(str(name))
    series = {
        str(run): ", ".join(f"{name}={_short(wide.at[run, name])}" for name in others)
        for run in runs
    }
    places = len(set(numeric[setting]))
    several = len(set(series.values())) <= min(MOST_SERIES, len(runs) - 1)
    if (places < LEAST_PLACES and not over) or not several:
        return None
    return Axis(
        setting=str(setting),
        places=dict(zip(map(str, runs), numeric[setting], strict=True)),
        series=series,
        along=tuple(name for name in along if _changes_with(wide, setting, name)),
    )


def _tells_more(wide: pd.DataFrame, kept: Sequence[Any], name: Any) -> bool:
    """Whether a setting tells runs apart that those before it don't."""
    before = wide.groupby(list(kept), dropna=False, sort=False).ngroups
    return bool(wide.groupby([*kept, name], dropna=False, sort=False).ngroups > before)


def _changes_with(wide: pd.DataFrame, setting: Any, name: Any) -> bool:
    """Whether two values of the one always go with two values of the other."""
    return bool(wide.groupby(setting)[name].nunique(dropna=False).max() == 1)


def _is_number(value: Any) -> bool:
    try:
        return abs(float(value)) < float("inf")
    except (TypeError, ValueError):
        return False


def _panels(table: pd.DataFrame) -> tuple[list[Panel], int]:
    """The first measures, and how many there are beyond."""
    panels = []
    for (measure, subject), rows in table.groupby(["measure", "subject"], sort=False):
        several = rows["n_samples"].nunique() > 1
        n = None if several else rows["n_samples"].iloc[0]
        panels.append(
            Panel(
                title=named(str(measure), str(subject), n),
                unit=str(rows["unit"].iloc[0]),
                rows=rows,
            )
        )
    return panels[:MOST_PANELS], max(0, len(panels) - MOST_PANELS)


def _drawn(
    run: Run,
    title: str,
    caption: str,
    panels: Sequence[Panel],
    over: str | None,
    *,
    differences: bool = True,
) -> Figure:
    """One panel under the other; the rows of a family's two figures are as high."""
    settings = read(run, "compared_settings", COMMAND)
    runs = [str(name) for name in dict.fromkeys(settings["run"])]
    axis = setting_axis(settings, over)
    if axis is not None and axis.along:
        caption += f" With {axis.setting} change: {', '.join(axis.along)}."
    flat = [not panel.sampled and axis is None for panel in panels]
    heights = [ROW * len(runs) + 14 if each else PANEL for each in flat]
    total = sum(heights) + GAP * (len(panels) - 1) + 20
    figure = draw(
        title,
        caption,
        [f"{panel.title} ({panel.unit})" for panel in panels],
        height=total,
        rows=len(panels),
        cols=1,
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=0 if len(panels) == 1 else GAP / total,
    )
    figure.update_annotations(x=0, xanchor="left")
    legends: set[str] = set()
    for row, panel in enumerate(panels, 1):
        values = "x" if flat[row - 1] else "y"
        for name, rows, x, place in _series(panel, runs, axis):
            marker, line = mark(place), {"dash": DASHES[place % len(DASHES)], "width": 1.5}
            own = x is None
            names = [_wrapped(str(each)) for each in rows["run"]] if own else x
            across, along = (rows["estimate"], names) if own else (names, rows["estimate"])
            figure.add_scatter(
                x=across,
                y=along,
                mode="markers" if own else "lines+markers",
                marker={"color": marker["color"], "size": 9, "symbol": _symbols(rows, marker)}
                | {"line": {"width": 1.5, "color": marker["color"]}},
                line={**line, "color": marker["color"]},
                **{f"error_{values}": {**whiskers(rows), "color": marker["color"]}},
                name=shown(name),
                legendgroup=name,
                showlegend=bool(name) and name not in legends,
                customdata=_said(rows, panel.form),
                hovertemplate=f"%{{customdata}}<extra>{shown(panel.title)}</extra>",
                row=row,
                col=1,
            )
            legends.add(name)
        if differences:
            zero = figure.add_vline if values == "x" else figure.add_hline
            zero(0, line={"dash": "dash", "color": NEUTRAL}, row=row, col=1)
        format_ = {"tickformat": ".0%"} if panel.form == ".1%" else {}
        (figure.update_xaxes if values == "x" else figure.update_yaxes)(
            nticks=5, row=row, col=1, **format_, **_range(panel)
        )
        if flat[row - 1]:
            order = [_wrapped(name) for name in runs]
            figure.update_yaxes(
                type="category",
                categoryorder="array",
                categoryarray=order,
                range=[len(order) - 0.5, -0.5],
                row=row,
                col=1,
            )
        elif (
            row == len(panels) or panel.sampled != panels[row].sampled
        ):  # one title for those above
            along = "samples a question (n)" if panel.sampled or axis is None else axis.setting
            figure.update_xaxes(title=shown(along), row=row, col=1)
        if axis is not None and not panel.sampled:
            figure.update_xaxes(tickvals=sorted(set(axis.places.values())), row=row, col=1)
    below = {"y": -62 / total, "yanchor": "top", "x": 0, "orientation": "h"}
    return figure.update_layout(legend=below)


def _range(panel: Panel) -> dict[str, list[float]]:
    """Of an axis on which all is at one place: a little about it, as plotly takes one each side."""
    ends = panel.rows[["estimate", "low", "high"]]
    low, high = float(ends.min(axis=None)), float(ends.max(axis=None))
    margin = 0.1 * (abs(low) or 1)
    return {"range": [low - margin, low + margin]} if low == high else {}


def _series(
    panel: Panel, runs: Sequence[str], axis: Axis | None
) -> Iterator[tuple[str, pd.DataFrame, list[float] | None, int]]:
    """Name, rows, their places on the axis (None for a row a run), and the place of its look."""
    if not panel.sampled and axis is None:
        yield "", panel.rows, None, 0
        return
    if panel.sampled:
        rows = panel.rows.assign(series=panel.rows["run"], at=panel.rows["n_samples"].astype(float))
        names: Sequence[str] = runs
    elif axis is not None:
        of = panel.rows["run"]
        rows = panel.rows.assign(series=of.map(axis.series.get), at=of.map(axis.places.get))
        names = list(dict.fromkeys(axis.series.values()))
    width = 0.012 * (rows["at"].max() - rows["at"].min())
    for place, name in enumerate(names):
        own = rows[rows["series"] == name].sort_values("at")
        if len(own):
            yield name, own, _beside(list(own["at"]), place, width), place


def _beside(places: Sequence[float], place: int, width: float) -> list[float]:
    """Places moved a little to the right, the more the later the series, so that whiskers of
    several series don't hide each other."""
    return [each + place * width for each in places]


def _symbols(rows: pd.DataFrame, marker: Mapping[str, str]) -> list[str]:
    """Differences are filled where they are shown; of measures, the baseline is a diamond."""
    if "p_holm" in rows:
        return [
            marker["symbol"] if p <= ALPHA else f"{marker['symbol']}-open" for p in rows["p_holm"]
        ]
    return ["diamond" if is_first else marker["symbol"] for is_first in rows["baseline"]]


def _said(rows: pd.DataFrame, form: str) -> list[str]:
    """What is said of each dot."""
    said = []
    for row in rows.to_dict("records"):
        values = [_formatted(row[name], form) for name in ("estimate", "low", "high")]
        words = f"{row['run']}: {values[0]} ({values[1]} to {values[2]}); {row['n_questions']} "
        words += "questions"
        if "p_holm" in row:
            words += f"; {_formatted(row['value'], form)} and {_formatted(row['other'], form)}"
            words += f"; Holm's p {_formatted(row['p_holm'], '.3~g')}"
        said.append(shown(words))
    return said


def _formatted(value: Any, form: str) -> str:
    import pandas as pd

    if pd.isna(value):
        return "–"
    return f"{value:.1%}" if form == ".1%" else f"{value:.3g}"


def _wrapped(name: str) -> str:
    """A run's name on as many lines as it takes, broken after commas where there are some."""
    parts = [part + "," for part in name.split(",")[:-1]] + [name.rsplit(",", 1)[-1]]
    lines: list[str] = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) > LABEL:
            lines.append("")
        lines[-1] += part
    return "<br>".join(shown(piece) for line in lines for piece in wrap(line, LABEL) or [""])


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LABEL else text[: LABEL - 1] + "…"


def _baseline(run: Run) -> str:
    """The run that the others are compared with."""
    differences = read(run, "compared_differences", COMMAND)
    return str(differences["against"].iloc[0])


def _between(values: pd.Series[Any]) -> str:
    known = values.dropna()
    return between(known) if len(known) else "0"


def _more(left_out: int) -> str:
    return f" {left_out} more in the table." if left_out else ""
