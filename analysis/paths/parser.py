r"""Expressions read from tokens: the usual precedence, brackets, words between numbers.

    expression := operand (units operation operand)*        units: up to five words
    operand    := number | ( expression ) | \frac{}{} | - operand | prefix operand (and operand)
                | words that stand for an unknown number

A reader returns what it read and the place of the token after it, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analysis.paths.evaluate import Expression, Number, Operation
from analysis.paths.lexer import Token

__all__ = ["UNKNOWN", "TooLongError", "after_units", "is_call", "match_brackets", "read_expression"]

UNKNOWN = Number(value=None)
MAX_OPERATIONS = 100
"""An expression of more is not read."""
MAX_NESTING = 20
MAX_UNITS = 5
"""Most words between a number and the operation that follows it."""
MAX_REMARK = 20
"""Most words in brackets there."""
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
CLAUSE = frozenset(
    "and so then but because since if when while he she they it we i you the has have had are was "
    "were that which therefore thus hence answer there not".split()
)
"""Words that are not part of a unit: something else begins."""
FILLERS = frozenset(
    "the a an another his her its their these those all about approximately approx roughly around "
    "nearly almost only just total of exactly".split()
)
"""Words that may stand before a number."""


class TooLongError(Exception):
    """An expression over a cap; `place` is the token at which it was given up."""

    def __init__(self, place: int) -> None:
        self.place = place


def match_brackets(tokens: Sequence[Token]) -> dict[int, int]:
    """Each opening bracket's closing one, where neither a break nor an equality lies between."""
    matched = {}
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind in ("break", "equals") and token.text != ",":
            opened.clear()
        elif token.kind == "open":
            opened.append(place)
        elif token.kind == "close" and opened:
            matched[opened.pop()] = place
    return matched


def read_expression(
    tokens: Sequence[Token], begin: int, brackets: dict[int, int], left: Expression | None = None
) -> tuple[Expression, int] | None:
    """The longest expression that begins at a place.

    Args:
        left: what stands before the operation at `begin`, where it is not a number.

    Raises:
        TooLongError: more than MAX_OPERATIONS operations or MAX_NESTING brackets.
    """
    reader = _Reader(tokens, brackets)
    if left is not None:
        return reader.rest(left, begin, 1, 0)
    return reader.expression(begin, 1, 0)


def after_units(tokens: Sequence[Token], begin: int, brackets: dict[int, int]) -> int:
    """The place after the words that belong to a number: `cookies`, `dollars/hour`, `(left)`."""
    place = begin
    for _ in range(MAX_UNITS):
        if (
            tokens[place].kind == "operation"
            and tokens[place].text == "div"
            and _is_unit(tokens[place + 1])
        ):
            place += 1
        if tokens[place].kind == "open" and place in brackets:
            inside = tokens[place + 1 : brackets[place]][: MAX_REMARK + 1]
            kinds = [token.kind for token in inside]
            if "word" not in kinds or len(kinds) > MAX_REMARK or {*kinds} - {"word", "number"}:
                break
            place = brackets[place] + 1
        elif _is_unit(tokens[place]):
            place += 1
        else:
            break
    return place


def is_call(tokens: Sequence[Token], place: int) -> bool:
    """Whether a bracket opens directly after a word, as in sqrt(16): an unknown."""
    before = tokens[place - 1]
    return (
        tokens[place].kind == "open"
        and before.kind == "word"
        and (before.end == tokens[place].start)
    )


def is_letter(token: Token, before: Token) -> bool:
    """Whether a token is an unknown that multiplies the number before it, as in 3x."""
    attached = token.kind == "word" and token.start == before.end and len(token.text) == 1
    return attached and before.kind in ("number", "close")


def _is_unit(token: Token) -> bool:
    return token.kind == "word" and token.text not in CLAUSE and token.text not in ("x", "y")


class _Reader:
    """The state of one reading: how many operations there were."""

    def __init__(self, tokens: Sequence[Token], brackets: dict[int, int]) -> None:
        self.tokens = tokens
        self.brackets = brackets
        self.n_operations = 0

    def expression(self, place: int, level: int, depth: int) -> tuple[Expression, int] | None:
        """Operations of at least this precedence."""
        first = self.operand(place, depth)
        return first and self.rest(*first, level, depth)

    def rest(
        self, left: Expression, place: int, level: int, depth: int
    ) -> tuple[Expression, int] | None:
        while True:
            found = self.operation(left, place)
            if found is None or PRECEDENCE.get(found[0], 2) < level:
                return left, place
            name, after = found
            over = PRECEDENCE.get(name, 2) + (name != "pow")
            right = self.expression(after, over, depth + (name == "pow"))
            if right is None:
                return left, place
            left, place = self.combine(name, left, right[0], place), right[1]

    def operation(self, left: Expression, place: int) -> tuple[str, int] | None:
        """The operation that follows a left operand, and the place of its right one."""
        tokens = self.tokens
        token, before = tokens[place], tokens[place - 1]
        if token.kind == "word" and token.text == "of" and _is_share(left):
            return ("of", place + 1) if self.is_known(place + 1) else None
        if token.kind == "open" and before.kind in ("number", "close"):
            inside = tokens[place + 1 : self.brackets.get(place, place)]
            if token.start == before.end or all(each.kind != "word" for each in inside):
                return "mul", place
        after = after_units(tokens, place, self.brackets)
        token = tokens[after]
        # an unknown stands after signs only: "5 times as many" is no product
        if token.kind == "operation" or (token.kind == "verb" and self.is_known(after + 1)):
            return token.text, after + 1
        return None

    def combine(self, name: str, left: Expression, right: Expression, place: int) -> Expression:
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

    def operand(self, place: int, depth: int) -> tuple[Expression, int] | None:
        read = self.single(place, depth)
        if read is None:
            return None
        value, place = read
        token, before = self.tokens[place], self.tokens[place - 1]
        if token.kind == "raised" and before.kind != "word":
            power = Number(value=Fraction(3 if token.text in ("³", "cubed") else 2), places=0)
            return self.combine("pow", value, power, place), place + 1
        if is_letter(token, before):
            return self.combine("mul", value, UNKNOWN, place), place + 1
        return value, place

    def single(self, place: int, depth: int) -> tuple[Expression, int] | None:
        tokens = self.tokens
        token = tokens[place]
        if depth > MAX_NESTING:
            raise TooLongError(place)
        if token.kind == "number":
            return _number(token), place + 1
        if token.kind == "open":
            close = self.brackets.get(place)
            inside = self.expression(place + 1, 1, depth + 1) if close else None
            if not close or not inside:
                return None
            end = after_units(tokens, inside[1], self.brackets)
            return (inside[0], close + 1) if end == close else None
        if token.kind == "fraction":
            return self.fraction(place + 1, depth)
        if token.kind == "operation" and token.text == "sub":
            return self.negative(self.expression(place + 1, 3, depth + 1), place)
        if token.kind == "prefix":
            return self.prefix(token.text, place + 1, depth + 1)
        return self.words(place, depth) if token.kind == "word" else None

    def negative(
        self, read: tuple[Expression, int] | None, place: int
    ) -> tuple[Expression, int] | None:
        if read is None:
            return None
        value, end = read
        if isinstance(value, Number):
            negated = None if value.value is None else -value.value
            return Number(value=negated, places=value.places, percent=value.percent), end
        return self.combine("sub", Number(value=Fraction(0), places=0), value, place), end

    def fraction(self, place: int, depth: int) -> tuple[Expression, int] | None:
        r"""\frac{a}{b} or \frac12."""
        token = self.tokens[place]
        if token.kind == "number" and len(token.text) == 2 and token.text.isdigit():
            top, bottom = (Number(value=Fraction(int(digit)), places=0) for digit in token.text)
            return self.combine("div", top, bottom, place), place + 1
        over = self.single(place, depth + 1)
        under = over and self.single(over[1], depth + 1)
        if not over or not under:
            return None
        return self.combine("div", over[0], under[0], place), under[1]

    def prefix(self, name: str, place: int, depth: int) -> tuple[Expression, int] | None:
        """`half of 10`, `the sum of 5, 7 and 2`, `subtract 5 from 12`."""
        first = self.expression(place, 2, depth) if self.is_known(place) else None
        if first is None:
            return None
        value, end = first
        if name in DIVISORS:
            by = Number(value=Fraction(DIVISORS[name]), places=0)
            return self.combine("div", value, by, place), end
        if name in FACTORS:
            by = Number(value=Fraction(FACTORS[name]), places=0)
            return self.combine("mul", by, value, place), end
        n_before = self.n_operations
        while True:
            after = after_units(self.tokens, end, self.brackets)
            while self.tokens[after].text in CONNECTORS[name]:
                after += 1
            if self.tokens[after - 1].text not in CONNECTORS[name]:
                break
            right = self.expression(after, 2, depth) if self.is_known(after) else None
            if right is None:
                break
            value, end = self.combine(name, value, right[0], place), right[1]
            if name not in ("add", "mul"):
                break
        return (value, end) if self.n_operations > n_before else None

    def known(self, place: int) -> int:
        """The place after words that may stand before a number."""
        while self.tokens[place].kind == "word" and self.tokens[place].text in FILLERS:
            place += 1
        return place

    def is_known(self, place: int) -> bool:
        """Whether what stands at a place is not just words."""
        return self.tokens[self.known(place)].kind != "word"

    def words(self, place: int, depth: int) -> tuple[Expression, int] | None:
        """Words in the place of an operand: a number after fillers, else an unknown."""
        tokens = self.tokens
        after = self.known(place)
        if tokens[after].kind in ("number", "open", "fraction", "prefix"):
            return self.single(after, depth + 1)
        end = after
        while tokens[end].kind in ("word", "number") and tokens[end].text not in CLAUSE - FILLERS:
            end += 1
            if is_call(tokens, end):
                end = self.brackets.get(end, end - 1) + 1
        return (UNKNOWN, end) if end > place else None


def _number(token: Token) -> Number:
    part = token.text.partition(".")[2]
    digits = next((k for k, character in enumerate(part) if not character.isdigit()), len(part))
    whole = not any(character in "/e" or ord(character) > 0xBB for character in token.text[:60])
    return Number(value=token.value, places=digits if whole else None, percent=token.percent)


def _is_share(expression: Expression) -> bool:
    """Whether `of` after it multiplies: 10%, 0.5, ½, 3/4."""
    if isinstance(expression, Number):
        value = expression.value
        return expression.percent or (value is not None and 0 < value < 1)
    left, right = expression.left, expression.right
    return expression.name == "div" and isinstance(left, Number) and isinstance(right, Number)
