"""Sentences that claim no more than their intervals.

A difference whose interval includes 0, an AUROC whose interval includes its control, an agreement
that the permutation null explains, are said to be nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.report.text import decimal, number, points

__all__ = ["agreement_claim", "gain_claim", "probe_claim"]


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


def probe_claim(low: float, control: float, length: float) -> str:
    """What the lower end of a within-question AUROC allows to say, given its controls."""
    if low <= max(0.5, control):
        return (
            "Within a question, the probe is not shown to tell right traces from wrong ones: the "
            "interval reaches down to chance."
        )
    if low <= length:
        return (
            "Within a question, the probe tells right traces from wrong ones better than chance, "
            "but is not shown to know more than the length of the trace."
        )
    return (
        "Within a question, the probe tells right traces from wrong ones better than chance and "
        "than the length of the trace."
    )


def agreement_claim(name: str, finding: Mapping[Any, Any]) -> str:
    """Whether two partitions agree more than the permutation null."""
    subject = name[:1].upper() + name[1:].replace(" × ", " and ")
    value, low, null = (number(finding[key]) for key in ("estimate", "low", "null_mean"))
    chance = number(finding["p"])
    if value is None or low is None or null is None or chance is None:
        return f"{subject}: undefined, as no question has at least two classes of both."
    numbers = f"mean AMI {decimal(value)}, shuffled {decimal(null)}, p {_chance(chance)}"
    if chance <= 0.05 and low > null:
        return f"{subject} agree more than chance ({numbers})."
    return f"{subject}: the null explains their agreement, so this is nothing ({numbers})."


def _chance(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
