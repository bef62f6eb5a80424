"""What the curve draws: accuracy against the number of samples.

>>> curve_figure(evidence)["series"][0]["accuracy"]                          # doctest: +SKIP
[0.34, 0.41, 0.48]
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.figures.text import interval, number, percent, points
from analysis.page.cards import find
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["curve_figure"]


def curve_figure(evidence: Evidence) -> dict[str, Any] | None:
    """Series for the curve, with the greedy trace's accuracy as a line; None without a curve."""
    curve = evidence.get("curve")
    if curve.empty:
        return None
    series = [
        {"name": str(rule), **{name: _numbers(rows[name]) for name in _CURVE}}
        for rule, rows in curve.sort_values("n").groupby("rule", sort=False)
    ]
    compared = evidence.get("curve_comparison")
    series += [
        {
            "name": f"{rule} (other run)",
            "n": _numbers(rows["n"]),
            "accuracy": _numbers(rows["other"]),
            "low": [None] * len(rows),
            "high": [None] * len(rows),
        }
        for rule, rows in (compared.groupby("rule", sort=False) if len(compared) else ())
    ]
    greedy = find(evidence.get("findings_vote"), "accuracy", "greedy")
    return {
        "series": series,
        "greedy": number(greedy["estimate"]) if greedy else None,
        "n_questions": int(curve["n_questions"].max()),
        "n_excluded": int(curve["n_excluded"].max()),
        "rows": [
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
        "other": evidence.run.provenance("curve_comparison").parameters["other"]
        if len(compared)
        else None,
        "differences": [
            [
                str(row["rule"]),
                str(row["n"]),
                percent(number(row["accuracy"])),
                percent(number(row["other"])),
                points(number(row["difference"])),
                interval(number(row["low"]), number(row["high"]), points),
                str(row["n_questions"]),
            ]
            for row in (compared.to_dict("records") if len(compared) else ())
        ],
    }


_CURVE = ["n", "accuracy", "low", "high"]


def _numbers(column: pd.Series[Any]) -> list[float | None]:
    return [number(value) for value in column]


section(
    folder=__name__,
    name="curve",
    title="Accuracy against the number of samples",
    navigation="Curve",
    order=50,
    reads=["curve"],
    downloads=["curve", "curve_comparison", "findings_curve", "findings_stop", "stops"],
    data=curve_figure,
    plots=lambda evidence: len(evidence.get("curve")) > 0,
    sends=lambda data: data,
)
