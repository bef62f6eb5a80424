r"""What a step does: the eight categories of arXiv 2506.19143, and `backtrack`, told by rule.

>>> kind_of("So 5 + 7 = 12."), kind_of("Wait, that is not right.")
('calculation', 'backtrack')
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["KINDS", "RULES", "Rule", "kind_of"]

KINDS = {
    "setup": "says what is given or asked (problem setup)",
    "plan": "says what to do next (plan generation)",
    "fact": "recalls a fact or a formula without working it out (fact retrieval)",
    "calculation": "works something out (active computation)",
    "uncertainty": "says that something is unclear (uncertainty management)",
    "check": "checks what was worked out (self checking)",
    "backtrack": "takes something back or changes course",
    "result": "sums up, or states a result on the way (result consolidation)",
    "answer": "states the final answer (final answer emission)",
    "other": "none of these",
}
"""Kinds of steps and what a step of each does; in brackets the paper's name."""

Rule = tuple[str, str | re.Pattern[str]]
"""A kind, and the regular expression of which a step of that kind holds a match."""

RULES: Sequence[Rule] = (
    (
        "backtrack",
        re.compile(r"\b(?:wait|actually|mistake|hold on|on second thought)\b", re.I),
    ),
    (
        "check",
        re.compile(
            r"\b(?:(?:double[- ])?check(?:ing)?|verify|let me re|(?:is|not) (?:right|correct))\b",
            re.I,
        ),
    ),
    ("uncertainty", re.compile(r"\b(?:hmm+|not sure|maybe|perhaps)\b", re.I)),
    ("answer", re.compile(r"\banswer\b|\\boxed|####", re.I)),
    ("plan", re.compile(r"\b(?:let me|let's|I need to|I should|I'll)\b", re.I)),
    (
        "result",
        re.compile(r"\b(?:therefore|thus|hence|in total|altogether|final(?:ly)?)\b", re.I),
    ),
    (
        "calculation",
        re.compile(
            r"[\d%$)}][ a-zA-Z$%]{0,24}(?:[+*/×÷−=^≈]|\\times|\\cdot|\\div)\s*+[$({]?\d"
            r"|[\d%$)]\s*+(?:[-x]|times\b|plus\b|minus\b)\s*+[$(]?\d|\\d?frac\s*+\{\s*+\d",
        ),
    ),
    ("fact", re.compile(r"\b(?:formula|recall|remember|theorem)\b", re.I)),
    ("setup", re.compile(r"\d")),
)
"""Kinds of steps; the first that fits counts, and `other` where none does."""


def kind_of(step: str, rules: Sequence[Rule] = RULES) -> str:
    """The kind of the first rule that fits, else `other`."""
    return next((kind for kind, pattern in rules if re.search(pattern, step)), "other")
