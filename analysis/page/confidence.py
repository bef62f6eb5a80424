"""Does confidence predict correctness? What the panels draw, and the numbers beside them.

Each signal has a risk-coverage panel (share wrong among the most confident, against the share that
is kept), with what no ranking and what a perfect one would give; one that is meant as a probability
also has a reliability diagram. Stopping rules are a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.page.data import Evidence
from analysis.page.text import decimal, interval, number, percent, points

__all__ = ["calibration_figure", "stop_rows"]

TITLES = {
    "question": "Of a question: is its majority vote right?",
    "trace": "Of a trace: is it right?",
}
COVERAGES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares kept that the table of risks shows."""
ALL = "all"
"""The vote over all traces, beside the stopping rules."""


def calibration_figure(evidence: Evidence) -> dict[str, Any] | None:
    """Panels by unit, and the tables below them; None without a table."""
    scores, curves = evidence.get("calibration"), evidence.get("calibration_curves")
    if scores.empty or "signal" not in curves:
        return None
    rows = scores.to_dict("records")
    panels = [panel for row in rows for panel in _panels(row, curves)]
    groups = [
        {"title": title, "places": [i for i, panel in enumerate(panels) if panel["unit"] == unit]}
        for unit, title in TITLES.items()
    ]
    return {
        "panels": panels,
        "groups": [group for group in groups if group["places"]],
        "rows": [_row(row) for row in rows],
        "risks": [
            [panel["signal"], *(percent(_at(panel, share)) for share in COVERAGES)]
            for panel in panels
            if panel["kind"] == "risk_coverage"
        ],
        "coverages": [f"Most confident {share:.0%}" for share in COVERAGES],
        "bins": [
            [panel["signal"], percent(x), percent(y), str(n)]
            for panel in panels
            if panel["kind"] == "reliability"
            for x, y, n in zip(panel["x"], panel["y"], panel["n"], strict=True)
        ],
        "n_tied": int(scores["n_tied"].max()),
        "notes": [(row["signal"], row["note"]) for row in rows if row["note"]],
    }


def _panels(row: Mapping[Any, Any], curves: pd.DataFrame) -> list[dict[str, Any]]:
    mine = curves[curves["signal"] == row["signal"]]
    panels = []
    for kind, points_ in mine.groupby("kind", sort=False):
        x, y = ([float(value) for value in points_[name]] for name in ("x", "y"))
        panel = {"signal": row["signal"], "unit": row["unit"], "kind": kind, "x": x, "y": y}
        panel["n"] = [int(value) for value in points_["n"]]
        if kind == "risk_coverage":
            right = float(row["prevalence"])
            panel["chance"] = 1 - right
            panel["oracle"] = [max(0.0, share - right) / share for share in x]
        panels.append(panel)
    return sorted(panels, key=lambda panel: str(panel["kind"]), reverse=True)


def _at(panel: Mapping[str, Any], share: float) -> float | None:
    """The risk at the smallest coverage drawn that reaches this share."""
    return next((y for x, y in zip(panel["x"], panel["y"], strict=True) if x >= share - 1e-9), None)


def _row(row: Mapping[Any, Any]) -> list[str]:
    def span(low: str, high: str) -> str:
        return interval(number(row[low]), number(row[high]), decimal)

    left_out = row["no_gold"] + row["no_answer"] + row["no_signal"]
    return [
        str(row["signal"]),
        str(row["unit"]),
        str(row["confident"]),
        decimal(number(row["auroc"])),
        span("low", "high"),
        *(decimal(number(row[name])) for name in ("auprc", "prevalence", "brier", "ece", "prr")),
        decimal(number(row["aurc"])),
        decimal(number(row["wqd"])),
        span("wqd_low", "wqd_high"),
        decimal(number(row["within_question_auroc"])),
        span("within_low", "within_high"),
        str(row["n"]),
        str(left_out),
    ]


def stop_rows(evidence: Evidence) -> list[list[str]]:
    """One row a stopping rule: rule, accuracy, interval, difference to the vote over all traces in
    points, its interval, mean samples, saved, tokens saved; empty without `findings_stop`."""
    table = evidence.get("findings_stop")
    found = {str(row["name"]): row for row in table.to_dict("records")}
    rows = []
    for name, row in found.items():
        gain = found.get(f"{name} - {ALL}")
        if gain is None and name != ALL:
            continue
        samples = number(row["mean_samples"])
        rows.append(
            [
                "vote over all traces" if name == ALL else name,
                percent(number(row["estimate"])),
                interval(number(row["low"]), number(row["high"]), percent),
                points(number(gain["estimate"])) if gain else "–",
                interval(number(gain["low"]), number(gain["high"]), points) if gain else "–",
                "–" if samples is None else f"{samples:.1f}",
                percent(number(row["saved"])),
                percent(number(row["tokens_saved"])),
            ]
        )
    return rows
