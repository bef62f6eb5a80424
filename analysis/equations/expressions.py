"""Arithmetic expressions, and their exact value.

    >>> five, seven = Number(value=Fraction(5)), Number(value=Fraction(7))
    >>> evaluate(Operation(name="add", left=five, right=seven))
    Fraction(12, 1)

An expression comes from a model's text: caps on size keep hostile ones cheap, nothing is `eval`ed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Expression", "Number", "Operation", "bounds", "evaluate", "numbers", "operations"]

MAX_BITS = 400
"""Most bits of a numerator or denominator, about 120 digits."""
MAX_DEPTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number as written, or what stands in the place of one."""

    value: Fraction | None
    """None where it is not known: a letter, words, too many digits."""
    places: int | None = None
    """Decimals that are written; None where it is a fraction or not known."""
    percent: bool = False
    """Whether it is written with a percent sign; `value` is divided by 100 already."""
    scale: Fraction | int = 1
    """What its word or power of ten multiplies it by, 1000 in `5 thousand`; `value` is multiplied
    already."""
    cut: bool = False
    """Whether dots follow its last decimal."""

    @property
    def unit(self) -> Fraction | None:
        """What one of its last decimal is worth: 1/100 in 3.14; None where there is none."""
        if self.places is None:
            return None
        return Fraction(self.scale) / Fraction(10) ** (self.places + 2 * self.percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation on two expressions."""

    name: str
    """`add`, `sub`, `mul`, `div` or `pow`."""
    left: Expression
    right: Expression


Expression = Number | Operation


def evaluate(expression: Expression) -> Fraction | None:
    """The exact value; None where a number is not known, something is divided by zero or too large,
    or a share is added to a whole (`100 - 20%`: of what?)."""
    return _evaluate(expression, MAX_DEPTH)


def operations(expression: Expression) -> list[str]:
    """Names of the operations in the order in which they are carried out."""
    if isinstance(expression, Number):
        return []
    return [*operations(expression.left), *operations(expression.right), expression.name]


def numbers(expression: Expression) -> Iterator[Number]:
    """The numbers from left to right."""
    if isinstance(expression, Number):
        yield expression
    else:
        yield from numbers(expression.left)
        yield from numbers(expression.right)


def _evaluate(expression: Expression, depth: int) -> Fraction | None:
    if isinstance(expression, Number):
        return expression.value
    if not depth or (expression.name in ("add", "sub") and _is_share_of_whole(expression)):
        return None
    left, right = _evaluate(expression.left, depth - 1), _evaluate(expression.right, depth - 1)
    if left is None or right is None:
        return None
    value = _apply(expression.name, left, right)
    return None if value is None or _bits(value) > MAX_BITS else value


def _apply(name: str, left: Fraction, right: Fraction) -> Fraction | None:
    if name == "add":
        return left + right
    if name == "sub":
        return left - right
    if name == "mul":
        return left * right
    if name == "div":
        return left / right if right else None
    if right.denominator != 1 or abs(right) * _bits(left) > MAX_BITS or (not left and right < 0):
        return None
    return Fraction(left ** int(right))


def bounds(expression: Expression) -> tuple[Fraction, Fraction] | None:
    """Least and largest value where the numbers that look rounded (0.67, 0.1429) are so; None where
    it is not known."""
    return _bounds(expression, MAX_DEPTH)


def _bounds(expression: Expression, depth: int) -> tuple[Fraction, Fraction] | None:
    if isinstance(expression, Number):
        value, unit = expression.value, expression.unit
        if value is None:
            return None
        slack = unit / 2 if unit is not None and _looks_rounded(value, unit) else Fraction(0)
        return value - slack, value + slack
    if not depth:
        return None
    left, right = _bounds(expression.left, depth - 1), _bounds(expression.right, depth - 1)
    if left is None or right is None or (expression.name == "div" and right[0] <= 0 <= right[1]):
        return None
    corners = [_apply(expression.name, a, b) for a in left for b in right]
    values = [value for value in corners if value is not None and _bits(value) <= MAX_BITS]
    return (min(values), max(values)) if len(values) == len(corners) else None


def _looks_rounded(value: Fraction, unit: Fraction) -> bool:
    """Whether a decimal may stand for a fraction such as 2/3 or 1/7, or has many places."""
    if unit > Fraction(1, 100) or not value % 1:
        return False
    return unit < Fraction(1, 1000) or any(
        abs(round(value * below) / Fraction(below) - value) <= unit / 2 for below in (3, 6, 7, 9)
    )


def _is_share_of_whole(expression: Operation) -> bool:
    left, right = expression.left, expression.right
    return isinstance(right, Number) and right.percent and not any(n.percent for n in numbers(left))


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())
