"""Marks around an answer: markup, delimiters, and the words that lead up to it."""

from __future__ import annotations

import re

__all__ = ["Span", "leads", "trim"]

Span = tuple[int, int]
"""First character, one past the last."""
LEAD = re.compile(
    r"(?:[\s*_`:：\"'“”‘’(（\[{}$>~≈–-]|</?[a-z]{1,8}>|\\[(\[]|\\approx|\\(?:text|textbf|boxed|mathbf)\s*\{|"
    r"\b(?:about|approximately|approx\.?|roughly|around|exactly|only|just|simply|equal\s+to|a\s+total\s+of|"
    r"therefore|thus|that|now|also|etwa|circa|ca\.|rund|unos|aproximadamente|environ|約|约|は)(?![A-Za-z]))*"
)
"""What may stand before the answer at the head of a statement."""


def trim(text: str, begin: int, end: int) -> Span:
    """A span without markup, delimiters and white space around it; brackets that pair stay."""
    while begin < end and (text[begin].isspace() or text[begin] in '*_`"“”:：'):
        begin += 1
    while end > begin and (text[end - 1].isspace() or text[end - 1] in '*_`"“”.。;,'):
        end -= 1
    if end > begin and text[end - 1] == "\\" and end < len(text) and text[end] in ";,":
        end -= 1  # 74^\circ\;
    inner = text[begin:end]
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)"), ("'", "'")):
        if (
            inner.endswith(closing)
            and inner.count(closing) - inner.startswith(opening) == 1
            and (opening != closing or not inner.startswith(opening))
            and not inner.startswith(opening)
            and closing != "'"
        ):
            return trim(text, begin, end - len(closing))  # \[Answer: 42\]
        if (
            len(inner) > len(opening) + len(closing)
            and inner.startswith(opening)
            and inner.endswith(closing)
            and opening not in inner[len(opening) : -len(closing)]
        ):
            return trim(text, begin + len(opening), end - len(closing))
    return begin, end


def leads(text: str, begin: int, place: int) -> bool:
    """Whether nothing but marks and hedges stands between the head of a statement and a place."""
    lead = LEAD.match(text, begin, place)
    return lead is not None and lead.end() == place
