r"""Format `latex`: mathematics, in one spelling; see `cot.answers.latex` and `structure`.

>>> sentence = r"The value of $f(3)$ is $\frac{2}{7}$, as $3$ is odd"
>>> sentence[slice(*in_statement(sentence, 0, len(sentence)))]
'\\frac{2}{7}'
"""

from __future__ import annotations

import re
from fractions import Fraction

from cot.answers.latex import MATH, RATIONAL, TOKEN, canonical_latex, trailing_expression
from cot.answers.marks import Span, trim
from cot.answers.number import is_part, numbers_in, whole_number
from cot.answers.readers import number
from cot.answers.readers import text as words
from cot.answers.readers.found import TAIL, Found

__all__ = ["canonical", "in_statement", "unstated"]

COPULA = re.compile(
    r"(?:\b(?:is|are|equals?|be|becomes|was|ist|es|est|equal\s+to)\b\s*:?|:|(?<![<>=!\\])=(?!=)|"
    r"\\approx)\s*(?:that\s+)?(?:equal\s+to\s+|exactly\s+|simply\s+|only\s+)?[*_]{0,2}"
    r"(?=\$|\\[(\[]|\\[a-zA-Z]|[-−(\[{]?\s*[\d.]|[-−]?[a-zA-Z](?![a-zA-Z']))"
)
"""Where a sentence says what the answer is: "the value of $f(3)$ is"."""
PROSE = re.compile(r"(?<![\\A-Za-z])(?!(?:sin|cos|tan|log|ln|sqrt|pi|mod|or|and)\b)[A-Za-z]{2,}")
JOINS = re.compile(r"\s*(?:,|;|,?\s*\b(?:and|or)\b|\\text\{\s*(?:and|or)\s*\})\s*")
UNIT_AFTER = re.compile(r"\s*(?:\\%|%)")
LEAD_MATH = re.compile(
    r"(?:[\s*_`:：\"“”>]|"
    r"\b(?:about|approximately|exactly|simply|just|equal\s+to|therefore|thus|that)\b)*"
)
FEW_WORDS = re.compile(r"[\s*_`(]*(?:[^\W\d_]+[ -]?){1,3}[\s*_`.)]*")
SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
CALCULATES = re.compile(r"\\|[-+*/^=]\s?(?:\d|[a-z]\b|\(|sqrt|pi)")
ODD_WORDS = re.compile(r"\s*(?!(?:so|thus|hence|it|then|is|therefore|or)\b)(?:[a-z]{2,12}\s+){1,2}")


def in_statement(text: str, begin: int, end: int) -> Span | None:
    """Where a sentence states a formula, a number or words; None where it states two."""
    begin, end = trim(text, begin, end) if not MATH.match(text, begin, end) else (begin, end)
    lead = LEAD_MATH.match(text, begin, end)
    start = lead.end() if lead else begin
    head = _formulas_at(text, start, end)
    if head:
        return head
    if not PROSE.search(_unwrap_units(text[start:end])):
        return trim(text, start, end)
    copula = COPULA.search(text, start, end)
    while copula:
        rest = _formulas_at(text, copula.end(), end) or _expression_at(text, copula.end(), end)
        if rest:
            return rest
        copula = COPULA.search(text, copula.end(), end)
    bare = _expression_at(text, start, end)
    if bare:
        return bare
    formulas = [match.span(match.lastgroup or 0) for match in MATH.finditer(text, start, end)]
    if len(formulas) == 1:
        return formulas[0]
    numbers = list(numbers_in(text, start, end))
    if not formulas and len(numbers) == 1 and not is_part(numbers[0]):
        return numbers[0].span()
    if formulas or numbers:
        return None
    return words.in_statement(text, start, end)


def unstated(text: str, begin: int, end: int) -> Found | None:
    """An expression that is the last line, the last formula, or the last number."""
    start = max(begin, end - TAIL)
    last = None
    for match in MATH.finditer(text, start, end):
        last = match
    line = max(text.rfind("\n", start, end) + 1, start)
    if last is None or last.end() <= line:
        bare = trailing_expression(text, line, end)
        if bare and _is_mathematics(text[slice(*bare)]):
            before = text[line : bare[0]]
            if not before.strip(" *_`>-"):
                return "expression", bare
            if CALCULATES.search(text[slice(*bare)]) or before.rstrip().endswith(
                ("is", "=", ":", "are")
            ):
                return "last_formula", bare
    if last is None:
        found = number.unstated(text, begin, end)
        if found is None and FEW_WORDS.fullmatch(text, begin, end):
            return words.unstated(text, begin, end)
        return found
    if (
        last
        and ODD_WORDS.fullmatch(text[begin : last.start()])
        and not text[last.end() : end].strip()
    ):
        return "expression", (begin, end)  # "odd $n$"
    sentence = start
    for stop in SENTENCE.finditer(text, start, last.start()):
        sentence = stop.end()
    after = next((m for m in numbers_in(text, last.end(), end) if not is_part(m)), None)
    if after is not None:
        sentence = max(
            sentence,
            *(m.end() for m in SENTENCE.finditer(text, last.end(), after.start())),
            sentence,
        )
    span = in_statement(text, sentence, end) if after is not None else None
    return "last_formula", span or last.span(last.lastgroup or 0)


def canonical(text: str, percent: Fraction | None = None) -> str | None:
    """The canonical form of a LaTeX answer, or None where there is none."""
    form = canonical_latex(text)
    if percent is not None and form is not None and RATIONAL.fullmatch(form) and "%" not in text:
        return str(number.as_percent(Fraction(form), percent))
    return form


def _unwrap_units(text: str) -> str:
    r"""A text without what stands in \text{} and the like, and without environments' names."""
    return re.sub(
        r"\\(?:text|mathrm|mathbf|mbox|textbf|operatorname|begin|end|mathbb)\s*\{[^{}]*\}",
        " ",
        text,
    )


def _formulas_at(text: str, begin: int, end: int) -> Span | None:
    """The formula with which a span begins, with those that `and`, `or` or a comma joins to it."""
    match = MATH.match(text, begin)
    if not match:
        return None
    first = match.span(match.lastgroup or 0)
    count, last, stop = 1, first[1], match.end()
    while joint := JOINS.match(text, stop, max(end, stop)):
        match = MATH.match(text, joint.end())
        if not match:
            break
        count, last, stop = count + 1, match.end(), match.end()
    if UNIT_AFTER.match(text, stop):
        return begin, UNIT_AFTER.match(text, stop).end()  # type: ignore[union-attr]
    return first if count == 1 else (begin, last)


def _expression_at(text: str, begin: int, end: int) -> Span | None:
    """The expression with which a span begins, up to the first word of prose."""
    at = begin
    for token in TOKEN.finditer(text, begin, end):
        if text[at : token.start()].strip():
            break
        at = token.end()
    stop = at
    while stop > begin and (text[stop - 1].isspace() or text[stop - 1] in ",;:.('&"):
        stop -= 1
    inside = text[begin:stop]
    if not re.search(r"\d|\\[A-Za-z]|[A-Za-z]\s*[-+*/^=]|^[A-Za-z]$", inside) or inside in (
        "a",
        "A",
        "I",
    ):
        return None
    following = PROSE.match(text, at + len(text[at:end]) - len(text[at:end].lstrip()), end)
    if following and re.fullmatch(r"\s*[a-zA-Z]\s*", inside):
        return None
    number = whole_number(inside)
    if number is None and following and inside.count("(") != inside.count(")"):
        return None
    return begin, stop


def _is_mathematics(form: str) -> bool:
    """Whether a line is an expression and not a word, a number of a list or a sign."""
    return bool(re.search(r"\d|\\[A-Za-z]|[A-Za-z]\s*[-+*/^=]", form)) and not re.fullmatch(
        r"\d+[.)]", form
    )
