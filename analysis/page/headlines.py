"""The findings at the top of the page: a plain sentence each, then the numbers that it rests on."""

from __future__ import annotations

from analysis.page.cards import Headline, by_name, make_row
from analysis.page.claims import (
    agreement_claim,
    confidence_claim,
    gains_claims,
    paths_claims,
    rank_claim,
    sentence,
    votes_cast,
)
from analysis.page.data import Evidence
from analysis.page.inside import geometry_card, lens_card, probe_card
from analysis.page.text import decimal, percent, points

__all__ = ["headlines"]

SINGLE = " - single"
"""Ends the name of a rule's paired gain over the mean single trace."""
SHARES = {"wrong_equations", "right_over_wrong_step", "answer_follows"}
"""Findings on paths that are shares, beside those of pairs that begin with same_."""


def headlines(evidence: Evidence) -> list[Headline]:
    """What the run shows, as cards in the order of the page."""
    inside = (probe_card, lens_card, geometry_card)
    makers = (_votes, _calibration, *inside, _agreement, _suspicion, _paths)
    return [make(evidence) for make in makers]


def _votes(evidence: Evidence) -> Headline:
    findings = by_name(evidence.get("findings_vote"))
    gains = {name: row for name, row in findings.items() if name.endswith(SINGLE)}
    rules = [name.removesuffix(SINGLE) for name in gains]
    labels = {"single": "Mean single trace", "greedy": "Greedy trace"}
    labels |= {rule: f"{rule} vote" for rule in rules}
    rows = [
        make_row(row, labels.get(name, name), percent)
        for name, row in findings.items()
        if name not in gains
    ]
    for rule, gain in zip(rules, gains.values(), strict=True):
        rows.append(make_row(gain, f"{rule} minus single, points", points, strip=False))
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
    findings = by_name(evidence.get("findings_calibration"))
    ranks = {name: row for name, row in findings.items() if " → " in name}
    first = [name for name in ranks if name.endswith(" majority")][:1]
    entropy = findings.get("mean_entropy")
    rows = [make_row(row, name, decimal, [("chance", 0.5)]) for name, row in ranks.items()]
    if entropy:
        rows.append(make_row(entropy, "Mean answer entropy, nats", decimal, strip=False))
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


def _agreement(evidence: Evidence) -> Headline:
    findings = by_name(evidence.get("findings_agree"))
    pairs = {name: row for name, row in findings.items() if " × " in name}
    rows = []
    for name, row in pairs.items():
        controls = [("shuffled", row["null_mean"]), ("97.5% of shuffled below", row["null_high"])]
        rows.append(make_row(row, sentence(name), decimal, controls))
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
    findings = by_name(evidence.get("findings_agree"))
    ranks = {name: row for name, row in findings.items() if " → " in name}
    rows = [
        make_row(row, sentence(name), decimal, [("chance", row["null_mean"])])
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
    findings = by_name(evidence.get("findings_paths"))
    rows = [
        make_row(
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
