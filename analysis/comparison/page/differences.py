"""Differences of the runs, measure by measure, as the page writes them.

A difference is shown where its p-value, after Holm's correction over all comparisons of the page,
is at most 0.05. All else is not shown, which is no proof that two runs are alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.comparison.tables import FAMILIES
from analysis.figures.comparison import ALPHA, named
from analysis.figures.text import chance, count, interval, number, percent, points

__all__ = [
    "HEADS",
    "Family",
    "Lacking",
    "families",
    "gap_text",
    "is_shown",
    "missing_of",
    "value_text",
]

HEADS = {
    "differences": [
        *(
            "Measure",
            "Run",
            "Verdict",
            "Difference",
            "95% interval",
            "Holm's p",
            "Run's",
            "Other's",
        ),
        *("Questions", "Left out", "Settings that differ"),
    ],
    "measures": [
        *("Measure", "Run", "Estimate", "95% interval", "Unit", "Questions", "Traces", "Left out"),
        "How",
    ],
}
"""Heads of a family's two tables."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The measures of one family."""

    name: str
    """One of `FAMILIES`."""
    holds: str
    """What it holds, in words."""
    n_tested: int
    """Its differences that could be tested."""
    n_shown: int
    """Those that are shown."""
    measures: Sequence[Sequence[str]]
    """Its measures, formatted (see HEADS)."""
    differences: Sequence[Sequence[str]]
    """Its differences, formatted; those that are shown come first."""


def families(tables: Mapping[str, pd.DataFrame]) -> list[Family]:
    """The families that have a measure, in order.

    Args:
        tables: `compared_measures` and `compared_differences`, by name.
    """
    measures, differences = tables["compared_measures"], tables["compared_differences"]
    found = []
    for name, holds in FAMILIES.items():
        own, gaps = (each[each["family"] == name] for each in (measures, differences))
        if not len(own):
            continue
        rows = sorted(gaps.to_dict("records"), key=lambda row: not is_shown(row))
        found.append(
            Family(
                name=name,
                holds=holds,
                n_tested=int(gaps["p_holm"].notna().sum()),
                n_shown=sum(map(is_shown, rows)),
                measures=[_measure(row) for row in own.to_dict("records")],
                differences=[_difference(row) for row in rows],
            )
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """What some runs lack to be compared."""

    family: str
    """Of the measures that can't be read."""
    what: str
    """The table, or the measure."""
    why: str
    """What is the matter."""
    runs: Sequence[str]
    """Which lack it."""
    commands: Sequence[str]
    """What adds it, for each; none where nothing does."""


def missing_of(table: pd.DataFrame) -> list[Lacking]:
    """The table `compared_missing`, what several runs lack in one entry."""
    return [
        Lacking(
            family=family,
            what=what,
            why=why,
            runs=list(rows["run"]),
            commands=[str(command) for command in rows["command"] if command],
        )
        for (family, what, why), rows in table.groupby(["family", "what", "why"], sort=False)
    ]


def is_shown(row: Mapping[Any, Any]) -> bool:
    """Whether a difference is shown after Holm's correction."""
    p = number(row["p_holm"])
    return p is not None and p <= ALPHA


def value_text(value: Any, unit: str) -> str:
    """A measure's value: shares in per cent, all else with three digits."""
    known = number(value)
    return percent(known) if unit.startswith("share") else _digits(known)


def gap_text(value: Any, unit: str) -> str:
    """A difference: of shares in percentage points, without the word."""
    known = number(value)
    return points(known) if unit.startswith("share") else _digits(known)


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}".replace("-", "\N{MINUS SIGN}")


def _measure(row: Mapping[Any, Any]) -> list[str]:
    unit = str(row["unit"])
    return [
        named(str(row["measure"]), str(row["subject"]), row["n_samples"]),
        str(row["run"]),
        value_text(row["estimate"], unit),
        interval(number(row["low"]), number(row["high"]), lambda value: value_text(value, unit)),
        unit,
        *(_count(row[name]) for name in ("n_questions", "n_traces", "n_excluded")),
        str(row["method"]),
    ]


def _difference(row: Mapping[Any, Any]) -> list[str]:
    unit = str(row["unit"])
    tested = number(row["p_holm"]) is not None
    verdict = "not shown" if tested else "not tested"
    if is_shown(row):
        verdict = "higher" if row["estimate"] > 0 else "lower"
    return [
        named(str(row["measure"]), str(row["subject"]), row["n_samples"]),
        str(row["run"]),
        verdict,
        gap_text(row["estimate"], unit) + (" points" if unit.startswith("share") else ""),
        interval(number(row["low"]), number(row["high"]), lambda value: gap_text(value, unit)),
        chance(number(row["p_holm"])).removeprefix("= "),
        value_text(row["value"], unit),
        value_text(row["other"], unit),
        *(_count(row[name]) for name in ("n_questions", "n_excluded", "n_settings")),
    ]


def _count(value: Any) -> str:
    known = count(value)
    return "–" if known is None else f"{known:,}"
