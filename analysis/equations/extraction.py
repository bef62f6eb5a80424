r"""The equations that a trace states.

    >>> equation, = find_equations("She buys 7 more, so 5 apples + 7 apples = 13 apples.")
    >>> equation.text, str(equation.stated)
    ('5 apples + 7 apples = 13', '13')

Signs and words are understood (`5 plus 7 is 12`, `half of 10 is 5`, `\frac{1}{2} \times 8 = 4`,
GSM8K's `<<5+7=12>>`), units between numbers are passed over. Of `a = b = c`, where b is an
expression too, the first equation says a = b or a = c, or, in the loose way people write, a = the
first number of b: `3 * 4 = 12 + 1 = 13` says 3 * 4 = 12 and 12 + 1 = 13. A number alone on the left
(`x = 5`, `12 = 12`) says nothing to check; `12 = 5 + 7` does.

A side that is not read whole makes no equation (`analysis.equations.parser`), and what may be
meant in
a way in which it holds is not wrong: an equation is stated in the reading in which it holds, if
there is one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from math import factorial
from typing import NamedTuple

from analysis.equations.chains import Claim, is_amount, read_claims
from analysis.equations.context import FILLERS
from analysis.equations.expressions import Number, Operation, evaluate, operations
from analysis.equations.lexer import Token, lex
from analysis.equations.other_readings import is_begun, is_range, other_values
from analysis.equations.parser import UNKNOWN, Parser, Side, TooLongError
from analysis.equations.tolerance import is_doubtful, is_hypothetical, tolerance

__all__ = ["Equation", "find_equations", "holds"]

MAX_TEXT = 200_000
"""Characters of a trace that are read; later equations are not found."""
MAX_LINKS = 20
"""A longer chain a = b = c is cut."""
MAX_EQUATIONS = 2_000
"""Of a trace; later ones are not found."""
MAX_FACTORIAL = 60
DEFINITION = re.compile(r"\b[a-z] ?\* ?[a-z]\$? ?=")
"""A star that stands for an operation of the question: `a * b = a^b + b^a`."""
MARK = re.compile(r"<<[^<>\n]{1,200}>>")
AND_PART = re.compile(
    r"\s(?:and\s)?(?:\(?\$?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})\b|(?:an?\s|one[\s-])?"
    r"(?P<name>half|third|quarter)\b)",
    re.I,
)
"""A part after a whole number: `5 and 2/3`, `5 (2/3)`, `two and a half`."""
PARTS = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}

BEGINS = frozenset(("operation", "number", "fraction", "letter", "odd", "open", "prefix"))
"""Kinds of tokens that a side may begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """One stated equation."""

    start: int
    """First character in the trace's text."""
    end: int
    """One past the last character."""
    text: str
    """The span, as written."""
    expression: Operation
    """What is calculated."""
    stated: Fraction
    """The result that is stated."""
    tolerance: Fraction = Fraction(0)
    """How far the value may be off: half of the last decimal that is stated; 0 for whole numbers
    and fractions, unless words say that it is rounded."""
    percent: bool = False
    """Whether the result is in percent, which may be meant as the number before the sign."""
    doubtful: bool = False
    """Whether a result that is off may be so for its units (minutes, hours), a remainder, rounded
    numbers, or another reading."""


class _Whole(NamedTuple):
    """A trace's text."""

    text: str
    has_own_star: bool
    """Whether a star may be an operation of the question: LaTeX writes its products otherwise."""


def find_equations(text: str) -> list[Equation]:
    """Every equation that a text states, in order of its place.

    Nothing after the first MAX_TEXT characters is read, and no expression of over 100 operations.
    """
    text = text[:MAX_TEXT]
    marks = list(MARK.finditer(text))
    plain = MARK.sub(lambda mark: " " * len(mark[0]), text) if marks else text
    has_own_star = "*" in text and ("\\" in text or DEFINITION.search(text) is not None)
    whole = _Whole(text=text, has_own_star=has_own_star)
    found = list(islice(_read(plain, whole, 0), MAX_EQUATIONS))
    starts = [equation.start for equation in found]
    marked: list[Equation] = []
    for mark in marks[:MAX_EQUATIONS]:  # 5+7=<<5+7=12>>12 says it twice
        before = bisect_right(starts, mark.start())
        near = found[max(0, before - MAX_LINKS) : before]
        if not any(mark.end() <= equation.end for equation in near):
            marked.extend(_read(mark[0][2:-2], whole, mark.start() + 2))
    return sorted(found + marked, key=lambda equation: (equation.start, equation.end))


def holds(equation: Equation) -> bool | None:
    """Whether the value is the stated one, exactly or rounded; None where it is not known."""
    value = evaluate(equation.expression)
    if value is None:
        return None
    return _agrees(value, equation.stated, equation.tolerance, equation.percent)


def _agrees(value: Fraction, stated: Fraction, tolerance: Fraction, percent: bool) -> bool:
    if abs(value - stated) <= tolerance:
        return True
    return percent and abs(value / 100 - stated) <= tolerance  # 5 / 20 * 100 = 25%


def _read(text: str, whole: _Whole, offset: int) -> Iterator[Equation]:
    """The equations of a text that begins at `offset` of the whole one."""
    tokens = lex(text)
    if not any(token.kind in ("equals", "says") for token in tokens):
        return
    parser = Parser(tokens)
    place = 0
    while place < len(tokens) - 1:
        try:
            first = _first(parser, place)
            if first is None:
                place += 1
                continue
            sides, relations = _chain(parser, first)
        except TooLongError as given_up:
            place = max(given_up.place, place + 1)
            continue
        for claim in read_claims(sides, relations, parser):
            equation = _equation(claim, parser, whole, offset)
            if equation is not None:
                yield equation
        place = max(sides[-1].end, place + 1)


def _first(parser: Parser, place: int) -> Side | None:
    """The side that begins at a place, or None where none does."""
    tokens = parser.tokens
    token = tokens[place]
    if token.kind not in BEGINS:
        return None
    before = tokens[place - 1]
    if token.kind == "operation":  # `price * 3`, but not a bullet, and a sign only if it is close
        is_sign = token.text == "sub" and token.end == tokens[place + 1].start
        if is_sign and parser.begins_cleanly(place) and before.kind != "word":
            return parser.side(place)
        return parser.side(place, UNKNOWN) if before.kind in ("word", "close") and place else None
    if token.kind in ("number", "fraction", "letter"):
        return parser.side(place) if parser.begins_cleanly(place) else parser.unread(place)
    if token.kind == "odd":
        return parser.side(place)
    if token.kind == "open" and parser.context.is_remark(place):
        return parser.unread(place)
    if token.kind in ("open", "prefix") and parser.begins_cleanly(place):
        return parser.whole_side(place)
    return None


def _chain(parser: Parser, first: Side) -> tuple[list[Side], list[Token]]:
    """The sides from one on that relations link, and the relations between them."""
    tokens = parser.tokens
    sides, relations = [first], list[Token]()
    while True:
        side = sides[-1]
        relation = tokens[side.after]
        if relation.kind not in ("equals", "says") or len(sides) == MAX_LINKS:
            return sides, relations
        if relation.kind == "says":
            linked = relations and relations[-1].kind == "equals"  # a = b is c
            if linked or side.expression is None or is_amount(side.expression):
                return sides, relations
        place = side.after + 1
        if tokens[place].text == "\n":
            place += 1
        begin = place
        while tokens[place].kind == "word" and tokens[place].text in FILLERS:
            place += 1
        is_pronoun = begin < place and tokens[place].text == "one"  # is the only one
        if relation.kind == "says" and (tokens[place].kind == "word" or is_pronoun):
            return sides, relations
        is_words = tokens[place].kind == "word" or is_pronoun
        sides.append(parser.unread_words(place) if is_words else parser.side(place))
        relations.append(relation)


def _equation(claim: Claim, parser: Parser, whole: _Whole, offset: int) -> Equation | None:
    """The equation of a claim: with the first result that holds, else with the likeliest one."""
    expression, tokens, text = claim.side.expression, parser.tokens, whole.text
    assert isinstance(expression, Operation)
    value = evaluate(expression)
    first: Equation | None = None
    for result, begin, after in claim.results:
        start, end = tokens[begin].start + offset, tokens[after - 1].end + offset
        for stated in _meanings(result, text, end):
            if stated.value is None:
                continue
            allowed = tolerance(stated, text, start, end)
            right = value is not None and _agrees(value, stated.value, allowed, stated.percent)
            if not right and first is not None:
                continue
            equation = Equation(
                start=start,
                end=end,
                text=text[start:end],
                expression=expression,
                stated=stated.value,
                tolerance=allowed,
                percent=stated.percent,
            )
            if right:
                return equation
            first = equation
    if first is None or claim.only_if_right:
        return None
    if value is not None and _may_hold(value, first, claim, parser, whole):
        return replace(first, doubtful=True)
    return first


def _meanings(result: Number, text: str, end: int) -> Iterator[Number]:
    """A result as written, then what it may mean with what stands around it."""
    yield result
    value = result.value
    if value is None:
        return
    if result.scale != 1:  # 32 / 2 = 16 million
        yield replace(result, value=value / result.scale, scale=1)
    if result.places != 0:
        return
    if text.startswith("!", end) and 0 <= value <= MAX_FACTORIAL and value.denominator == 1:
        yield Number(value=Fraction(factorial(int(value))))
    part = AND_PART.match(text, end)
    if part and part["name"]:
        yield Number(value=value + PARTS[part["name"].lower()])
    elif part and int(part["bottom"]):
        yield Number(value=value + Fraction(int(part["top"]), int(part["bottom"])))


def _may_hold(
    value: Fraction, equation: Equation, claim: Claim, parser: Parser, whole: _Whole
) -> bool:
    """Whether an equation that does not hold may be meant in a way in which it does."""
    side, near, tokens = claim.side, claim.near, parser.tokens
    text, start, end = whole.text, equation.start, equation.end
    expression = equation.expression
    if any(is_doubtful(expression, value, each, text, start, end) for each, _, _ in claim.results):
        return True
    if is_hypothetical(text, start, end) or is_begun(near.expression, expression):
        return True
    if is_range(tokens, side.begin, side.end, equation.stated):
        return True
    units, others = (
        parser.context.units(side.begin, side.after),
        parser.context.words(near.begin, near.after),
    )
    sums = {"add", "sub"}.intersection(operations(expression))
    if units and not sums and not others <= units:
        return True  # seconds and hours, joules and electron volts
    if tokens[side.begin].text == "[" and parser.context.closes.get(side.begin) == side.end - 1:
        return True  # the whole part
    if whole.has_own_star and isinstance(near.expression, Operation) and "*" in equation.text:
        return True  # 3 * 2 = 3^2 + 2^3
    in_signs = tokens[side.after].kind == "equals"
    values = other_values(tokens, side.begin, side.end, in_signs)
    results = [result.value for result, _, _ in claim.results if result.value is not None]
    if any(abs(other - result) <= equation.tolerance for other in values for result in results):
        return True
    return any(value == other for other in other_values(tokens, near.begin, near.end))
