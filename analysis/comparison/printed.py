"""The comparison as it is printed: one table a family, 80 columns wide, and as JSON.

A run has a number in these tables, with its value of the setting that was asked for behind it; the
first table says which it is. An estimate and its interval are one cell, and a long name goes on
beside the next runs, so that the table has five narrow columns whatever is compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import pandas as pd

from analysis.comparison.settings import differing
from analysis.comparison.tables import FAMILIES
from analysis.declaration import Shown
from cot.store.run import Run

__all__ = ["Printed", "printed", "show"]

Rows = list[dict[str, Any]]
Printed = dict[str, Rows]
"""Title to a table's rows."""
KEY = ["family", "measure", "subject", "n_samples"]
RUN = "#"
LABEL, LEAST_LABEL = 24, 14
"""Characters of a measure's name in a line, so that a table has at most 80 columns."""
ALPHA = 0.05


def show(run: Run, table: pd.DataFrame) -> Shown:
    """What `cot compare` prints."""
    tables = {name: run.table(f"compared_{name}") for name in ("measures", "settings", "missing")}
    asked = run.provenance("compared_differences").parameters
    shown = printed(table, tables["measures"], tables["settings"], asked["against"], asked["over"])
    missing = tables["missing"].to_dict("records")
    return Shown(
        json={
            "runs": _runs(table, tables["measures"], tables["settings"]),
            "differences": table.to_dict("records"),
            "missing": missing,
        },
        tables=list(shown.values()),
        note=_note(table, missing, n_runs=tables["settings"]["run"].nunique()),
    )


def printed(
    differences: pd.DataFrame,
    measures: pd.DataFrame,
    settings: pd.DataFrame,
    against: str | None,
    over: str | None,
    *,
    narrow: bool = True,
) -> Printed:
    """The runs, then a table a family; its first column is named for it.

    Args:
        differences: table `compared_differences`.
        measures: table `compared_measures`.
        settings: table `compared_settings`.
        against: the run that the others are compared with; the first where None.
        over: a setting that the runs are sorted by.
        narrow: break names of measures, so that a table has at most 80 columns.
    """
    values = _settings(settings)
    runs = list(values)
    number = {run: place for place, run in enumerate(runs, start=1)}
    order = sorted(runs, key=lambda run: _rank(values[run].get(over, ""))) if over else runs
    found: Printed = {"runs": _legend(values, runs[0] if against is None else against)}
    at = {run: f" ({values[run].get(over, 'none')})" if over else "" for run in runs}
    width = max(LEAST_LABEL, LABEL - max(map(len, at.values())))
    apart = {
        (row["run"], *(_plain(row[name]) for name in KEY)): row
        for row in differences.to_dict("records")
    }
    for family in FAMILIES:
        mine = measures[measures["family"] == family]
        rows: Rows = []
        for key, some in mine.groupby(KEY, sort=False, dropna=False):
            of = {row["run"]: row for row in some.to_dict("records")}
            cells = []
            for run in (each for each in order if each in of):
                difference = apart.get((run, *map(_plain, key)))
                p = None if difference is None else _plain(difference["p_holm"])
                cells.append(
                    {
                        RUN: f"{number[run]}{at[run]}",
                        "estimate": _with_interval(of[run]),
                        "difference": "" if difference is None else _with_interval(difference, "+"),
                        "p_holm": "" if p is None else f"{p:.3f}",
                    }
                )
            # a long name goes on beside the next runs
            labels = _lines(_named(key), width) if narrow else [_named(key)]
            for label, cell in zip_longest(labels, cells):
                rows.append({family: label or "", **(cell or dict.fromkeys(cells[0], ""))})
        if rows:
            found[family] = rows
    return found


def _runs(
    differences: pd.DataFrame, measures: pd.DataFrame, settings: pd.DataFrame
) -> list[dict[str, Any]]:
    """Of each run: its name and folder, its settings, and its measures."""
    found = []
    for run, values in _settings(settings).items():
        path = settings.loc[settings["run"] == run, "path"].iloc[0]
        mine = measures[measures["run"] == run].drop(columns="run").to_dict("records")
        found.append({"run": run, "path": path, "settings": values, "measures": mine})
    return found


def _settings(settings: pd.DataFrame) -> dict[str, dict[str, str]]:
    return {
        str(run): dict(zip(rows["setting"], rows["value"], strict=True))
        for run, rows in settings.groupby("run", sort=False)
    }


def _legend(values: Mapping[str, Mapping[str, str]], against: str) -> Rows:
    """One row a run: its number, its name, and what sets it apart from the one it is compared
    with; more than one setting is marked."""
    rows: Rows = []
    for place, (run, mine) in enumerate(values.items(), start=1):
        unlike = differing(values[against], mine)
        told = ", ".join(f"{name} {mine.get(name, 'none')}" for name in unlike)
        many = f"{len(unlike)} settings differ: " if len(unlike) > 1 else ""
        same = (
            "the others are compared with it"
            if run == against
            else "no setting that counts differs"
        )
        rows.append({RUN: place, "run": run, "differs in": many + told if told else same})
    return rows


def _note(differences: pd.DataFrame, missing: Sequence[Mapping[str, Any]], n_runs: int) -> str:
    n = int(differences["n_comparisons"].max()) if len(differences) else 0
    found = int((differences["p_holm"] <= ALPHA).sum())
    lines = [
        "estimates: over each run's questions; differences: over the common ones, paired, 95% "
        "bootstrap",
        f"p_holm: exchange test, Holm's correction over {n} comparisons; {found} "
        f"{'is' if found == 1 else 'are'} at most {ALPHA}",
    ]
    left: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in missing:
        left.setdefault((f"{row['family']}: {row['what']}", row["why"]), []).append(row)
    for (what, why), rows in left.items():
        names = ", ".join(str(row["run"]) for row in rows)
        names = "every run" if len(rows) == n_runs else names
        command = f" ({rows[0]['command']})" if rows[0]["command"] else ""
        lines.append(f"left out: {what} of {names}: {why}{command}")
    return "\n".join(lines)


def _named(key: Sequence[Any]) -> str:
    _, measure, subject, n_samples = key
    at = "" if pd.isna(n_samples) else f"n={int(n_samples)}"
    return " ".join(filter(None, [str(measure), str(subject), at]))


def _lines(text: str, width: int) -> list[str]:
    """The text in lines, broken after spaces and underscores; longer words are cut.

    >>> _lines("traces_with_wrong_equation", 20)
    ['traces_with_wrong_', 'equation']
    """
    lines = [""]
    for word in re.split(r"(?<=[ _])", text):
        for piece in (word[begin : begin + width] for begin in range(0, len(word), width)):
            if len(lines[-1]) + len(piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return [line.rstrip() for line in lines]


def _with_interval(row: Mapping[str, Any], sign: str = "") -> str:
    """0.62 [0.50, 0.74]; as many decimals as the size asks for."""
    if pd.isna(row["estimate"]):
        return "not defined"
    decimals = max(0, 3 - len(str(int(abs(row["estimate"]))))) if abs(row["estimate"]) >= 1 else 2
    value = f"{row['estimate']:{sign}.{decimals}f}"
    if pd.isna(row["low"]):
        return value
    return f"{value} [{row['low']:.{decimals}f}, {row['high']:.{decimals}f}]"


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value


def _rank(text: str) -> tuple[int, float, str]:
    """Numbers first, by size; then texts."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
