"""What is found of agreement and suspicion: sentences, and the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.figures.text import chance, decimal, interval, number
from analysis.findings import beyond_chance, extent
from analysis.page.cards import Headline, make_row, sentence
from analysis.page.evidence import Evidence

__all__ = [
    "agreement_card",
    "agreement_claim",
    "doubt_claim",
    "moved_claim",
    "rank_claim",
    "suspicion_card",
]


def agreement_card(evidence: Evidence) -> Headline:
    """Every coefficient of the partitions beside its null, and how often states moved an answer."""
    rows, claims = [], []
    findings = evidence.get("findings_agree").to_dict("records")
    for row in findings:
        if row["measure"] in ("ami", "three_way"):
            controls = [
                ("shuffled", row["null_mean"]),
                ("97.5% of shuffled below", row["null_high"]),
            ]
            rows.append(make_row(row, sentence(str(row["subject"])), decimal, controls))
            claims.append(agreement_claim(row))
        elif row["measure"] == "states_moved" and not row["baseline"]:
            controls = [("control", row["null_mean"])]
            rows.append(make_row(row, "States moved the answer", decimal, controls))
            beyond = next(
                (
                    each
                    for each in findings
                    if each["measure"] == "states_moved" and each["baseline"]
                ),
                row,
            )
            claims.append(moved_claim(row, beyond))
    return Headline(
        key="agreement",
        title="Do answers, reasoning and hidden states agree?",
        claims=tuple(claims),
        asides=(),
        rows=tuple(rows),
        scale=(-0.2, 1.0),
        notices=evidence.notices("agreement", "findings_agree"),
    )


def suspicion_card(evidence: Evidence) -> Headline:
    """How well scores of questions rank wrong majorities above right ones."""
    findings = evidence.get("findings_agree").to_dict("records")
    ranks = [row for row in findings if row["measure"] == "auroc" and not row["baseline"]]
    gains = [row for row in findings if row["measure"] == "auroc" and row["baseline"]]
    return Headline(
        key="suspicion",
        title="Does suspicion point at wrong majorities?",
        claims=(*map(rank_claim, ranks), *map(doubt_claim, gains)),
        asides=("The two are not compared with each other: their intervals may overlap.",)
        if len(ranks) > 1
        else (),
        rows=tuple(
            make_row(
                row, f"{_score(row)} → wrong majority", decimal, [("chance", row["null_mean"])]
            )
            for row in ranks
        )
        + tuple(
            make_row(
                *(row, "Gain by the doubt “steps don’t matter”", decimal),
                [("dealt at random", row["null_mean"])],
                strip=False,
            )
            for row in gains
        ),
        scale=(0.0, 1.0),
        notices=[],
    )


def agreement_claim(finding: Mapping[Any, Any]) -> str:
    """How far partitions agree, where they do beyond the permutation null."""
    subject = sentence(str(finding["subject"]).replace(" × ", " and "))
    more = beyond_chance(finding)
    if more is None:
        return f"{subject}: undefined, as no question has at least two classes of both."
    value, null, p = (number(finding[key]) for key in ("estimate", "null_mean", "p"))
    pair = finding["measure"] == "ami"
    name = "mean AMI" if pair else "three-way coefficient"
    numbers = f"{name} {decimal(value)}, shuffled {decimal(null)}, p {chance(p)}"
    if more:
        does = f"{extent(value or 0.0)} agree" if pair else "have something in common"
        return f"{subject} {does}, which is more than chance gives ({numbers})."
    return f"{subject}: agreement beyond chance is not shown ({numbers})."


def rank_claim(finding: Mapping[Any, Any]) -> str:
    """Whether a score of questions ranks wrong majorities above right ones, by its AUROC."""
    subject = _score(finding)
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return f"{subject}: undefined, as all majorities are right or all are wrong."
    numbers = f"AUROC {decimal(value)}, 95% interval {interval(low, high, decimal)}"
    if low > 0.5:
        return f"{subject} ranks wrong majorities above right ones ({numbers})."
    return f"{subject} is not shown to rank wrong majorities above right ones ({numbers})."


def moved_claim(share: Mapping[Any, Any], beyond: Mapping[Any, Any]) -> str:
    """How often another answer's state moves an answer, and whether its control does as often.

    Args:
        share: the finding.
        beyond: how far it exceeds the control's.
    """
    value, low, high = (number(share[key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return "Whether states moved an answer is unknown: no trace stands beside a control."
    numbers = f"{decimal(value)} of a question’s traces, 95% interval "
    numbers += f"{interval(low, high, decimal)}; the control {decimal(number(share['null_mean']))}"
    least = number(beyond["low"])
    if beyond["baseline"] and least is not None and least > 0:
        return (
            f"Another answer’s state moves the answer more often than the control does ({numbers})."
        )
    return (
        "Another answer’s state is not shown to move the answer more often than the control does "
        f"({numbers})."
    )


def doubt_claim(finding: Mapping[Any, Any]) -> str:
    """Whether suspicion ranks wrong majorities better with the doubt that steps don't matter."""
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    doubt = "The doubt that no step matters to the answer"
    if value is None or low is None or high is None:
        return f"{doubt}: whether it helps is undefined, as all majorities are right or all wrong."
    numbers = f"AUROC {decimal(value)} more, 95% interval {interval(low, high, decimal)}"
    if low > 0:
        return f"{doubt} helps suspicion to rank wrong majorities above right ones ({numbers})."
    if high < 0:
        return f"{doubt} harms suspicion’s rank of wrong majorities ({numbers})."
    return f"{doubt} is not shown to help suspicion ({numbers})."


SCORES = {
    "vote_share": "1 − share",
    "suspicion_without_knockout": "suspicion without the doubt “steps don’t matter”",
}
"""Score of a question to what the page calls it: the smaller the share, the likelier an error."""


def _score(finding: Mapping[Any, Any]) -> str:
    subject = str(finding["subject"])
    return sentence(SCORES.get(subject, subject.replace("_", " ")))
