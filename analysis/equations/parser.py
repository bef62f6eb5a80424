r"""Sides of equations, read from tokens: the usual precedence, brackets, words between numbers.

    expression := operand (units operation operand)*        units: up to five words
    operand    := number | ( expression ) | \frac{}{} | - operand | prefix operand (and operand)
                | a letter or words that stand for an unknown number

    >>> from analysis.equations.lexer import lex
    >>> [Parser(lex(text)).side(0).expression is None for text in ("2 + 4 = 6", "2 + 4! = 26")]
    [False, True]

A side counts only where it is read whole: it begins where an expression may begin, and what stands
behind it ends one (a relation, the end of a sentence, a word). `5^2 + x^2` is no 25, `2 \times w`
no 2, the 3 of `S_3` and the 1 of `\sin 4\pi - 1` are nothing by themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from analysis.equations.context import CLAUSE, ENDS, FACTORS_END, FILLERS, MAX_REMARK, Context
from analysis.equations.expressions import Expression, Number, Operation
from analysis.equations.lexer import Token

__all__ = ["UNKNOWN", "Parser", "Side", "TooLongError"]

UNKNOWN = Number(value=None)
MAX_OPERATIONS = 100
"""An expression of more is not read."""
MAX_NESTING = 20
MAX_WORDS = 12
"""Most words that stand for one unknown."""
PRECEDENCE = {"add": 1, "sub": 1, "less": 1, "mul": 2, "div": 2, "pow": 4}
DIVISORS = {"half": 2, "third": 3, "fourth": 4, "fifth": 5, "tenth": 10}
FACTORS = {"twice": 2, "thrice": 3}
CONNECTORS = {
    "add": ("and", "to", "with", ","),
    "sub": ("and",),
    "less": ("from",),
    "mul": ("and", "by", "with", ","),
    "div": ("by", "and"),
}
"""What stands between the operands of an operation written before them."""
ORDINALS = frozenset("first second third last other next one another each final every this".split())
"""Words before `half` that make it a part of something."""


class TooLongError(Exception):
    """An expression over a cap; `place` is the token at which it was given up."""

    def __init__(self, place: int) -> None:
        self.place = place


class Side(NamedTuple):
    """One side of an equation, or what stands in its place."""

    expression: Expression | None
    """None where it could not be read whole."""
    begin: int
    """Its first token."""
    end: int
    """The token after its last."""
    after: int
    """The token after the words that belong to it."""


class Parser:
    """Reads the sides of equations from the tokens of a text."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.context = Context(tokens)
        self.n_operations = 0
        self.ended = 0
        """Where the last side that was read whole came to its end."""

    def side(self, begin: int, left: Expression | None = None) -> Side:
        """The side that begins at a place.

        Args:
            left: what stands before the operation at `begin`, where it is not a number.

        Raises:
            TooLongError: more than MAX_OPERATIONS operations or MAX_NESTING brackets.
        """
        return self.whole_side(begin, left) or self.unread(begin)

    def whole_side(self, begin: int, left: Expression | None = None) -> Side | None:
        """The same, or None where it can't be read whole."""
        self.n_operations = 0
        read = self._rest(left, begin, 1, 0) if left else self._expression(begin, 1, 0)
        if read is None:
            return None
        expression, end = read
        after = self.context.after_units(end)
        if not self.context.ends_cleanly(end, after):
            return None
        self.ended = after
        return Side(expression, begin - (left is not None), end, after)

    def begins_cleanly(self, place: int) -> bool:
        """Whether an expression may begin at a place: another has ended there, or what stands
        before it ends one."""
        return place == self.ended or self.context.begins_cleanly(place)

    def unread(self, begin: int) -> Side:
        """A side that can't be read, up to the next relation or word."""
        tokens, place = self.tokens, begin
        while tokens[place].kind not in ENDS and tokens[place].kind != "word":
            place = self.context.closes.get(place, place) + 1
        return Side(None, begin, place, place)

    def unread_words(self, begin: int) -> Side:
        """A side in words."""
        place = begin
        while self.tokens[place].kind in ("word", "letter"):
            place += 1
        return Side(None, begin, place, place)

    def _expression(self, place: int, level: int, depth: int) -> tuple[Expression, int] | None:
        """Operations of at least this precedence."""
        first = self._operand(place, depth)
        return first and self._rest(*first, level, depth)

    def _rest(
        self, left: Expression, place: int, level: int, depth: int
    ) -> tuple[Expression, int] | None:
        while True:
            found = self._operation(left, place)
            if found is None or PRECEDENCE.get(found[0], 2) < level:
                return left, place
            name, after = found
            over = PRECEDENCE.get(name, 2) + (name != "pow")
            right = self._expression(after, over, depth + (name == "pow"))
            if right is None:
                return left, place
            value = UNKNOWN if name == "of" and self._is_one(after) else right[0]
            left, place = self._combine(name, left, value, place), right[1]

    def _operation(self, left: Expression, place: int) -> tuple[str, int] | None:
        """The operation that follows a left operand, and the place of its right one."""
        tokens = self.tokens
        token, before = tokens[place], tokens[place - 1]
        if token.kind == "word" and token.text == "of" and _is_share(left):
            return ("of", place + 1) if self.context.is_known(place + 1) else None
        if before.kind in FACTORS_END:
            if token.kind == "letter" or (token.kind == "fraction" and before.kind != "number"):
                return "mul", place
            if token.kind == "open" and (token.start == before.end or before.kind == "close"):
                return "mul", place
            if token.kind == "open" and self.context.after_remark(place) == place:
                close = min(self.context.closes.get(place, place), place + MAX_REMARK)
                inside = tokens[place + 1 : close]
                if all(each.kind != "word" for each in inside):
                    return "mul", place
        after = self.context.after_units(place)
        token = tokens[after]
        # an unknown stands after signs only: "5 times as many" is no product
        if token.kind == "operation":
            return token.text, after + 1
        if token.kind in ("verb", "comparison") and self.context.is_known(after + 1):
            return token.text, after + 1
        return None

    def _combine(self, name: str, left: Expression, right: Expression, place: int) -> Expression:
        self.n_operations += 1
        if self.n_operations > MAX_OPERATIONS:
            raise TooLongError(place)
        if name == "less":
            return Operation(name="sub", left=right, right=left)
        if name == "of" and isinstance(left, Operation):  # 3/4 of 20 is 3 * 20 / 4
            one = isinstance(left.left, Number) and left.left.value == 1
            over = right if one else Operation(name="mul", left=left.left, right=right)
            return Operation(name="div", left=over, right=left.right)
        return Operation(name="mul" if name == "of" else name, left=left, right=right)

    def _operand(self, place: int, depth: int) -> tuple[Expression, int] | None:
        read = self._single(place, depth)
        if read is None:
            return None
        value, end = read
        token, before = self.tokens[end], self.tokens[end - 1]
        if token.kind == "fraction" and before.number is not None and isinstance(value, Number):
            return self._mixed(value, end, depth)
        if token.kind == "raised" and before.kind != "word":
            return self._combine("pow", value, _power(token.text), end), end + 1
        return value, end

    def _mixed(self, whole: Number, place: int, depth: int) -> tuple[Expression, int] | None:
        r"""2\frac{3}{4}."""
        read = self._fraction(place + 1, depth)
        if read is None or whole.value is None:
            return None
        part, end = read
        numbers = (whole, part.left, part.right) if isinstance(part, Operation) else ()
        values = [each.value for each in numbers if isinstance(each, Number) and each.places == 0]
        if len(values) == 3 and None not in values:
            n, top, bottom = (value or Fraction(0) for value in values)
            if 0 < top < bottom:
                return Number(value=n + top / bottom), end
        return self._combine("mul", whole, part, place), end

    def _single(self, place: int, depth: int) -> tuple[Expression, int] | None:
        tokens = self.tokens
        token = tokens[place]
        if depth > MAX_NESTING:
            raise TooLongError(place)
        if token.number is not None:
            return token.number, place + 1
        if token.kind == "letter":
            return UNKNOWN, place + 1
        if token.kind == "odd" and self.context.closes.get(place + 1):
            return UNKNOWN, self.context.closes[place + 1] + 1  # a root, a function
        if token.kind == "open":
            close = self.context.closes.get(place)
            inside = self._expression(place + 1, 1, depth + 1) if close else None
            if not close or not inside:
                return None
            end = self.context.after_units(inside[1])
            return (inside[0], close + 1) if end == close else None
        if token.kind == "fraction":
            return self._fraction(place + 1, depth)
        if token.kind == "operation" and token.text == "sub":
            return self._negative(self._expression(place + 1, 3, depth + 1), place)
        if token.kind == "prefix":
            return self._prefix(place, depth + 1)
        return self._unknown(place, depth) if token.kind == "word" else None

    def _negative(
        self, read: tuple[Expression, int] | None, place: int
    ) -> tuple[Expression, int] | None:
        if read is None:
            return None
        value, end = read
        if isinstance(value, Number):
            negated = None if value.value is None else -value.value
            return Number(value=negated, places=value.places, percent=value.percent), end
        return self._combine("sub", Number(value=Fraction(0), places=0), value, place), end

    def _fraction(self, place: int, depth: int) -> tuple[Expression, int] | None:
        r"""\frac{a}{b} or \frac12."""
        token = self.tokens[place]
        if token.kind == "number" and len(token.text) == 2 and token.text.isdecimal():
            top, bottom = (Number(value=Fraction(int(digit)), places=0) for digit in token.text)
            return self._combine("div", top, bottom, place), place + 1
        over = self._part(place, depth)
        under = over and self._part(over[1], depth)
        if not over or not under:
            return None
        return self._combine("div", over[0], under[0], place), under[1]

    def _part(self, place: int, depth: int) -> tuple[Expression, int] | None:
        """What stands over or under a LaTeX fraction's line: in braces, or one character."""
        token = self.tokens[place]
        if token.kind == "open" or (token.kind in ("number", "letter") and len(token.text) == 1):
            return self._single(place, depth + 1)
        return None

    def _prefix(self, place: int, depth: int) -> tuple[Expression, int] | None:
        """`half of 10`, `the sum of 5, 7 and 2`, `subtract 5 from 12`."""
        tokens, name = self.tokens, self.tokens[place].text
        if name == "half" and place and tokens[place - 1].text in ORDINALS:
            return None
        first = self._expression(place + 1, 2, depth) if self.context.is_known(place + 1) else None
        if first is None:
            return None
        value, end = first
        if name in DIVISORS or name in FACTORS:
            by = Number(value=Fraction(DIVISORS.get(name) or FACTORS[name]), places=0)
            if self._is_one(place + 1):
                value = UNKNOWN
            if name in DIVISORS:
                return self._combine("div", value, by, place), end
            return self._combine("mul", by, value, place), end
        connectors: list[str] = []
        while True:
            after = self.context.after_units(end)
            while tokens[after].text in CONNECTORS[name]:
                after += 1
            if tokens[after - 1].text not in CONNECTORS[name]:
                break
            right = self._expression(after, 2, depth) if self.context.is_known(after) else None
            if right is None:
                break
            connectors.append(tokens[after - 1].text)
            pair = (value, right[0])
            if name == "sub" and _is_less(*pair):  # the difference between 5 and 12
                pair = (right[0], value)
            value, end = self._combine(name, *pair, place), right[1]
            if name not in ("add", "mul"):
                break
        return (value, end) if connectors and connectors[-1] != "," else None

    def _is_one(self, place: int) -> bool:
        """Whether what stands at a place is one of something: `75% of one pan`."""
        return self.tokens[self.context.known(place)].text == "one"

    def _unknown(self, place: int, depth: int) -> tuple[Expression, int] | None:
        """Words in the place of an operand: a number after fillers, else an unknown."""
        tokens = self.tokens
        after = self.context.known(place)
        if tokens[after].kind in ("number", "open", "fraction", "prefix"):
            return self._single(after, depth + 1)
        end = after
        while tokens[end].kind in ("word", "number", "letter") and end - after < MAX_WORDS:
            if tokens[end].text in CLAUSE and tokens[end].text not in FILLERS:
                break
            end += 1
            if self.context.is_call(end):
                end = self.context.closes.get(end, end - 1) + 1
        return (UNKNOWN, end) if end > place else None


def _is_less(left: Expression, right: Expression) -> bool:
    """Whether a number is less than another."""
    if not isinstance(left, Number) or not isinstance(right, Number):
        return False
    return left.value is not None and right.value is not None and left.value < right.value


def _power(text: str) -> Number:
    """What `squared`, or a small raised number, raises to."""
    named = {"squared": 2, "cubed": 3}.get(text)
    return Number(value=Fraction(named or int(unicodedata.normalize("NFKC", text))), places=0)


def _is_share(expression: Expression) -> bool:
    """Whether `of` after it multiplies: 10%, 0.5, ½, 3/4."""
    if isinstance(expression, Number):
        value = expression.value
        return expression.percent or (value is not None and 0 < value < 1)
    left, right = expression.left, expression.right
    return expression.name == "div" and isinstance(left, Number) and isinstance(right, Number)
