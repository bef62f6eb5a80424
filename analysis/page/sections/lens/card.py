"""When the answer is decided: what layers and steps hold most probable, beside their controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.figures.text import decimal, interval, number, percent, points
from analysis.page.cards import Headline, find, listed, make_row, sentence
from analysis.page.coverage import captured_ends
from analysis.page.evidence import Evidence

__all__ = ["lens_card", "lens_claims"]

LENS = {
    "separable": ("Questions whose answers differ in first token", percent),
    "stated": ("Traces whose last layer says the stated answer", percent),
    "commitment_depth": ("Commitment layer, share of depth", decimal),
    "emergence_step": ("Emergence step", decimal),
    "steps_before_answer": ("Steps before the answer", decimal),
    "consistency": ("Layers that say what the last one says", percent),
    "consistency_calibrated": ("The same, calibrated", percent),
    "step_agreement": ("Steps at whose end the final answer is said", percent),
    "decided_at_prompt": ("Answer already said at the prompt's end", percent),
}
"""Findings of the lens: what the page calls them, and how it shows them."""
CONTROLS = {"control": "another", "guess": "guess"}
"""Control to what the page calls it."""


def lens_card(evidence: Evidence) -> Headline:
    """When layers and steps say the answer, beside another trace, prompt or guess."""
    findings = evidence.get("findings_lens")
    rows = []
    for finding in findings.to_dict("records"):
        measure, control = str(finding["measure"]), str(finding["baseline"])
        label, show = LENS.get(measure, (sentence(measure.replace("_", " ")), decimal))
        if control:
            less = f"{label}, less {CONTROLS.get(control, control)}, points"
            rows.append(make_row(finding, less, points, strip=False))
        elif not finding["subject"]:
            known = {each: find(findings, measure, each) for each in CONTROLS}
            beside = [(CONTROLS[each], row["estimate"]) for each, row in known.items() if row]
            rows.append(make_row(finding, label, show, beside, strip=show is percent))
    return Headline(
        key="lens",
        title="When is the answer decided?",
        claims=tuple(lens_claims(findings)),
        asides=(
            "A latent answer is the one of the question's answers that a layer holds most probable "
            "when it is read as if it were the last. “Another” is the same of another trace of the "
            "question, or, for the prompt's end, of another question; “guess” is what another of "
            "its traces states. An answer that can be read early need not be the reason for what "
            "follows.",
            *captured_ends(evidence),
        )
        if len(findings)
        else (),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=evidence.notices("lens_traces", "findings_lens"),
    )


def lens_claims(findings: pd.DataFrame) -> Iterator[str]:
    """Whether the answer is there before the reasoning, and whether layers agree by more than the
    question explains; from the paired differences to the controls."""
    for name in ("decided_at_prompt", "consistency"):
        finding = find(findings, name)
        if finding is not None:
            yield _rate_claim(finding, findings)


RATES = {
    "decided_at_prompt": (
        "At the prompt's end the last layer already says the answer that the trace will state in "
        "{share} of traces",
        {
            "control": "what it says at another question's prompt",
            "guess": "a guess by the question's own answers",
        },
    ),
    "consistency": (
        "Of the layers between the first and the last, {share} say what the last one says",
        {"control": "what it says in another trace of the question"},
    ),
}
"""What a rate of the lens is, and what each of its controls is."""


def _rate_claim(finding: Mapping[Any, Any], findings: pd.DataFrame) -> str:
    name = str(finding["measure"])
    said, controls = RATES[name]
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return f"{sentence(name.replace('_', ' '))}: undefined, as no question can be compared."
    more: list[str] = []
    nothing: list[str] = []
    for label, words in controls.items():
        gap = find(findings, name, baseline=label) or {}
        least = number(gap.get("low"))
        if least is not None:
            numbers = f"{points(number(gap['estimate']))} points, 95% interval "
            numbers += interval(least, number(gap["high"]), points)
            (more if least > 0 else nothing).append(f"{words} ({numbers})")
    claim = f"{said.format(share=percent(value))} (95% interval {interval(low, high, percent)})"
    if not more and not nothing:
        return f"{claim}; without a control this says nothing."
    if not nothing:
        return f"{claim}, more than {listed(more)}."
    but = f", more than {listed(more)}," if more else ","
    return f"{claim}{but} but not shown to be more than {listed(nothing)}."
