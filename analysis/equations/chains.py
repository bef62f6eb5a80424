"""What the sides of a chain `a = b = c` say of each other.

`3 * 4 = 12 + 1 = 13` says 3 * 4 = 12, in the loose way in which people write, and 12 + 1 = 13;
`1/2 + 1/4 = 2/4 + 1/4 = 3/4` says of both sums that they are 3/4. A result may be meant in more
than one way; whoever reads it takes the way in which it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from analysis.equations.expressions import Expression, Number, Operation, evaluate, numbers
from analysis.equations.lexer import Token
from analysis.equations.parser import UNKNOWN, Parser, Side

__all__ = ["Claim", "is_amount", "read_claims"]

RELATIVE = frozenset("times mul more less fewer greater smaller larger terms".split())
"""What makes a number in words no result: `3 * 4 is 2 more than ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A calculation with the results that it may be said to have, the likeliest first."""

    side: Side
    near: Side
    """The one that it is said to equal."""
    results: list[tuple[Number, int, int]]
    """Each with its first token and the one after its last."""
    only_if_right: bool = False
    """Whether nothing is said where none of them holds."""


def read_claims(sides: list[Side], relations: list[Token], parser: Parser) -> Iterator[Claim]:
    """Each calculation of a chain with the results that it may be said to have."""
    if len(sides) < 2:
        return
    if isinstance(sides[-2].expression, Operation):
        last = sides[-1].expression
        sides = [*sides[:-1], sides[-1]._replace(expression=last and _as_fraction(last))]
    for k, side in enumerate(sides):
        if not isinstance(side.expression, Operation):
            continue
        if k + 1 < len(sides):
            claim = _forward(sides, k, relations[k], parser)
        else:
            is_first = not any(isinstance(x.expression, Operation) for x in sides[:k])
            claim = _backward(sides[k - 1], side, parser) if k and is_first else None
        if claim is not None:
            yield claim


def _forward(sides: list[Side], k: int, relation: Token, parser: Parser) -> Claim | None:
    """What side k of a chain is said to be by the sides after it."""
    side, near = sides[k], sides[k + 1]
    in_words = relation.kind == "says"
    if_right = parser.context.is_share(side.end) and not parser.context.is_share(near.end)
    if_right |= not parser.context.follows_words(side.begin)
    if_right |= in_words and _is_no_subject(side, near, relation, parser)
    begins = _first_numbers(near, parser)
    loose = [(number, side.begin, after) for number, after in begins]
    if isinstance(near.expression, Number):
        if len(begins) > 1 or parser.tokens[near.begin + 1].kind == "operation":
            loose = []  # 3/4
        results = [(near.expression, side.begin, near.end), *loose]
        if_right |= _is_conversion(side, near, parser)
        return Claim(side=side, near=near, results=results, only_if_right=if_right)
    if near.expression is None or evaluate(near.expression) is None:
        return None
    results = []
    follow = next((x for x in sides[k + 1 :] if not isinstance(x.expression, Operation)), sides[-1])
    if follow.expression is not None:
        results.append((_as_number(follow.expression), side.begin, follow.end))
    results.append((_as_number(near.expression), side.begin, near.end))
    is_loose = any(_is_loose(side, near, number) for number, _ in begins)
    results = [*loose, *results] if is_loose else [*results, *loose]
    return Claim(side=side, near=near, results=results, only_if_right=in_words or if_right)


def _first_numbers(side: Side, parser: Parser) -> list[tuple[Number, int]]:
    """What a side begins with, each with the place after it: -3/4 and -3 of `-3/4 + 1`."""
    tokens, begin = parser.tokens, side.begin
    sign = tokens[begin].text == "sub" and side.expression is not None
    number = tokens[begin + sign].number
    if number is None or (sign and number.value is None):
        return []
    if sign and number.value is not None:
        number = replace(number, value=-number.value)
    after = begin + sign + 1
    found = [(number, after)]
    line, under = tokens[after], tokens[min(after + 1, len(tokens) - 1)]
    if line.text == "div" and under.number and under.start == line.end == line.start + 1:
        over = Operation(name="div", left=number, right=under.number)
        found.insert(0, (Number(value=evaluate(over)), after + 2))
    return found


def _backward(number: Side, side: Side, parser: Parser) -> Claim | None:
    """What a side is said to be by a number before it: `12 = 5 + 7`."""
    if not isinstance(number.expression, Number):
        return None
    results = [(number.expression, number.begin, side.end)]
    if_right = _is_conversion(number, side, parser)
    if_right |= side.expression is not None and is_amount(side.expression)
    return Claim(side=side, near=number, results=results, only_if_right=if_right)


def _is_no_subject(side: Side, near: Side, relation: Token, parser: Parser) -> bool:
    """Whether words such as `is` behind an expression say nothing of its value."""
    after = parser.tokens[near.end]
    if after.text in RELATIVE or after.kind == "comparison":
        return True
    expression, result = side.expression, near.expression
    if not isinstance(expression, Operation) or not isinstance(result, Number):
        return False
    if relation.text == "for a total of":
        before = parser.tokens[side.begin - 1]
        is_list = side.begin > 0 and (before.kind == "comma" or before.text in ("or", "and"))
        return is_list or expression.name not in ("add", "mul")
    if expression.name == "pow" and relation.text in ("giving", "making", "leaving"):
        return True  # the last is 50^2, giving a total of 19
    is_size = expression.name == "mul" and side.end < side.after  # the 3 * 4 rectangle
    if parser.context.is_object(side.begin) or (
        is_size and parser.tokens[side.begin - 1].text == "the"
    ):
        return True
    value = evaluate(expression)
    is_part = value is not None and 0 < value < 1  # 7/8 - 1/2 of a tank is 12 gallons
    return is_part and result.value is not None and result.value >= 2


def _is_loose(left: Side, right: Side, first: Number) -> bool:
    """Whether `left = right` means that left equals the first number of right."""
    assert left.expression is not None
    assert right.expression is not None
    value = evaluate(left.expression)
    if value is None or value in (first.value, evaluate(right.expression)):
        return value is not None and value == first.value
    return first.value not in [number.value for number in numbers(left.expression)]


def _as_number(expression: Expression) -> Number:
    """An expression's value as a result; of a number times a power of ten, with its decimals."""
    if isinstance(expression, Number):
        return expression
    value = evaluate(expression)
    left, right = expression.left, expression.right
    is_power = isinstance(right, Operation) and right.name == "pow"
    if expression.name != "mul" or not is_power or not isinstance(left, Number):
        return Number(value=value)
    ten = next(numbers(right)).value == 10
    scale = evaluate(right) if ten else None
    return Number(value=value, places=left.places if scale else None, scale=scale or 1)


def is_amount(expression: Expression) -> bool:
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


def _is_conversion(left: Side, right: Side, parser: Parser) -> bool:
    """Whether two sides say one amount in two units: `1 kg = 450/90`, `1/2 cup = 4 ounces`, or a
    fraction of two that is 1."""
    assert left.expression is not None
    assert right.expression is not None
    units, others = (parser.context.words(side.begin, side.after) for side in (left, right))
    if isinstance(left.expression, Number):
        is_one = left.expression.value == 1
        return bool(units) and units.isdisjoint(others) and (is_one or bool(others))
    is_plain = is_amount(left.expression) and not parser.context.words(left.begin, left.end)
    if is_plain and units and others and units.isdisjoint(others):
        return True
    is_one = isinstance(right.expression, Number) and right.expression.value == 1
    return left.expression.name == "div" and is_one and len(units) > 1
