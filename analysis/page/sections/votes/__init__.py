"""Does voting help? Accuracy of each rule, and its paired gain over the mean single trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.figures.text import number, percent, points
from analysis.page.cards import Headline, make_row
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["gain_claim", "gains_claims", "votes_card", "votes_cast"]

SINGLE = "single"
LABELS = {SINGLE: "Mean single trace", "greedy": "Greedy trace"}
"""Subjects that are no rule, and what the page calls them."""


def votes_card(evidence: Evidence) -> Headline:
    """Accuracies, then gains."""
    found = evidence.get("findings_vote").to_dict("records")
    own = [row for row in found if not row["baseline"]]
    gains = {str(row["subject"]): row for row in found if row["baseline"] == SINGLE}
    rules = {str(row["subject"]): row for row in own if row["subject"] in gains}
    rows = [
        make_row(row, LABELS.get(row["subject"], f"{row['subject']} vote"), percent) for row in own
    ]
    for rule, gain in gains.items():
        rows.append(make_row(gain, f"{rule} minus single, points", points, strip=False))
    return Headline(
        key="votes",
        title="Does voting help?",
        claims=tuple(gains_claims(gains)),
        asides=tuple(votes_cast(rules)),
        rows=tuple(rows),
        scale=(0.0, 1.0),
        notices=evidence.notices("answers", "votes", "findings_vote"),
    )


def gain_claim(rule: str, gain: Mapping[Any, Any]) -> str:
    """Whether a vote beats the mean single trace, from their paired difference."""
    value, low, high = (number(gain[name]) for name in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return "No question has gold, so that nothing can be said about accuracy."
    span = f"{points(low)} to {points(high)}"
    tail = f"95% interval {span}, paired over {gain['n_questions']} questions"
    if low > 0:
        return f"The {rule} vote beats a single trace by {points(value)} points ({tail})."
    if high < 0:
        return f"The {rule} vote is worse than a single trace by {points(-value)} points ({tail})."
    return (
        f"The {rule} vote is not shown to beat a single trace: the difference is {points(value)} "
        f"points, and its interval includes 0 ({tail})."
    )


def gains_claims(gains: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """A sentence on one or two rules; on more, one on the first of all and one on the rest."""
    if len(gains) <= 2:
        yield from (gain_claim(rule, gain) for rule, gain in gains.items())
        return
    first = "majority" if "majority" in gains else next(iter(gains))
    yield gain_claim(first, gains[first])
    better = [rule for rule, gain in gains.items() if (number(gain["low"]) or 0) > 0]
    named = f": {', '.join(better)}" if better else ""
    yield (
        f"Rules shown to beat a single trace: {len(better)} of {len(gains)}{named}. The more rules "
        "are tried, the more of them look good by chance."
    )


def votes_cast(votes: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """Ties and what they decide, abstentions, and traces that did not vote."""
    for rule, vote in votes.items():
        if vote["ties"]:
            yield (
                f"{rule}: {vote['ties']} ties, broken by the lowest sample index; breaking them by "
                f"lot would give {percent(number(vote['random_tie']))}."
            )
    if votes:
        vote = next(iter(votes.values()))
        yield (
            f"Questions without any valid answer, which count as not correct: {vote['abstained']}; "
            f"traces without a valid answer, which don't vote: {vote['excluded']}."
        )


section(
    folder=__name__,
    name="votes",
    title="Votes",
    navigation="",
    reads=["answers", "votes", "findings_vote"],
    downloads=[],
    cards=((10, votes_card),),
)
