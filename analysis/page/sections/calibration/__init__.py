"""Does confidence predict correctness? A panel a signal, and the numbers beside them.

Each signal has a risk-coverage panel (share wrong among the most confident, against the share that
is kept), with what no ranking and what a perfect one would give; one that is meant as a probability
also has a reliability diagram.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis import figures
from analysis.figures.text import decimal, interval, number, percent
from analysis.page.cards import Headline, make_row, sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Calibration", "calibration_card", "calibration_data", "confidence_claim"]

TITLES = {
    "question": "Of a question: is its majority vote right?",
    "trace": "Of a trace: is it right?",
}
RISK, RELIABILITY = "risk_coverage", "reliability"
COVERAGES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares kept that the table of risks shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel of one signal."""

    signal: str
    """Its name."""
    kind: str
    """`risk_coverage` or `reliability`."""

    @property
    def figure(self) -> str:
        """The name of its figure."""
        return f"calibration/{self.signal}/{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What stands around the figures."""

    groups: list[tuple[str, list[Panel]]]
    """A title, and the panels of the signals of that unit."""
    rows: list[list[str]]
    """Every measure of every signal."""
    coverages: list[str]
    """Heads of `risks`."""
    risks: list[list[str]]
    """Signal, and the share wrong at each coverage."""
    bins: list[list[str]]
    """Signal, mean in the bin, share right, n."""
    n_tied: int
    """Majorities that were ties."""
    notes: list[tuple[str, str]]
    """Signal, and what is to be known of it."""


def calibration_data(evidence: Evidence) -> Calibration | None:
    """The numbers of `calibration` and `calibration_curves`; None without them."""
    scores, curves = evidence.get("calibration"), evidence.get("calibration_curves")
    if scores.empty or "signal" not in curves:
        return None
    groups = [
        (title, [Panel(signal=signal, kind=kind) for signal, kind in _panels(mine, curves)])
        for unit, title in TITLES.items()
        if len(mine := scores[scores["unit"] == unit])
    ]
    by_kind = {kind: curves[curves["kind"] == kind] for kind in (RISK, RELIABILITY)}
    return Calibration(
        groups=[(title, panels) for title, panels in groups if panels],
        rows=[_row(row) for row in scores.to_dict("records")],
        coverages=[f"Most confident {share:.0%}" for share in COVERAGES],
        risks=[
            [str(signal), *(percent(_at(rows, share)) for share in COVERAGES)]
            for signal, rows in by_kind[RISK].groupby("signal", sort=False)
        ],
        bins=[
            [str(row["signal"]), percent(row["x"]), percent(row["y"]), str(int(row["n"]))]
            for row in by_kind[RELIABILITY].to_dict("records")
        ],
        n_tied=int(scores["n_tied"].max()),
        notes=[
            (str(row["signal"]), str(row["note"])) for _, row in scores.iterrows() if row["note"]
        ],
    )


def calibration_figures(run: Run) -> dict[str, Figure]:
    """One a signal and kind of panel."""
    if "calibration" not in run.tables() or "calibration_curves" not in run.tables():
        return {}
    scores, curves = run.table("calibration"), run.table("calibration_curves")
    if scores.empty or "signal" not in curves:
        return {}
    return {
        f"{signal}/{kind}": figures.calibration(run, signal, kind)
        for signal, kind in _panels(scores, curves)
    }


def _panels(scores: pd.DataFrame, curves: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Signal and kind of each panel, the risk of a signal first."""
    there = set(zip(curves["signal"], curves["kind"], strict=True))
    for signal in scores["signal"]:
        yield from ((str(signal), kind) for kind in (RISK, RELIABILITY) if (signal, kind) in there)


def _at(rows: pd.DataFrame, share: float) -> float | None:
    """The risk at the smallest coverage drawn that reaches this share."""
    reached = rows[rows["x"] >= share - 1e-9]  # shares are sums of steps, so not exact
    return float(reached["y"].iloc[0]) if len(reached) else None


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
    data=calibration_data,
    figure=calibration_figures,
    cards=((20, calibration_card),),
)
