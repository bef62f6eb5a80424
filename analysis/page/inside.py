"""The findings on hidden states: probes, the lens and geometry, each beside its controls."""

from __future__ import annotations

from typing import Any

from analysis.page.cards import Headline, by_name, make_row
from analysis.page.claims import geometry_claims, lens_claims, probe_claim, sentence
from analysis.page.data import Evidence
from analysis.page.probes import baselines
from analysis.page.text import decimal, percent, points

__all__ = ["geometry_card", "lens_card", "probe_card"]


def probe_card(evidence: Evidence) -> Headline:
    """What probes find, each number beside shuffled labels and baselines."""
    probes = evidence.get("probes")
    findings = by_name(evidence.get("findings_probe"))
    best = {row["target"]: row for row in probes.to_dict("records") if row["best"]}
    rows, claims = [], []
    for name, finding in findings.items():
        target = str(finding.get("target", "correct"))
        cell = best.get(target, {})
        within = "within" in name
        own = finding if "control" in finding else cell
        suffix = "_within" if within and own is cell else ""
        shuffled, known = own.get(f"control{suffix}"), baselines(own, bool(suffix))
        controls = [("shuffled labels", shuffled)]
        controls += [
            (f"{label} alone" if label == "length" else label, value)
            for label, value in known.items()
        ]
        label = sentence(name.removeprefix("probe ").strip())
        rows.append(make_row(finding, label, decimal, controls))
        if within:
            claims.append(probe_claim(finding, shuffled, known, target))
    asides = []
    chosen: dict[Any, Any] = min(
        best.values(), key=lambda row: row["target"] != "correct", default={}
    )
    if chosen:
        asides.append(
            "Layer and position are chosen on inner folds of the training questions; most folds "
            f"chose layer {chosen['layer']} at {chosen['position']}. "
            "Pooled AUROC also rewards knowing which questions are hard. A probe is diagnostic: "
            "it shows that hidden states tell right from wrong, not that the model uses it."
        )
    return Headline(
        key="probe",
        title="What do the hidden states know?",
        claims=tuple(claims),
        asides=tuple(asides),
        rows=tuple(rows),
        scale=(0.0, 1.0) if any("R²" in name for name in findings) else (0.3, 1.0),
        notices=evidence.notices("probes", "findings_probe"),
    )


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
"""What ends the name of a control, and what the page calls it."""


def lens_card(evidence: Evidence) -> Headline:
    """When layers and steps say the answer, beside another trace, prompt or guess."""
    findings = by_name(evidence.get("findings_lens"))
    rows = []
    for name, finding in findings.items():
        base, _, control = name.partition(" - ")
        label, show = LENS.get(base, (sentence(base.replace("_", " ")), decimal))
        if control:
            less = f"{label}, less {CONTROLS.get(control, control)}, points"
            rows.append(make_row(finding, less, points, strip=False))
        elif not any(name == f"{known} {end}" for known in findings for end in CONTROLS):
            beside = [
                (word, findings[f"{name} {end}"]["estimate"])
                for end, word in CONTROLS.items()
                if f"{name} {end}" in findings
            ]
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
        )
        if findings
        else (),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=evidence.notices("lens_traces", "findings_lens"),
    )


GEOMETRY = {
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
    findings = by_name(evidence.get("findings_geometry"))
    rows = []
    for name, row in findings.items():
        null = "paired at random" if name == "right_wrong_cka" else "labels shuffled"
        controls = [(null, row.get("null_mean")), ("95% of these below", row.get("null_high"))]
        label = GEOMETRY.get(name, sentence(name.replace("_", " ")))
        rows.append(make_row(row, label, decimal, controls, strip=False))
    return Headline(
        key="geometry",
        title="Do right and wrong traces lie apart?",
        claims=tuple(geometry_claims(findings)),
        asides=(
            "Nothing here is fitted to what is right. Only questions with right and wrong traces "
            "can say whether the two differ.",
        )
        if findings
        else (),
        rows=tuple(rows),
        scale=None,
        notices=evidence.notices("similarity", "findings_geometry"),
    )
