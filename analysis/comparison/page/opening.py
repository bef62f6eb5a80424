"""What the page opens with: what is shown to differ and what is not, and the runs beside each other
by one measure, the first that is compared (accuracy of the majority vote, where that is there)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.comparison.page.differences import gap_text, is_shown, value_text
from analysis.comparison.page.side import Side
from analysis.figures.comparison import named
from analysis.figures.text import chance, count, number
from analysis.page.cards import Row, make_row, sentence

__all__ = ["Opening", "RunRow", "Setting", "opening"]

MOST_SETTINGS = 4
"""Settings of a run that the first table names."""
HASH = 12
"""Characters of a hash that are shown."""
MOST_RUNS = 2
"""Runs of either kind whose difference the first sentence tells."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run in the first table."""

    letter: str
    """What it is called for short."""
    name: str
    """Its name."""
    settings: Sequence[tuple[str, str]]
    """Those that differ, the first few: name and value."""
    more: int
    """How many more differ."""
    estimate: Row | None
    """The measure; None where the run lacks it."""
    gap: Row | None
    """Its paired difference to the baseline; None for the baseline, and where it is unknown."""
    verdict: str
    """`baseline`, `higher`, `lower`, `not shown`, or empty where nothing was tested."""
    p: str
    """Holm's p."""
    n_settings: int
    """Settings in which it differs from the baseline."""

    @property
    def named(self) -> bool:
        """Whether its name says its settings, as that of a sweep's point does."""
        return not self.more and all(
            f"{name}={value}" in self.name for name, value in self.settings
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting that is not the same in all runs."""

    name: str
    """Its name."""
    values: Sequence[str]
    """One a run."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The first screen."""

    verdict: Sequence[str]
    """What differs in the first measure, and how many comparisons are shown."""
    baseline: str
    """The run that the others are compared with."""
    measure: str
    """The first measure, in words; empty where nothing was compared."""
    scale: tuple[float, float]
    """Ends of the axis of its estimates."""
    reach: float
    """Ends of the axis of its differences: −reach to reach."""
    runs: Sequence[RunRow]
    """One a run, in order."""
    common: int
    """Questions that all runs have."""
    settings: Sequence[Setting]
    """Those that differ."""
    equal: Sequence[tuple[str, str]]
    """Those that don't: name and value."""

    @property
    def several(self) -> bool:
        """Whether a run differs from the baseline in more than one setting."""
        return any(row.n_settings > 1 for row in self.runs)


def opening(tables: Mapping[str, pd.DataFrame], sides: Sequence[Side]) -> Opening:
    """From the comparison's tables, by name."""
    measures, differences = tables["compared_measures"], tables["compared_differences"]
    settings, questions = tables["compared_settings"], tables["compared_questions"]
    baseline = str(differences["against"].iloc[0]) if len(differences) else sides[0].name
    key = _first(differences if len(differences) else measures)
    own, gaps = _by_run(measures, key), _by_run(differences, key)
    wide = settings.pivot(index="setting", columns="run", values="value")
    wide = wide.reindex(index=settings["setting"].unique(), columns=[each.name for each in sides])
    wide = wide.fillna("–")  # a parameter of an analysis that the run doesn't have
    unlike = [str(name) for name in settings.loc[settings["differs"], "setting"].unique()]
    told = [name for name in unlike if not name.endswith("sha256")] or unlike
    ends = [number(row[end]) for row in own.values() for end in ("estimate", "low", "high")]
    reach = [number(row[end]) for row in gaps.values() for end in ("estimate", "low", "high")]
    known = [value for value in ends if value is not None]
    is_share = any(str(row["unit"]).startswith("share") for row in own.values())
    return Opening(
        verdict=_verdict(differences, gaps, sides, baseline, key),
        baseline=baseline,
        measure=named(*key[1:]) if key else "",
        scale=(0.0, 1.0) if is_share or not known else _around(known),
        reach=max([abs(value) for value in reach if value is not None] or [1.0]) or 1.0,
        runs=[
            _run_row(side, wide[side.name][told], own.get(side.name), gaps.get(side.name), baseline)
            for side in sides
        ],
        common=int((questions.groupby("question_id")["run"].nunique() == len(sides)).sum()),
        settings=[Setting(name=name, values=_values(name, wide.loc[name])) for name in unlike],
        equal=[(str(name), str(row.iloc[0])) for name, row in wide.drop(index=unlike).iterrows()],
    )


def _values(name: str, values: pd.Series[Any]) -> list[str]:
    """A setting's values; of a hash, the beginning."""
    length = HASH if name.endswith("sha256") else None
    return [str(value)[:length] for value in values]


Key = tuple[Any, ...]
"""family, measure, subject, n_samples; empty where there is nothing."""


def _first(table: pd.DataFrame) -> Key:
    """The majority's accuracy, or the first measure that there is."""
    if not len(table):
        return ()
    names = ["family", "measure", "subject", "n_samples"]
    chosen = table[(table["measure"] == "accuracy") & (table["subject"] == "majority")]
    return tuple((chosen if len(chosen) else table)[names].iloc[0])


def _by_run(table: pd.DataFrame, key: Key) -> dict[str, dict[Any, Any]]:
    """The measure's row of each run."""
    if not key:
        return {}
    family, measure, subject, n = key
    same = (table["family"] == family) & (table["measure"] == measure)
    same &= table["subject"] == subject
    same &= table["n_samples"].isna() if pd.isna(n) else (table["n_samples"] == n).fillna(False)
    return {str(row["run"]): row for row in table[same].to_dict("records")}


def _run_row(
    side: Side,
    values: pd.Series[Any],
    own: Mapping[Any, Any] | None,
    gap: Mapping[Any, Any] | None,
    baseline: str,
) -> RunRow:
    verdict = "baseline" if side.name == baseline else ""
    if gap is not None and number(gap["p_holm"]) is not None:
        verdict = "not shown"
        if is_shown(gap):
            verdict = "higher" if gap["estimate"] > 0 else "lower"
    pairs = [(str(name), str(value)) for name, value in values.items()]
    return RunRow(
        letter=side.letter,
        name=side.name,
        settings=pairs[:MOST_SETTINGS],
        more=max(0, len(pairs) - MOST_SETTINGS),
        estimate=None if own is None else _as_row(own, value_text, []),
        gap=None if gap is None else _as_row(gap, gap_text, [("no difference", 0.0)]),
        verdict=verdict,
        p="–" if gap is None else chance(number(gap["p_holm"])).removeprefix("= "),
        n_settings=0 if gap is None else count(gap["n_settings"]) or 0,
    )


def _as_row(row: Mapping[Any, Any], show: Any, controls: Sequence[tuple[str, Any]]) -> Row:
    counts = {name: count(row.get(name)) or 0 for name in ("n_questions", "n_traces", "n_excluded")}
    unit = str(row["unit"])
    return make_row({**row, **counts}, "", lambda value: show(value, unit), controls)


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _verdict(
    differences: pd.DataFrame,
    gaps: Mapping[str, Mapping[Any, Any]],
    sides: Sequence[Side],
    baseline: str,
    key: Key,
) -> list[str]:
    """What the first measure shows, run by run; and of all comparisons how many are shown."""
    if not len(differences):
        return ["Nothing of the runs could be compared."]
    rows = [gaps[side.name] for side in sides if side.name in gaps]
    called = {side.name: f"{side.letter} ({side.name})" for side in sides}
    if max(len(side.name) for side in sides) > 24 or len(sides) > MOST_RUNS + 1:
        called = {side.name: side.letter for side in sides}
    tested = [row for row in rows if number(row["p_holm"]) is not None]
    shown = _largest([row for row in tested if is_shown(row)])
    others = _largest([row for row in tested if not is_shown(row)])
    said = [_told(row, called, "is ", "lower", "higher") for row in shown[:MOST_RUNS]]
    if len(shown) > MOST_RUNS:
        said.append(f"{len(shown) - MOST_RUNS} more differ")
    first = [f"{sentence(named(*key[1:]))}, beside {called[baseline]}: {'; '.join(said)}."]
    if not said:
        first = [f"{sentence(named(*key[1:]))}: no run is shown to differ from {called[baseline]}."]
    if others:
        near = [_told(row, called, "", "below", "above") for row in others[:MOST_RUNS]]
        rest = f"; {len(others) - MOST_RUNS} more" if len(others) > MOST_RUNS else ""
        first.append(f"{'Not shown to differ: ' if said else ''}{'; '.join(near)}{rest}.")
    p = differences["p_holm"]
    n_tested = int(p.notna().sum())
    n_shown = sum(is_shown(row) for row in differences.to_dict("records"))
    second = (
        f"Of {n_tested} paired comparisons, {n_shown} {'is' if n_shown == 1 else 'are'} shown to "
        f"differ after Holm's correction; {n_tested - n_shown} are not shown, which does not show "
        "that the runs are alike."
    )
    if n_tested < len(differences):
        second += f" {len(differences) - n_tested} more could not be tested."
    return [" ".join(first), second]


def _largest(rows: Sequence[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    return sorted(rows, key=lambda row: -abs(row["estimate"]))


def _told(
    row: Mapping[Any, Any], called: Mapping[str, str], verb: str, below: str, above: str
) -> str:
    """`B (warm) is 10.0 points lower (95% −30.0 to −2.0, 60 questions)`."""
    unit = str(row["unit"])
    size = gap_text(abs(row["estimate"]), unit)
    low, high = (gap_text(row[name], unit) for name in ("low", "high"))
    side = below if row["estimate"] < 0 else above
    side = side if size.strip("0.") else "apart"
    return (
        f"{called[str(row['run'])]} {verb}{size} {'points' if unit.startswith('share') else unit} "
        f"{side} (95% {low} to {high}, {count(row['n_questions']) or 0:,} questions)"
    )
