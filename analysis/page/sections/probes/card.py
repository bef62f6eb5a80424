"""What the hidden states know: probes beside shuffled labels and baselines of the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.figures.layers import BASELINES
from analysis.figures.text import decimal, number
from analysis.findings import verdict_claim
from analysis.page.cards import Headline, listed, make_row
from analysis.page.coverage import captured_ends
from analysis.page.evidence import Evidence

__all__ = ["baselines", "probe_card", "probe_claim"]

LABELS = {
    "auroc": "Pooled AUROC",
    "within_question_auroc": "Within-question AUROC",
    "r2": "R²",
    "accuracy": "Accuracy",
}
"""Measure to what the page calls it."""
TEXT = {
    "length": "the length of the trace",
    "TF-IDF": "its words",
    "embedding": "its embedding",
    "position alone": "how far into it the state stands",
}
"""What a baseline of a probe knows."""


def probe_card(evidence: Evidence) -> Headline:
    """What probes find, each number beside shuffled labels and baselines."""
    probes = evidence.get("probes")
    findings = evidence.get("findings_probe").to_dict("records")
    best = {row["target"]: row for row in probes.to_dict("records") if row["best"]}
    rows, claims = [], []
    for finding in findings:
        measure, target = str(finding["measure"]), str(finding["subject"])
        cell = best.get(target, {})
        within = measure == "within_question_auroc"
        own = finding if "control" in finding else cell
        suffix = "_within" if within and own is cell else ""
        shuffled, known = own.get(f"control{suffix}"), baselines(own, bool(suffix))
        controls = [("shuffled labels", shuffled)]
        controls += [
            (f"{label} alone" if label == "length" else label, value)
            for label, value in known.items()
        ]
        label = LABELS.get(measure, measure) + ("" if target == "correct" else f", {target}")
        rows.append(make_row(finding, label, decimal, controls))
        if within:
            claims.append(probe_claim(finding, shuffled, known, target))
    verdicts = evidence.get("probe_verdicts").to_dict("records")
    claims += [f"{verdict_claim(row)}." for row in verdicts if number(row["effect"]) is not None]
    asides = []
    chosen: dict[Any, Any] = min(
        best.values(), key=lambda row: row["target"] != "correct", default={}
    )
    if chosen:
        asides.append(
            "Layer and position are chosen on inner folds of the training questions; most folds "
            f"chose layer {chosen['layer']} at {chosen['position']}. "
            "Pooled AUROC also rewards knowing which questions are hard. "
            + ("A probe" if not verdicts else "A probe that isn’t called causal")
            + " is diagnostic: "
            "it shows that hidden states tell right from wrong, not that the model uses it."
        )
        asides += captured_ends(evidence)
    return Headline(
        key="probe",
        title="What do the hidden states know?",
        claims=tuple(claims),
        asides=tuple(asides),
        rows=tuple(rows),
        scale=(0.0, 1.0) if any(row["measure"] == "r2" for row in findings) else (0.3, 1.0),
        notices=evidence.notices("probes", "findings_probe", "probe_verdicts"),
    )


def probe_claim(
    finding: Mapping[Any, Any],
    control: Any,
    baselines: Mapping[str, float],
    target: str = "correct",
) -> str:
    """What the lower end of a within-question AUROC allows to say, given its controls.

    Args:
        control: the same with shuffled labels.
        baselines: probes of the text alone, by name; `length` is among them.
    """
    least, shuffled = number(finding["low"]), number(control)
    if target == "correct":
        whose, does = "the probe", "tell right traces from wrong ones"
    else:
        whose, does = f"the probe for {target}", "tell its traces apart"
    if least is None:
        of = "" if target == "correct" else f" of {target}"
        return f"Nothing can be said of what the hidden states know{of}: {finding['method']}."
    if least <= max(0.5, shuffled or 0.5):
        return (
            f"Within a question, {whose} is not shown to {does}: the interval reaches down to "
            "chance."
        )
    above = [TEXT.get(name, name) for name, value in baselines.items() if least > value]
    below = [TEXT.get(name, name) for name, value in baselines.items() if least <= value]
    claim = f"Within a question, {whose} {does.replace('tell', 'tells', 1)} better than chance"
    if below:
        return f"{claim}, but is not shown to know more than {listed(below)}."
    if not above:
        return f"{claim}; no baseline stands beside it."
    return f"{claim} and than {listed(above)}."


def baselines(row: dict[Any, Any], within: bool) -> dict[str, float]:
    """The baselines that are known of a row of `probes`, by what the page calls them."""
    found = {}
    for name, label in BASELINES.items():
        value = number(row.get(f"{name}_within" if within else name))
        if value is not None:
            found[label] = value
    return found
