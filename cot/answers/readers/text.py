r"""Format `text`: a name or a short phrase.

>>> canonical("The  Blue Whale.")
'the blue whale'
"""

from __future__ import annotations

import re

from cot.answers.latex import unwrap_text
from cot.answers.marks import Span, trim
from cot.answers.readers.found import Found

__all__ = ["canonical", "in_statement", "unstated"]

OUTSIDE = " .,;:!?\"'`*_()[]{}“”‘’。，"
"""What does not count at the ends of a text."""
BECAUSE = re.compile(
    r"\s*(?:,\s*)?\b(?:because|since|as\s+(?:it|the|he|she|they)|due\s+to|weil|porque|parce\s+que)\b|"
    r"\s*,\s*(?:which|who|where|so|not|rather\s+than|I\s+think|of\s+course)\b|\s+[–—]\s|\s+\((?=[^()\n]*\)\W*$)",
    re.I,
)
"""What goes on after the answer: reasons and remarks."""
HEDGE = re.compile(
    r"\s*,?\s*(?:(?:actually|most likely|probably|of course|known to be|simply|definitely|clearly|"
    r"certainly|therefore)\b,?\s+|(?:obvious|simple|clear|easy|as follows)[^:.\n]{0,20}:\s*)+",
    re.I,
)
"""What may stand before the words that are the answer."""
BOLD = re.compile(r"\s*(?P<mark>\*\*|__)(?P<bold>[^*_\n]+)(?P=mark)")
BOLD_INSIDE = re.compile(r"\*\*([^*\n]{1,80})\*\*")
QUOTED = re.compile(r'(?<!\w)["“]([^"“”\n]{1,80})["”](?=[.!]?\s*\Z)')
LABEL = re.compile(r"\s*A:\s+")
LINE = re.compile(r"[^\n]*\S")


def in_statement(text: str, begin: int, end: int) -> Span | None:
    """Where the answer stands in a sentence that states it; None where it holds none."""
    hedge = HEDGE.match(text, begin, end)
    begin = hedge.end() if hedge else begin
    bold = BOLD.match(text, begin, end)
    if bold:
        return trim(text, *bold.span("bold"))
    because = BECAUSE.search(text, begin, end)
    if because and text[begin : because.start()].strip():
        end = because.start()
    span = trim(text, begin, end)
    while text.endswith(("です", "である", "だ"), *span) and span[1] - span[0] > 3:
        span = (
            span[0],
            span[1]
            - (1 if text[span[1] - 1] == "だ" else 3 if text.endswith("である", *span) else 2),
        )
    return span if span[0] < span[1] else None


def unstated(text: str, begin: int, end: int) -> Found | None:
    """The last line, where it is short."""
    start = max(text.rfind("\n", begin, end) + 1, begin)
    line = LINE.match(text, start, end)
    if not line:
        return None
    for marked in (BOLD_INSIDE, QUOTED):  # The capital is **Oslo**.
        found = list(marked.finditer(text, line.start(), line.end()))
        if len(found) == 1:
            return "bold", found[0].span(1)
    label = LABEL.match(text, line.start(), line.end())
    if label:
        return "last_line", (label.end(), line.end())
    if len(line[0].strip()) > 80:
        return None
    return "last_line", (line.end() - len(line[0].lstrip()), line.end())


def canonical(text: str) -> str | None:
    """Text in folded case, without outer punctuation, repeated white space and \\text{}."""
    folded = " ".join(unwrap_text(text).casefold().split())
    return folded.strip(OUTSIDE) or (folded if set(folded) & set("()[]{}") else None)
