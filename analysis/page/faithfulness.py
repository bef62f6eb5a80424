"""Is the reasoning what moved the answer? The findings test by test, each beside its baseline.

>>> test_groups(gather(open_run("runs/demo")))[0].claim                      # doctest: +SKIP
'The answer stays in 47.0% of cases, which is not shown to differ from the baseline's 55.0%.'
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.page.cards import Findings, Row, by_name, make_row
from analysis.page.claims import sentence
from analysis.page.data import Evidence
from analysis.page.text import decimal, interval, number, percent, points
from cot.errors import InputError
from cot.registry import find

__all__ = ["LIMITS", "Group", "base_of", "test_groups"]

LIMITS = {
    "early_answering": "An answer that can be had early may still have been reasoned, in the "
    "hidden states or in the steps that are kept. With n steps the value is at most 1 − 1/(2n), so "
    "that short reasoning has small values.",
    "adding_mistakes": "A model that sees the mistake and corrects it keeps its answer, which is "
    "no lack of faithfulness; where sampling alone changes answers, so do harmless changes, which "
    "the baseline says.",
    "paraphrase": "An answer that is lost may be lost to a bad rewording, not to the words of the "
    "first.",
    "filler": "Dots tell whether room to compute is enough; a model was hardly trained on them.",
    "no_cot": "An answer that needs no written reasoning may still follow it where it is written.",
    "biased_context": "A word about the bias is found by rules; an answer that resists the bias "
    "counts as one that speaks of it.",
    "hint": "Acknowledgement is found by rules on the words; only traces that follow the hint can "
    "acknowledge that they do.",
    "reversed_pairs": "Alike answers to both orders contradict each other; they needn't come from "
    "the reasoning.",
    "resampling": "A step that isn't important alone may be so together with others; resamples "
    "that say the same count as kept.",
}
"""What a test doesn't show, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The findings of one test."""

    test: str
    """As typed."""
    does: str
    """What it does, in its own words; empty where it isn't installed."""
    limit: str
    """What it doesn't show; empty where unknown."""
    claim: str
    """Whether the answer stays more or less often than the baseline, as the interval allows."""
    rows: tuple[Row, ...]
    """Value first, then the rate that the answer stays, then the rest."""


def test_groups(evidence: Evidence) -> list[Group]:
    """The tests in the order of the table `findings_faithfulness`."""
    table = evidence.get("findings_faithfulness")
    if not len(table):
        return []
    return [
        _group(evidence, str(test), by_name(rows))
        for test, rows in table.groupby("test", sort=False)
    ]


def base_of(test: str) -> str:
    """The name of a test, without its parameters."""
    return test.split(":")[0]


def _group(evidence: Evidence, test: str, found: Findings) -> Group:
    beside = _baseline(evidence, test)
    rows = []
    for name in sorted(found, key=lambda name: _place(test, name)):
        finding, what = found[name], _what(test, name)
        if what == "":
            greedy = found.get(f"{test} greedy", {}).get("estimate")
            rows.append(make_row(finding, "Value", decimal, [("greedy traces", greedy)]))
        elif what == "greedy":
            rows.append(make_row(finding, "Value, greedy traces alone", decimal))
        elif what == "same":
            controls = [(beside, finding.get("baseline"))]
            rows.append(make_row(finding, "The answer stays", percent, controls))
        elif what == "same - baseline":
            rows.append(make_row(finding, "Stays, less baseline, points", points, strip=False))
        elif what != "baseline":
            rows.append(_other(finding, what))
    own = found.get(f"{test} baseline")
    rows += [make_row(own, f"Baseline: {beside}", percent)] if own else []
    return Group(
        test=test,
        does=_does(test),
        limit=LIMITS.get(base_of(test), ""),
        claim=_claim(test, found),
        rows=tuple(rows),
    )


def _other(finding: Mapping[Any, Any], what: str) -> Row:
    labels = {"same correctness": "Right stays right, wrong wrong"}
    show = percent if what.startswith("same") else decimal
    ends = [number(finding[name]) for name in ("low", "high")]
    share = " - " not in what and all(end is not None and 0 <= end <= 1 for end in ends)
    label = labels.get(what, sentence(what.replace("_", " ").replace(" - ", " less ")))
    return make_row(dict(finding), label, show, strip=share)


def _claim(test: str, found: Findings) -> str:
    """No more than the paired interval allows."""
    same, gap = found.get(f"{test} same", {}), found.get(f"{test} same - baseline", {})
    rate, base, less = (
        number(value) for value in (same.get("estimate"), same.get("baseline"), gap.get("estimate"))
    )
    low, high = number(gap.get("low")), number(gap.get("high"))
    if rate is None or base is None or less is None or low is None or high is None:
        return "" if rate is None else f"The answer stays in {percent(rate)} of cases."
    said = f"The answer stays in {percent(rate)} of cases, which is"
    if low <= 0 <= high:
        return f"{said} not shown to differ from the baseline's {percent(base)}."
    how, ends = ("more", (low, high)) if less > 0 else ("less", (-high, -low))
    span = interval(*ends, points)
    return f"{said} {points(abs(less))} points {how} ({span}) than the baseline's {percent(base)}."


def _baseline(evidence: Evidence, test: str) -> str:
    """What the baseline of a test is."""
    readings = evidence.get("faithfulness")
    own: Any = readings[readings["test"] == test]["control"] if len(readings) else pd.Series([])
    return "nothing changed, sampled again" if own.any() else "another trace of the question"


def _what(test: str, name: str) -> str:
    """What a finding says of its test; the whole name where that doesn't begin with the test's."""
    for prefix in (test, base_of(test)):
        if name == prefix or name.startswith(f"{prefix} "):
            return name.removeprefix(prefix).strip()
    return name


def _place(test: str, name: str) -> int:
    order = ["", "greedy", "same", "same - baseline", "same correctness"]
    what = _what(test, name)
    return order.index(what) if what in order else len(order)


def _does(test: str) -> str:
    with suppress(InputError, ImportError, ValueError):
        doc = inspect.getdoc(find("faithfulness", base_of(test))) or ""
        return " ".join(doc.split("\n\n")[0].split())
    return ""
