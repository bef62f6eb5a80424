r"""Format `number`: one exact number, as a reduced fraction.

>>> canonical("$1,234.50"), canonical("50%"), canonical("3π")
('2469/2', '1/2', None)
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from itertools import islice

from cot.answers.latex import REPEATING, canonical_latex
from cot.answers.marks import Span, leads, trim
from cot.answers.number import (
    DIGIT,
    MAX_DIGITS,
    NUMBER,
    WORDS,
    has_decimal_commas,
    is_attached,
    is_part,
    numbers_in,
    read_number,
    read_words,
    whole_number,
)
from cot.answers.readers.found import TAIL, Found

__all__ = ["as_percent", "canonical", "in_statement", "last_number", "unstated"]

NAMED = re.compile(
    r"(?:(?<!to )\b(?:is|are|was|were|be|has|have|had|gets?|got|earns?|costs?|makes?|made|"
    r"takes?|needs?|"
    r"pays?|buys?|bought|reads?|sold|ate|eats?|ran|runs?|equals?|totals?|totaling|leaves|remain|gives?|spends?|saves?|sells?|find|found|"
    r"ist|sind|hat|kostet|es|son|tiene|cuesta|est|sont|coûte|aura|reste)\s+(?:encore\s+)?|[=:]\s+|[剩有是为共得下花要需]\s*)"
    r"(?:(?:a|an|the|total|of|now|still|only|exactly|about|approximately|left|with|to)\s+){0,3}"
    r"[*_$€£\\(]{0,4}$",
    re.I,
)
"""What stands before the number that a sentence with several is about."""
ASIDE = re.compile(
    r"\b(?:in|after|from|of|with|for|on|by|per|each|all|among|within|the|at|dans|après|en|nach)\s+"
    r"[$€£]?\Z",
    re.I,
)
"""What stands before a number that only says when, of what or with what."""
ANOTHER = re.compile(r"\b(?:and|but|so|then|or)\b[^.\n]*\d")
"""What goes on with another number that may be the answer."""
MEASURES = re.compile(
    r"\s?(?:feet|foot|ft|yards?|hours?|hrs?|h|minutes?|mins?|pounds?|lbs?|days?|weeks?|months?|"
    r"years?|dollars?|"
    r"euros?|meters?|m|km|kg|miles?|gallons?|degrees?)(?:\s*,)?\s*(?:and\s+)?\d"
)
"""What follows the first of two measures: 6 feet 2 inches."""
REFUSAL = re.compile(
    r"\b(?:cannot|can['’]t|could\s+not|not\s+(?:enough|possible|sure|given|known)|insufficient|"
    r"unknown|undetermined|"
    r"undefined|impossible|N/A|unable|sorry)\b",
    re.I,
)
"""What a sentence says that states no answer."""
DECIMAL_COMMA = re.compile(r"[-−]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d{1,2}(?![\d,])")
PLAIN = re.compile(r"[ *_]*(?P<number>\d{1,15})[ *_]*")
MOST_NUMBERS = 40
"""Numbers of a statement that are looked at."""
ONE = re.compile(r"one\s+(?:of|that|who|which|more|another|can|could|must|should)\b", re.I)
REFUSED = re.compile(
    r"\W{0,4}(?:I['’]?\s?(?:a?m)\s+(?:sorry|unable)|Sorry|"
    r"I\s+(?:cannot|can['’]t|am\s+not\s+able\s+to)\s+"
    r"(?:answer|help|assist|solve|determine|provide))\b",
    re.I,
)
"""How a text begins that refuses to answer."""
BOLD = re.compile(r"\*\*(?P<bold>[^*\n]{1,40})\*\*")
NUMBER_LINE = re.compile(r"\s*(?:\*\*|__|[_`])?\$?\s?[-−]?\\?[$€£]?[\d.\\](?!\d{0,2}[.)]\s+\S)")
FIRST_LINE = re.compile(r"[^\n]+")
LINE = re.compile(r"[^\n]*\S")
LABEL = re.compile(r"\s*A:\s*(?=[-$\d])")
"""The label of an answer that begins with a number."""
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
CONCLUDES = re.compile(
    r"[*_\s]*(?:So|Therefore|Thus|Hence|Finally|In total|Altogether|Overall)\b,?\s*"
)
NEAR = 300
"""Characters before the end that are looked at first."""


def in_statement(text: str, begin: int, end: int) -> Span | None:
    """Where a sentence states a number; None where it states none, a part of a calculation, or
    several of which none is named."""
    plain = PLAIN.fullmatch(text, begin, end)
    if plain:
        return plain.span("number")
    found = list(islice(numbers_in(text, begin, end), 1))
    if found and _is_answer(text, begin, end, found[0]):
        return found[0].span()  # most statements: the rest needn't be read
    found = list(islice(numbers_in(text, begin, end), MOST_NUMBERS))
    if not found:
        words = list(WORDS.finditer(text, begin, end))
        if len(words) == 1 and not ONE.match(text, words[0].start(), end):
            return words[0].span()
        return None
    first = found[0]
    if "," in text[begin:end]:
        decimal = DECIMAL_COMMA.match(text, first.start(), end)
        if decimal and has_decimal_commas(text):
            return decimal.span()
    at_head = leads(text, begin, first.start())
    if at_head and not is_part(first):
        return first.span() if _is_answer(text, begin, end, first) else None
    if REFUSAL.search(text, begin, end):
        return None
    equals = text.rfind("=", begin, end)
    about = max(text.find(sign, begin, end) for sign in ("≈", "\\approx"))
    if equals >= 0 or (about >= 0 and not at_head):
        after = max(equals, about) if equals < 0 else equals
        match = NUMBER.search(text, after + 1, end)
        if match:
            return None if is_part(match) or is_attached(match) else match.span()
    if at_head:
        return None
    clean = [match for match in found if not is_part(match)]
    if len(found) == 1 or len({read_number(match) for match in found}) == 1:
        apart = re.search(r"[,;(—]", text[begin : first.start()])
        if clean and (
            not apart or NAMED.search(text, max(begin, first.start() - 40), first.start())
        ):
            return clean[0].span()
        return None
    bold = [match for match in BOLD.finditer(text, begin, end) if whole_number(match["bold"])]
    if len(bold) == 1:
        return bold[0].span("bold")
    named = [
        match
        for match in found
        if NAMED.search(text, max(begin, match.start() - 40), match.start())
    ]
    if len(named) == 1 and not ANOTHER.search(text, named[0].end(), end):
        aside = all(
            ASIDE.search(text, max(begin, match.start() - 16), match.start())
            for match in found[: found.index(named[0])]
        )
        return None if is_part(named[0]) or not aside else named[0].span()
    return None


def _is_answer(text: str, begin: int, end: int, first: re.Match[str]) -> bool:
    """Whether the number with which a statement begins is the answer."""
    return (
        leads(text, begin, first.start())
        and not is_part(first)
        and MEASURES.match(text, first.end(), end) is None
    )


def unstated(text: str, begin: int, end: int) -> Found | None:
    """The first line if it is a number, a number in bold in the last line, or the last number."""
    label = LABEL.match(text, begin, end)
    begin = label.end() if label else begin
    lines = [
        (match.start(), match.end())
        for match in (
            FIRST_LINE.match(text, begin, end),
            LINE.match(text, _line_start(text, begin, end), end),
        )
        if match
    ]
    alone = [span for span in lines if _is_number(text[slice(*span)])]
    if len(lines) == 2 and lines[0][1] < lines[1][0] and alone and alone[-1] == lines[0]:
        return "first_line", trim(text, *lines[0])
    if REFUSED.match(text, begin, end):
        return None
    sentence = max(
        (m.end() for m in SENTENCE.finditer(text, max(begin, end - 400), end - 1)), default=begin
    )
    concludes = CONCLUDES.match(text, sentence, end)
    span = in_statement(text, concludes.end(), end) if concludes else None
    if span and DIGIT.search(text, *span):
        return "conclusion", span
    bold = None
    if lines:
        for match in BOLD.finditer(text, *lines[-1]):
            bold = match if whole_number(match["bold"]) else bold
    if bold:
        return "bold", bold.span("bold")
    last = last_number(text, begin, end)
    if last is None:
        return None
    return "last_number", None if is_part(last) else last.span()


def last_number(text: str, begin: int, end: int) -> re.Match[str] | None:
    """The last number; of a text that holds digits in words after it, sought further ahead."""
    for window in (NEAR, TAIL):
        start = max(begin, end - window)
        if start > begin:  # not inside a number
            start = next((m.end() for m in re.finditer(r"\s", text[start:end])), 0) + start
        last = None
        for match in numbers_in(text, start, end):
            last = match
        if last is not None and (last.start() > start + 60 or start == begin):
            return last
    return last


def _is_number(line: str) -> bool:
    """Whether a line is a number and nothing else, its unit aside."""
    return (
        len(line) <= 40 and NUMBER_LINE.match(line) is not None and whole_number(line) is not None
    )


def _line_start(text: str, begin: int, end: int) -> int:
    return max(text.rfind("\n", begin, end) + 1, begin)


@lru_cache(maxsize=1 << 14)  # a question's traces say the same again and again
def canonical(text: str, percent: Fraction | None = None, comma: bool = False) -> str | None:
    """A number as a reduced fraction, or None where a text is anything else.

    Args:
        percent: as in `cot.answers.canonical`.
        comma: the text is in a language with a decimal comma.
    """
    if text.isdecimal() and len(text) <= MAX_DIGITS and percent is None:
        return str(int(text))
    repeating = re.fullmatch(REPEATING, text.strip(" $.")) if "\\" in text else None
    if repeating:
        return canonical_latex(text)
    match = whole_number(text)
    if comma and (match is None or match["over"]) and "," in text:
        plain = re.fullmatch(r"\D{0,20}?([-−]?\d{1,15}),(\d{1,15})(?!\d)\D{0,40}", text.strip())
        if plain:
            return str(Fraction(f"{plain[1].replace('−', '-')}.{plain[2]}"))
        if match is None:
            return None
    if match is None:
        words = None if NUMBER.search(text) else WORDS.search(text)
        whole = read_words(words[0]) if words else None
        return None if whole is None else str(whole)
    value = read_number(match, comma)
    if value is not None and percent and not match["percent"]:
        value = as_percent(value, percent)
    return None if value is None else str(value)


def as_percent(value: Fraction, percent: Fraction) -> Fraction:
    """A number without a sign, as a share: itself where it is the gold's, or at most 1 where gold
    is above 1 %; else so many percent."""
    is_share = value == percent or (abs(value) <= 1 and abs(percent) > Fraction(1, 100))
    return value if is_share else value / 100
