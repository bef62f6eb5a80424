r"""The equations that a trace states.

    >>> equation, = find_equations("She buys 7 more, so 5 apples + 7 apples = 13 apples.")
    >>> equation.text, str(equation.stated)
    ('5 apples + 7 apples = 13', '13')

Signs and words are understood (`5 plus 7 is 12`, `half of 10 is 5`, `\frac{1}{2} \times 8 = 4`,
GSM8K's `<<5+7=12>>`), units between numbers are passed over. Of `a = b = c`, where b is an
expression too, the first equation says a = c, or, in the loose way people write, a = the first
number of b: `3 * 4 = 12 + 1 = 13` says 3 * 4 = 12 and 12 + 1 = 13. A number alone on the left
(`x = 5`, `12 = 12`) says nothing to check; `12 = 5 + 7` does.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

from analysis.paths.allowance import is_doubtful, tolerance
from analysis.paths.evaluate import Expression, Number, Operation, evaluate, numbers
from analysis.paths.lexer import Token, lex
from analysis.paths.parser import (
    FILLERS,
    UNKNOWN,
    TooLongError,
    after_units,
    is_call,
    match_brackets,
    read_expression,
)

__all__ = ["Equation", "find_equations"]

MAX_TEXT = 200_000
"""Characters of a trace that are read; later equations are not found."""
MAX_LINKS = 20
"""A longer chain a = b = c is cut."""
MAX_EQUATIONS = 2_000
"""Of a trace; later ones are not found."""
MARK = re.compile(r"<<[^<>\n]{1,200}>>")


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
    """Whether a result that is off may be so for its units (minutes, hours) or a remainder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """One side of a chain a = b = c."""

    expression: Expression
    begin: int
    """Its first token."""
    end: int
    """The token after its last."""


def find_equations(text: str) -> list[Equation]:
    """Every equation that a text states, in order of its place.

    Nothing after the first MAX_TEXT characters is read, and no expression of over 100 operations.
    """
    text = text[:MAX_TEXT]
    marks = list(MARK.finditer(text))
    plain = MARK.sub(lambda mark: " " * len(mark[0]), text) if marks else text
    found = list(islice(_read(plain, text, 0), MAX_EQUATIONS))
    starts = [equation.start for equation in found]
    marked: list[Equation] = []
    for mark in marks[:MAX_EQUATIONS]:  # 5+7=<<5+7=12>>12 says it twice
        before = bisect_right(starts, mark.start())
        near = found[max(0, before - MAX_LINKS) : before]
        if not any(mark.end() <= equation.end for equation in near):
            marked.extend(_read(mark[0][2:-2], text, mark.start() + 2))
    return sorted(found + marked, key=lambda equation: (equation.start, equation.end))


def _read(text: str, whole: str, offset: int) -> Iterator[Equation]:
    """The equations of a text that begins at `offset` of the whole one."""
    tokens = lex(text)
    if not any(token.kind == "equals" for token in tokens):
        return
    brackets = match_brackets(tokens)
    place = 0
    while place < len(tokens) - 1:
        if not _begins(tokens, place):
            place += 1
            continue
        try:
            chain = _chain(tokens, place, brackets)
        except TooLongError as given_up:
            place = max(given_up.place, place + 1)
            continue
        for expression, stated, first, last in _pairs(chain, tokens):
            start, end = tokens[first].start + offset, tokens[last - 1].end + offset
            equation = _equation(expression, stated, whole, start, end)
            if equation is not None:
                yield equation
        place = max(chain[-1].end if chain else 0, place + 1)


def _begins(tokens: list[Token], place: int) -> bool:
    """Whether an expression may begin at a place."""
    token, before = tokens[place], tokens[place - 1]
    if token.kind == "operation":  # `price * 3`, but not a bullet, and a sign only if it is close
        is_sign = token.text == "sub" and token.end == tokens[place + 1].start
        return before.kind in ("word", "close") or (is_sign and before.kind != "number")
    if token.kind == "open":
        return not is_call(tokens, place)
    return token.kind in ("number", "fraction", "prefix")


def _chain(tokens: list[Token], begin: int, brackets: dict[int, int]) -> list[_Link]:
    """The expressions from a place on that equalities link."""
    before = tokens[begin - 1].kind
    is_unknown = tokens[begin].kind == "operation" and before in ("word", "close")
    left = UNKNOWN if is_unknown else None
    links: list[_Link] = []
    while True:
        read = read_expression(tokens, begin, brackets, left)
        if read is None:
            return links
        expression, end = read
        links.append(_Link(expression=expression, begin=begin - (left is not None), end=end))
        left = None
        begin = after_units(tokens, end, brackets)
        token = tokens[begin]
        in_words = token.text[-1:].isalpha() and not token.text.startswith("\\")
        if token.kind != "equals" or len(links) == MAX_LINKS:
            return links
        if in_words and _is_amount(expression):
            return links
        begin += 1
        while tokens[begin].kind == "word" and tokens[begin].text in FILLERS:
            begin += 1
        if tokens[begin].kind == "word":
            return links


def _pairs(chain: list[_Link], tokens: list[Token]) -> Iterator[tuple[Operation, Number, int, int]]:
    """Each calculation of a chain with its result, its first token and the one after its last."""
    if len(chain) > 1 and isinstance(chain[-2].expression, Operation):
        chain = [*chain[:-1], replace(chain[-1], expression=_as_fraction(chain[-1].expression))]
    for k, link in enumerate(chain):
        expression = link.expression
        if isinstance(expression, Number):
            continue
        follow = next((x for x in chain[k + 1 :] if isinstance(x.expression, Number)), None)
        if k + 1 < len(chain):
            near = chain[k + 1]
            first = next(numbers(near.expression))
            if isinstance(near.expression, Operation) and _is_loose(expression, near, tokens):
                yield expression, first, link.begin, near.begin + 1
            elif follow is not None and isinstance(follow.expression, Number):
                yield expression, follow.expression, link.begin, follow.end
            else:
                value = evaluate(chain[-1].expression)
                yield expression, Number(value=value), link.begin, chain[-1].end
        elif k == 1 and isinstance(chain[0].expression, Number):
            yield expression, chain[0].expression, chain[0].begin, link.end


def _is_loose(left: Operation, right: _Link, tokens: list[Token]) -> bool:
    """Whether `left = right` means that left equals the first number of right."""
    if tokens[right.begin].kind != "number":
        return False
    value, first = evaluate(left), tokens[right.begin].value
    if value is not None and value in (first, evaluate(right.expression)):
        return value == first
    return first not in [number.value for number in numbers(left)]


def _is_amount(expression: Expression) -> bool:
    """Whether nothing is calculated: 5, or 3x, or a proper fraction (`2/5 is 12 hectares`)."""
    if isinstance(expression, Number) or expression.right is UNKNOWN:
        return True
    whole = _as_fraction(expression)
    return isinstance(whole, Number) and whole.value is not None and 0 < whole.value < 1


def _as_fraction(expression: Expression) -> Expression:
    """A fraction of two whole numbers as the number that it is."""
    if isinstance(expression, Operation) and expression.name == "div":
        parts = (expression.left, expression.right)
        if all(isinstance(part, Number) and part.places == 0 for part in parts):
            return Number(value=evaluate(expression))
    return expression


def _equation(
    expression: Operation, stated: Number, text: str, start: int, end: int
) -> Equation | None:
    if stated.value is None:
        return None
    allowed = tolerance(stated, text, start, end)
    value = evaluate(expression)
    off = value is not None and abs(value - stated.value) > allowed
    return Equation(
        start=start,
        end=end,
        text=text[start:end],
        expression=expression,
        stated=stated.value,
        tolerance=allowed,
        percent=stated.percent,
        doubtful=off and is_doubtful(expression, stated.value, text, start, end),
    )
