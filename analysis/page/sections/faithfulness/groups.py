"""Is the reasoning what moved the answer? The findings test by test, each beside its baseline.

>>> test_groups(gather(open_run("runs/demo")))[0].claim                      # doctest: +SKIP
'The answer stays in 47.0% of cases, which is not shown to differ from the baseline's 55.0%.'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.text import decimal, interval, number, percent, points
from analysis.page.cards import Row, make_row, sentence
from analysis.page.coverage import steps_looked_at
from analysis.page.evidence import Evidence

__all__ = ["Group", "test_groups"]

BASELINES = {
    "control": "nothing changed, sampled again",
    "other traces": "another trace of the question",
}
"""Baseline of a finding to what the page calls it."""
SAME, OWN_BASELINE, CORRECTNESS = "same_answer", "baseline_same_answer", "same_correctness"
ORDER = ["headline", "greedy", SAME, f"{SAME} gain", CORRECTNESS]
"""What comes first among a test's rows; its baseline comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The findings of one test."""

    test: str
    """As typed."""
    does: str
    """What it does, in its own words; empty where unknown."""
    limit: str
    """What it doesn't show; empty where unknown."""
    claim: str
    """Whether the answer stays more or less often than the baseline, as the interval allows."""
    covered: str
    """At how many steps it asked; empty where at all of them."""
    rows: tuple[Row, ...]
    """Value first, then the rate that the answer stays, then the rest."""


def test_groups(evidence: Evidence) -> list[Group]:
    """The tests in the order of the table `findings_faithfulness`."""
    table = evidence.get("findings_faithfulness")
    if not len(table):
        return []
    tests = evidence.get("faithfulness_tests")
    shown = tests.set_index("test").to_dict("index") if len(tests) else {}
    return [
        _group(str(test), rows, shown.get(test, {}))
        for test, rows in table.groupby("subject", sort=False)
    ]


def _group(test: str, table: pd.DataFrame, shown: Mapping[str, Any]) -> Group:
    found = table.to_dict("records")
    by_role = {_role(row): row for row in reversed(found)}
    gain = by_role.get(f"{SAME} gain", {})
    beside = BASELINES.get(str(gain.get("baseline")), str(gain.get("baseline", "baseline")))
    rows = []
    for row in sorted(found, key=_place):
        role = _role(row)
        if role == "headline":
            greedy = by_role.get("greedy", {}).get("estimate")
            rows.append(make_row(row, "Value", decimal, [("greedy traces", greedy)]))
        elif role == "greedy":
            rows.append(make_row(row, "Value, greedy traces alone", decimal))
        elif role == SAME:
            controls = [(beside, row["baseline_estimate"])]
            rows.append(make_row(row, "The answer stays", percent, controls))
        elif role == f"{SAME} gain":
            rows.append(make_row(row, "Stays, less baseline, points", points, strip=False))
        elif role == OWN_BASELINE:
            rows.append(make_row(row, f"Baseline: {beside}", percent))
        else:
            rows.append(_other(row))
    return Group(
        test=test,
        does=str(shown.get("does", "")),
        limit=str(shown.get("limit", "")),
        claim=_claim(by_role.get(SAME, {}), gain),
        covered=steps_looked_at(table, test),
        rows=tuple(rows),
    )


def _role(row: Mapping[Any, Any]) -> str:
    """What a finding is of its test; empty for what the test adds of its own."""
    if row["headline"]:
        return "headline"
    if row["kind"]:
        return "greedy" if row["kind"] == "greedy" else ""
    if row["baseline"]:
        return f"{SAME} gain" if row["measure"] == SAME else ""
    return str(row["measure"]) if row["measure"] in (SAME, OWN_BASELINE, CORRECTNESS) else ""


def _place(row: Mapping[Any, Any]) -> int:
    role = _role(row)
    if role == OWN_BASELINE:
        return len(ORDER) + 1
    return ORDER.index(role) if role in ORDER else len(ORDER)


def _other(row: Mapping[Any, Any]) -> Row:
    measure = str(row["measure"])
    show = percent if measure.startswith(("same", "steps_looked_at")) else decimal
    ends = [number(row[name]) for name in ("low", "high")]
    share = not row["baseline"] and all(end is not None and 0 <= end <= 1 for end in ends)
    words = "Right stays right, wrong wrong" if measure == CORRECTNESS else measure
    words = sentence(words.replace("_", " "))
    kind = f", {row['kind']}" if row["kind"] else ""
    less = f" less {row['baseline']}" if row["baseline"] else ""
    return make_row(row, f"{words}{kind}{less}", show, strip=share)


def _claim(same: Mapping[Any, Any], gain: Mapping[Any, Any]) -> str:
    """No more than the paired interval allows."""
    rate, base, less = (
        number(value)
        for value in (same.get("estimate"), same.get("baseline_estimate"), gain.get("estimate"))
    )
    low, high = number(gain.get("low")), number(gain.get("high"))
    if rate is None or base is None or less is None or low is None or high is None:
        return "" if rate is None else f"The answer stays in {percent(rate)} of cases."
    start = f"The answer stays in {percent(rate)} of cases, which is"
    if low <= 0 <= high:
        return f"{start} not shown to differ from the baseline's {percent(base)}."
    how, ends = ("more", (low, high)) if less > 0 else ("less", (-high, -low))
    span = interval(*ends, points)
    return f"{start} {points(abs(less))} points {how} ({span}) than the baseline's {percent(base)}."
