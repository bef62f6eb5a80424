"""Whether right and wrong traces lie apart by more than shuffled labels do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.figures.text import chance, decimal, interval, number
from analysis.page.cards import Headline, find, make_row, sentence
from analysis.page.coverage import captured_ends
from analysis.page.evidence import Evidence

__all__ = ["geometry_card", "geometry_claims"]

LABELS = {
    "hidden_clusters_per_question": "Clusters of states a question",
    "intrinsic_dimension": "Intrinsic dimension",
    "right_wrong_cka": "CKA of right and wrong traces",
    "right_wrong_cka_loss": "Less than with labels shuffled",
    "right_wrong_gap": "Gap between right and wrong ways",
    "right_wrong_gap_same_length": "Gap among traces with as many steps",
}
"""Findings of geometry, and what the page calls them."""


def geometry_card(evidence: Evidence) -> Headline:
    """How states lie, and whether right and wrong traces lie apart."""
    findings = evidence.get("findings_geometry")
    rows = []
    for row in findings.to_dict("records"):
        name = str(row["measure"])
        null = "paired at random" if name == "right_wrong_cka" else "labels shuffled"
        controls = [(null, row.get("null_mean")), ("95% of these below", row.get("null_high"))]
        label = LABELS.get(name, sentence(name.replace("_", " ")))
        rows.append(make_row(row, label, decimal, controls, strip=False))
    return Headline(
        key="geometry",
        title="Do right and wrong traces lie apart?",
        claims=tuple(geometry_claims(findings)),
        asides=(
            "Nothing here is fitted to what is right. Only questions with right and wrong traces "
            "can say whether the two differ.",
            *captured_ends(evidence),
        )
        if len(findings)
        else (),
        rows=tuple(rows),
        scale=None,
        notices=evidence.notices("similarity", "findings_geometry"),
    )


CLAIMS = {
    "right_wrong_cka_loss": "right and wrong traces of a question are less alike than two random "
    "parts of its traces",
    "right_wrong_gap": "right and wrong traces of a question go different ways, step by step",
    "right_wrong_gap_same_length": "they do so among traces with as many steps",
}
"""What a finding of geometry would say, if shuffled labels did not explain it."""


def geometry_claims(findings: pd.DataFrame) -> Iterator[str]:
    """Whether right and wrong traces lie apart by more than shuffled labels do."""
    for name, said in CLAIMS.items():
        finding = find(findings, name)
        if finding is not None:
            yield _null_claim(said, finding)


def _null_claim(said: str, finding: Mapping[Any, Any]) -> str:
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    null, p = number(finding["null_mean"]), number(finding["p"])
    if value is None or low is None or null is None or p is None:
        return f"Whether {said}: undefined."
    numbers = f"{decimal(value)}, 95% interval {interval(low, high, decimal)}"
    numbers += f", shuffled {decimal(null)}, p {chance(p)}"
    if p > 0.05:
        return f"It is not shown that {said}: shuffled labels explain the difference ({numbers})."
    if low <= null:
        return (
            f"It is not shown that {said}: the interval reaches down to what shuffled labels give "
            f"({numbers})."
        )
    return f"{sentence(said)} ({numbers})."
