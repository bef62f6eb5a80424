"""Accuracy against the number of samples: the figure of notebooks, and its numbers in a table."""

from __future__ import annotations

from dataclasses import dataclass

from analysis import figures
from analysis.figures.text import interval, number, percent, points
from analysis.page.cards import find
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["Curve", "curve_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What stands around the figure."""

    n_questions: int
    """Questions with gold at the smallest number of samples."""
    n_excluded: int
    """Questions left out at the largest."""
    n_lines: int
    """Rules, those of other runs included."""
    greedy: float | None
    """Accuracy of the greedy trace, or None."""
    rows: list[list[str]]
    """Rule, n, accuracy, interval, questions, method."""
    differences: list[list[str]]
    """Of runs that were compared: run, the run that it is compared with, rule, n, accuracy of
    both, difference, its interval, questions in both."""


def curve_data(evidence: Evidence) -> Curve | None:
    """The numbers of the table `curve`; None without it."""
    curve = evidence.get("curve")
    if curve.empty:
        return None
    compared = evidence.get("compared_differences")
    compared = compared[compared["family"] == "curve"] if len(compared) else compared
    greedy = find(evidence.get("findings_vote"), "accuracy", "greedy")
    lines = compared[["run", "measure", "subject"]].drop_duplicates() if len(compared) else ()
    return Curve(
        n_questions=int(curve["n_questions"].max()),
        n_excluded=int(curve["n_excluded"].max()),
        n_lines=curve["rule"].nunique() + len(lines),
        greedy=number(greedy["estimate"]) if greedy else None,
        rows=[
            [
                str(row["rule"]),
                str(row["n"]),
                percent(number(row["accuracy"])),
                interval(number(row["low"]), number(row["high"]), percent),
                str(row["n_questions"]),
                str(row["method"]),
            ]
            for row in curve.to_dict("records")
        ],
        differences=[
            [
                str(row["run"]),
                str(row["against"]),
                str(row["subject"] or row["measure"]),
                str(row["n_samples"]),
                percent(number(row["value"])),
                percent(number(row["other"])),
                points(number(row["estimate"])),
                interval(number(row["low"]), number(row["high"]), points),
                str(row["n_questions"]),
            ]
            for row in compared.to_dict("records")
        ],
    )


section(
    folder=__name__,
    name="curve",
    title="Accuracy against the number of samples",
    navigation="Curve",
    order=50,
    reads=["curve"],
    downloads=["curve", "compared_differences", "findings_curve", "findings_stop", "stops"],
    data=curve_data,
    figure=figures.curve,
)
