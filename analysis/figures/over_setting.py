"""A measure of many runs against one of their settings, such as accuracy against temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import DASHES, between, draw, mark, shown, whiskers
from analysis.figures.tables import read
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["measure_over_setting"]

COMMAND = "cot compare RUN OTHER"
NOT_OTHERS = ("sha256", "revision")
"""Ends of settings that follow from another one."""


def measure_over_setting(
    run: Run, setting: str, measure: str = "accuracy", family: str | None = None
) -> Figure:
    """One panel a subject of the measure, from the tables `compared_measures` and
    `compared_settings`; a line joins the runs that are alike in all other settings.

    Args:
        run: the first of the runs that were compared.
        setting: such as temperature; numbers are an axis, other values stand side by side.
        measure: such as accuracy or auroc.
        family: of the measure, where several families have one of its name.

    Raises:
        InputError: the runs have no such setting or no such measure, or weren't compared.
    """
    table = read(run, "compared_measures", COMMAND)
    rows = table[table["measure"] == measure]
    rows = rows if family is None else rows[rows["family"] == family]
    if rows.empty:
        there = ", ".join(sorted(table["measure"].unique())) or "none"
        raise InputError(f"{run.path}: no measure {measure!r} was compared: choose from {there}")
    values, others, lines = _settings(run, setting)
    rows = rows.assign(at=rows["run"].map(values.get), line=rows["run"].map(lines.get))
    subjects = list(rows.groupby(["family", "subject", "n_samples"], sort=False, dropna=False))
    caption = (
        f"n = {between(rows['n_questions'].dropna())} questions a run. Whiskers: 95%, bootstrap "
        "over questions. Runs share questions: whiskers that overlap don't say that two are equal; "
        "the paired differences do."
    )
    if others:
        caption += f" Lines: runs alike in {', '.join(others)}."
    figure = draw(
        f"{measure.replace('_', ' ')} against {setting}",
        caption,
        [_title(key, rows_of) for key, rows_of in subjects],
        height=60 + 240 * len(subjects),
        rows=len(subjects),
        cols=1,
    )
    numeric = all(isinstance(value, float) for value in values.values())
    names = list(dict.fromkeys(lines.values()))
    for row, (_, some) in enumerate(subjects, start=1):
        for place, name in enumerate(names):
            own = some[some["line"] == name]
            own = own.sort_values("at") if numeric else own
            if own.empty:
                continue
            colour = mark(place)["color"]
            figure.add_scatter(
                x=own["at"] if numeric else [shown(each) for each in own["at"]],
                y=own["estimate"],
                error_y=whiskers(own),
                mode="lines+markers",
                line={"color": colour, "dash": DASHES[place % len(DASHES)]},
                marker={**mark(place), "size": 9},
                name=shown(name),
                legendgroup=name,
                showlegend=bool(name) and row == 1,
                customdata=[shown(each) for each in own["run"]],
                hovertemplate="%{customdata}<br>%{x}: %{y:.3g}<extra></extra>",
                row=row,
                col=1,
            )
    figure.update_xaxes(title=shown(setting), row=len(subjects), col=1)
    if numeric:
        return figure.update_xaxes(tickvals=sorted(set(values.values())))
    return figure.update_xaxes(type="category")


def _settings(run: Run, setting: str) -> tuple[dict[str, float | str], list[str], dict[str, str]]:
    """Run to its value of the setting (numbers where all are); the other settings that tell runs
    apart; run to these in words."""
    table = read(run, "compared_settings", COMMAND)
    runs = list(dict.fromkeys(table["run"]))
    wide = table.pivot(index="run", columns="setting", values="value").reindex(runs)
    if setting not in wide:
        there = ", ".join(dict.fromkeys(table["setting"]))
        raise InputError(f"{run.path}: no setting {setting!r} of the runs: choose from {there}")
    kept, others = [setting], []
    for name in dict.fromkeys(table.loc[table["differs"], "setting"]):
        if name == setting or name.endswith(NOT_OTHERS):
            continue
        if _groups(wide, [*kept, name]) > _groups(wide, kept):
            kept.append(name)
            others.append(name)
    texts: dict[str, float | str] = {name: wide.at[name, setting] for name in runs}
    numbers = {name: _number(str(text)) for name, text in texts.items()}
    known: dict[str, float | str] = {
        name: value for name, value in numbers.items() if value is not None
    }
    lines = {
        name: ", ".join(f"{other}={wide.at[name, other]}" for other in others) for name in runs
    }
    return (known if len(known) == len(texts) else texts), others, lines


def _groups(wide: pd.DataFrame, names: list[str]) -> int:
    return int(wide.groupby(names, dropna=False, sort=False).ngroups)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _title(key: Any, rows: pd.DataFrame) -> str:
    import pandas as pd

    _, subject, n = key
    at = "" if pd.isna(n) else f"n = {int(n)}"
    return ", ".join(filter(None, [subject, at])) + f" ({rows['unit'].iloc[0]})"
