"""Does confidence predict correctness? What the panels draw, and the numbers beside them.

Each signal has a risk-coverage panel (share wrong among the most confident, against the share that
is kept), with what no ranking and what a perfect one would give; one that is meant as a probability
also has a reliability diagram.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.figures.text import decimal, interval, number, percent
from analysis.page.cards import Headline, make_row, sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["calibration_card", "calibration_figure", "confidence_claim"]

TITLES = {
    "question": "Of a question: is its majority vote right?",
    "trace": "Of a trace: is it right?",
}
COVERAGES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares kept that the table of risks shows."""


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


def calibration_card(evidence: Evidence) -> Headline:
    """Each signal's AUROC, and the entropy of answers."""
    findings = evidence.get("findings_calibrate").to_dict("records")
    ranks = [row for row in findings if row["measure"] == "auroc"]
    rows = [
        make_row(row, f"{row['subject']} → right {row['target']}", decimal, [("chance", 0.5)])
        for row in ranks
    ]
    rows += [
        make_row(row, "Mean answer entropy, nats", decimal, strip=False)
        for row in findings
        if row["measure"] == "mean_answer_entropy"
    ]
    first = [row for row in ranks if row["target"] == "majority"][:1]
    return Headline(
        key="calibration",
        title="Does confidence predict correctness?",
        claims=tuple(map(confidence_claim, first)),
        asides=(
            "AUROC of each signal. A trace's signals are pooled over the run, which also rewards "
            "knowing which questions are hard; the figure's table has them within questions. With "
            "this many signals, some look good by chance.",
        )
        if ranks
        else (),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=evidence.notices("calibration", "findings_calibrate"),
    )


def confidence_claim(finding: Mapping[Any, Any]) -> str:
    """Whether a signal ranks what is right above what is wrong, by its AUROC."""
    things = "majorities" if finding["target"] == "majority" else "traces"
    subject = sentence(str(finding["subject"]).replace("_", " "))
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return f"{subject}: undefined, as all {things} are right or all are wrong."
    numbers = f"AUROC {decimal(value)}, 95% interval {interval(low, high, decimal)}"
    if low > 0.5:
        return f"{subject} ranks right {things} above wrong ones ({numbers})."
    if high < 0.5:
        return f"{subject} ranks wrong {things} above right ones ({numbers})."
    return f"{subject} is not shown to tell right {things} from wrong ones ({numbers})."


section(
    folder=__name__,
    name="calibration",
    title="Does confidence predict correctness?",
    navigation="Confidence",
    order=60,
    reads=["calibration", "calibration_curves"],
    data=calibration_figure,
    plots=lambda evidence: len(evidence.get("calibration")) > 0,
    sends=lambda data: data,
    cards=((20, calibration_card),),
)
