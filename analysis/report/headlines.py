"""The findings at the top of the page: a plain sentence each, then the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.report.claims import (
    agreement_claim,
    confidence_claim,
    gains_claims,
    geometry_claims,
    lens_claims,
    paths_claims,
    probe_claim,
    rank_claim,
    sentence,
    votes_cast,
)
from analysis.report.data import Evidence
from analysis.report.probes import baselines
from analysis.report.text import decimal, interval, number, percent, points

__all__ = ["Headline", "Row", "headlines"]

Findings = dict[str, dict[Any, Any]]
Show = Callable[[float | None], str]
SINGLE = " - single"
"""Ends the name of a rule's paired gain over the mean single trace."""
SHARES = {"wrong_equations", "right_over_wrong_step", "answer_follows"}
"""Findings on paths that are shares, beside those of pairs that begin with same_."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number with what is needed to trust it."""

    label: str
    """What was estimated, in words."""
    shown: str
    """The estimate, formatted."""
    interval: str
    """The 95% interval, formatted; a dash where there is none."""
    strip: tuple[float, float, float] | None
    """low, estimate, high on the headline's scale, or None where one is undefined."""
    controls: tuple[tuple[str, float, str], ...]
    """Each control: its name, its value, and the value formatted."""
    n_questions: int
    """Questions behind it."""
    n_traces: int
    """Traces behind it."""
    n_excluded: int
    """Questions or traces left out, as `method` says."""
    method: str
    """How it was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One group of findings."""

    key: str
    """Name for the page's anchors."""
    title: str
    """The question that it answers."""
    claims: tuple[str, ...]
    """Plain sentences, or none where the tables are missing."""
    asides: tuple[str, ...]
    """What to keep in mind when reading them."""
    rows: tuple[Row, ...]
    """The numbers behind the sentences."""
    scale: tuple[float, float] | None
    """Ends of the axis on which the rows' strips are drawn, or None where none are."""
    notices: list[dict[str, str]]
    """Which tables are missing or stale, and the command that makes them."""

    @property
    def ends(self) -> tuple[str, str]:
        """The ends of the scale, formatted."""
        low, high = self.scale or (0.0, 0.0)
        return (f"{low:g}".replace("-", "\N{MINUS SIGN}"), f"{high:g}")

    @property
    def controlled(self) -> bool:
        """Some row has a control."""
        return any(row.controls for row in self.rows)


def headlines(evidence: Evidence) -> list[Headline]:
    """What the run shows, as cards in the order of the page."""
    makers = (_votes, _calibration, _probe, _lens, _geometry, _agreement, _suspicion, _paths)
    return [make(evidence) for make in makers]


def _votes(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_vote"))
    gains = {name: row for name, row in findings.items() if name.endswith(SINGLE)}
    rules = [name.removesuffix(SINGLE) for name in gains]
    labels = {"single": "Mean single trace", "greedy": "Greedy trace"}
    labels |= {rule: f"{rule} vote" for rule in rules}
    rows = [
        _row(row, labels.get(name, name), percent)
        for name, row in findings.items()
        if name not in gains
    ]
    for rule, gain in zip(rules, gains.values(), strict=True):
        rows.append(_row(gain, f"{rule} minus single, points", points, strip=False))
    return Headline(
        key="votes",
        title="Does voting help?",
        claims=tuple(gains_claims(dict(zip(rules, gains.values(), strict=True)))),
        asides=tuple(votes_cast({rule: findings[rule] for rule in rules if rule in findings})),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=evidence.notices("answers", "votes", "findings_vote"),
    )


def _calibration(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_calibration"))
    ranks = {name: row for name, row in findings.items() if " → " in name}
    first = [name for name in ranks if name.endswith(" majority")][:1]
    entropy = findings.get("mean_entropy")
    rows = [_row(row, name, decimal, [("chance", 0.5)]) for name, row in ranks.items()]
    if entropy:
        rows.append(_row(entropy, "Mean answer entropy, nats", decimal, strip=False))
    return Headline(
        key="calibration",
        title="Does confidence predict correctness?",
        claims=tuple(confidence_claim(name, ranks[name]) for name in first),
        asides=(
            "AUROC of each signal. A trace's signals are pooled over the run, which also rewards "
            "knowing which questions are hard; the figure's table has them within questions. With "
            "this many signals, some look good by chance.",
        )
        if ranks
        else (),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=evidence.notices("calibration", "findings_calibration"),
    )


def _probe(evidence: Evidence) -> Headline:
    probes = evidence.get("probes")
    findings = _by_name(evidence.get("findings_probe"))
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
        rows.append(_row(finding, label, decimal, controls))
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


def _lens(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_lens"))
    rows = []
    for name, finding in findings.items():
        base, _, control = name.partition(" - ")
        label, show = LENS.get(base, (sentence(base.replace("_", " ")), decimal))
        if control:
            less = f"{label}, less {CONTROLS.get(control, control)}, points"
            rows.append(_row(finding, less, points, strip=False))
        elif not any(name == f"{known} {end}" for known in findings for end in CONTROLS):
            beside = [
                (word, findings[f"{name} {end}"]["estimate"])
                for end, word in CONTROLS.items()
                if f"{name} {end}" in findings
            ]
            rows.append(_row(finding, label, show, beside, strip=show is percent))
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


def _geometry(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_geometry"))
    rows = []
    for name, row in findings.items():
        null = "paired at random" if name == "right_wrong_cka" else "labels shuffled"
        controls = [(null, row.get("null_mean")), ("95% of these below", row.get("null_high"))]
        label = GEOMETRY.get(name, sentence(name.replace("_", " ")))
        rows.append(_row(row, label, decimal, controls, strip=False))
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


def _agreement(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_agree"))
    pairs = {name: row for name, row in findings.items() if " × " in name}
    rows = []
    for name, row in pairs.items():
        controls = [("shuffled", row["null_mean"]), ("95% of shuffled below", row["null_high"])]
        rows.append(_row(row, sentence(name), decimal, controls))
    return Headline(
        key="agreement",
        title="Do answers, paths and hidden states agree?",
        claims=tuple(agreement_claim(name, row) for name, row in pairs.items()),
        asides=(),
        rows=tuple(rows),
        scale=(-0.2, 1.0),
        notices=evidence.notices("agreement", "findings_agree"),
    )


def _suspicion(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_agree"))
    ranks = {name: row for name, row in findings.items() if " → " in name}
    rows = [
        _row(row, sentence(name), decimal, [("chance", row["null_mean"])])
        for name, row in ranks.items()
    ]
    return Headline(
        key="suspicion",
        title="Does suspicion point at wrong majorities?",
        claims=tuple(rank_claim(name, row) for name, row in ranks.items()),
        asides=("The two are not compared with each other: their intervals may overlap.",)
        if len(ranks) > 1
        else (),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=[],
    )


def _paths(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_paths"))
    rows = [
        _row(
            row,
            sentence(name.replace("_", " ")),
            percent if name.startswith("same_") or name in SHARES else decimal,
            [("shuffled", row["null_mean"])] if "null_mean" in row else [],
            strip=False,
        )
        for name, row in findings.items()
    ]
    return Headline(
        key="paths",
        title="How many ways of reasoning?",
        claims=tuple(paths_claims(findings)),
        asides=(_what_paths_are(evidence),) if findings else (),
        rows=tuple(rows),
        scale=None,
        notices=evidence.notices("paths", "findings_paths"),
    )


def _what_paths_are(evidence: Evidence) -> str:
    if "paths" in evidence.tables:
        parameters = evidence.run.provenance("paths").parameters
        if parameters.get("clusterer") == "dataflow":
            return "Paths are dataflows: what the stated equations compute from which numbers."
    return "Paths are clusters of wording; how many there are depends on the threshold."


def _row(
    finding: dict[Any, Any],
    label: str,
    show: Show,
    controls: Sequence[tuple[str, Any]] = (),
    *,
    strip: bool = True,
) -> Row:
    low, value, high = (number(finding[name]) for name in ("low", "estimate", "high"))
    drawn = None
    if strip and low is not None and value is not None and high is not None:
        drawn = (low, value, high)
    known = [(name, number(given)) for name, given in controls]
    return Row(
        label=label,
        shown=show(value),
        interval=interval(low, high, show),
        strip=drawn,
        controls=tuple((name, given, show(given)) for name, given in known if given is not None),
        n_questions=int(finding["n_questions"]),
        n_traces=int(finding["n_traces"]),
        n_excluded=int(finding["n_excluded"]),
        method=str(finding["method"]),
    )


def _by_name(frame: pd.DataFrame) -> Findings:
    return {str(row["name"]): row for row in frame.to_dict("records")}
