"""Steps: the sentences and lines of a chain of thought, as exact spans of its raw text.

A step ends at a line break, at `<think>` or `</think>`, or after `.`, `!` or `?` followed by white
space; decimals, abbreviations and the number of a list item don't end one. Pieces shorter than ten
characters join the next (the last joins the one before it). White space between steps belongs to
none of them, so that spans and the gaps between them give the text back.

    >>> text = "Mia has 5. She buys 7 more, so 5 + 7 = 12. The answer is 12."
    >>> [text[span.start : span.end] for span in segment(text)]
    ['Mia has 5.', 'She buys 7 more, so 5 + 7 = 12.', 'The answer is 12.']
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MINIMUM_LENGTH", "Span", "kind_of", "segment"]

MINIMUM_LENGTH = 10
"""Characters; shorter pieces are merged."""

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st vs etc e.g i.e eq no fig approx min max sec hr oz lb ft in cf al".split()
)
BREAK = re.compile(r"\n+|</?think>|[.!?]+[)\"'*\]]*(?=\s)")
LIST_NUMBER = re.compile(r"(?:^|\n)\s*(?:\(?\d{1,3}|[A-Za-z])\.$")
LAST_WORD = re.compile(r"([A-Za-z][A-Za-z.]*)\.$")

CONCLUSION = re.compile(
    r"\banswer\b|\\boxed|####|\b(?:therefore|thus|hence|in total|altogether|final(?:ly)?)\b", re.I
)
CHECK = re.compile(
    r"\b(?:wait|check|verify|actually|hmm|mistake|let me re|double-check|on second thought)\b", re.I
)
CALCULATION = re.compile(
    r"\d[\d,.]*\s*[%$]?\s*(?:[-+*/×÷−=x]|\\times|\\div|times|plus|minus)\s*\$?\d"
)


@dataclass(frozen=True, slots=True)
class Span:
    """One step's place in the text."""

    start: int
    """First character."""
    end: int
    """One past the last character."""
    kind: str
    """See `kind_of`."""


def segment(text: str) -> list[Span]:
    """Steps of a chain of thought, in order; none for white space alone.

    The last piece counts even where nothing ends it.
    """
    pieces: list[tuple[int, int]] = []
    start = 0
    for match in BREAK.finditer(text):
        if match[0][0] in ".!?" and _is_inside(text, start, match.end()):
            continue
        if match[0] == "<think>":
            pieces.append((start, match.start()))
            start = match.start()
        else:
            pieces.append((start, match.end()))
            start = match.end()
    pieces.append((start, len(text)))
    merged = _merge([_strip(text, *piece) for piece in pieces])
    return [Span(start, end, kind_of(text[start:end])) for start, end in merged]


def kind_of(step: str) -> str:
    """What a step does, by the first rule that fits: `check` (looks back: "wait", "let me check"),
    `conclusion` (states an answer), `calculation` (holds an operation on numbers), `setup` (names
    numbers) or `other`."""
    if CHECK.search(step):
        return "check"
    if CONCLUSION.search(step):
        return "conclusion"
    if CALCULATION.search(step):
        return "calculation"
    return "setup" if re.search(r"\d", step) else "other"


def _is_inside(text: str, start: int, end: int) -> bool:
    """Whether the full stop that ends at `end` is a list number's or an abbreviation's."""
    head = text[max(start, end - 40) : end]
    if LIST_NUMBER.search(head if start < end - 40 else "\n" + head.lstrip()):
        return True
    word = LAST_WORD.search(head)
    return word is not None and word[1].lower() in ABBREVIATIONS


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _merge(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    pending: int | None = None
    for start, end in pieces:
        if start == end:
            continue
        begin = start if pending is None else pending
        if end - begin < MINIMUM_LENGTH:
            pending = begin
        else:
            merged.append((begin, end))
            pending = None
    if pending is not None:
        last = max(end for start, end in pieces if start < end)
        if merged:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((pending, last))
    return merged
