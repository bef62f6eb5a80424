"""What each rater is worth beside the majority, and how far raters agree beyond chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.figures.text import decimal, interval, number, percent, points
from analysis.page.cards import listed
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["Raters", "raters"]

HEARS = {
    "majority": "answers, one vote a trace",
    "cluster": "one vote a cluster of reasoning",
    "checked": "traces whose answer comes from no false equation",
    "probe": "traces as sure as the probe is of them",
    "lens": "traces as steady as their layers are",
}
"""Whom each rater listens to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raters:
    """Two tables and what may be said of them."""

    claim: str
    """Whether a rater is shown to beat the majority, and that some of several look good."""
    rows: list[list[str]]
    """Rater, what it hears, accuracy, interval, minus majority, interval, rescued, lost."""
    names: list[str]
    """The raters, in the order of `kappas`."""
    kappas: list[list[dict[str, str]]]
    """Row by column: `kappa` and its `interval`; a dash where there is none."""
    n_questions: int
    """Questions with gold, on which accuracy rests."""
    n_wrong: int
    """Of these, those whose majority is wrong."""


def raters(evidence: Evidence) -> Raters | None:
    """From `agreement_raters` and `agreement_rater_pairs`; None where `agree` hasn't made them."""
    table = evidence.get("agreement_raters")
    if not len(table):
        return None
    worth = table.to_dict("records")
    names = [str(row["rater"]) for row in worth]
    pairs = {
        frozenset((str(row["rater"]), str(row["other"]))): row
        for row in evidence.get("agreement_rater_pairs").to_dict("records")
    }
    return Raters(
        claim=_claim(worth),
        rows=[_row(row) for row in worth],
        names=names,
        kappas=[[_kappa(pairs.get(frozenset((a, b)))) for b in names] for a in names],
        n_questions=int(worth[0]["n_questions"]),
        n_wrong=int(worth[0]["n_wrong"]),
    )


def _row(row: Mapping[Any, Any]) -> list[str]:
    name = str(row["rater"])
    low, high = number(row["low"]), number(row["high"])
    first = [name, HEARS.get(name, ""), percent(number(row["accuracy"]))]
    first.append(interval(low, high, percent))
    if name == "majority":
        return [*first, "–", "–", "–", "–"]
    gap = interval(number(row["difference_low"]), number(row["difference_high"]), points)
    rescued = f"{row['rescued']} of {row['n_wrong']}"
    return [*first, points(number(row["difference"])), gap, rescued, str(row["lost"])]


def _kappa(row: Mapping[Any, Any] | None) -> dict[str, str]:
    if row is None:
        return {"kappa": "–", "interval": ""}
    low, high = number(row["low"]), number(row["high"])
    kappa = number(row["kappa"])
    return {
        "kappa": decimal(kappa),
        "interval": "" if low is None or high is None else interval(low, high, decimal),
    }


def _claim(worth: list[dict[Any, Any]]) -> str:
    others = [row for row in worth if row["rater"] != "majority"]
    if not others:
        return "Only the majority was asked, so that there is nothing to compare."
    if not worth[0]["n_questions"]:
        return "No question has gold, so that nothing can be said of what a rater is worth."
    better = [str(row["rater"]) for row in others if (number(row["difference_low"]) or 0) > 0]
    worse = [str(row["rater"]) for row in others if (number(row["difference_high"]) or 0) < 0]
    beats = f"beat{'s' if len(better) == 1 else ''} the majority"
    claim = f"{listed(better)} {beats}" if better else "no rater is shown to beat the majority"
    claim += f"; {listed(worse)} {'is' if len(worse) == 1 else 'are'} worse" if worse else ""
    tried = f"{len(others)} raters were" if len(others) > 1 else "One rater was"
    return (
        f"{claim[0].upper()}{claim[1:]} (95% intervals of the paired differences). {tried} tried: "
        "the more are tried, the more look good by chance."
    )


section(
    folder=__name__,
    name="raters",
    title="What is each rater worth?",
    navigation="",
    order=41,
    within="findings",
    reads=["agreement_raters", "agreement_rater_pairs"],
    data=raters,
)
