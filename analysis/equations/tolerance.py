"""How far a stated result may be off its value, and what else may explain a difference.

`10 / 3 = 3.33` is rounded to two decimals, `10 / 3 = 3` is wrong, `10 / 3 is about 3` is not, and
`2 * 30 minutes = 1 hour`, `14 / 4 = 3 remainder 2`, `5 * 3 = 1 (mod 7)` and `0.67 * 12 = 8` are
beyond an evaluator that ignores units, remainders and where a number comes from.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import floor

from analysis.equations.expressions import (
    Expression,
    Number,
    Operation,
    bounds,
    evaluate,
    numbers,
    operations,
)

__all__ = ["is_doubtful", "is_hypothetical", "tolerance"]

BEFORE, AFTER = 20, 60
"""Characters around an equation, in its sentence, in which its words are looked for."""
ABOUT = re.compile(
    r"\b(?:about|approx|roughly|around|nearly|almost|round|estimat|nearest)|[≈≃]|~\s?[\d$]|\\(?:approx|sim)"
)
CLOSE = Fraction(5, 100)
"""How near what is only said to be about a value has to be, as a share of it."""
MACHINE_PLACES = 10
"""Decimals of a result that a machine has rounded: 29.400000000000002."""
MEASURED = Fraction(2, 100)
"""The same for numbers with powers of ten, which are measured."""
THOUSANDS = [Fraction(1000) ** power for power in range(-4, 5)]
HUNDREDTHS = re.compile(r"[$€£¥₹¢%]|\b(?:cents?|percent|per cent)\b", re.I)
"""What may hide a factor of 100: `20 * 45 = $9`."""
SENTENCE = 150
"""Characters before an equation in which a modulus is looked for."""
MODULUS = re.compile(
    r"mod(?:ulo)?\b|congruent|≡|\\equiv|\bbase[\s$-]+(?:\\boxed\{)?(?:\d|two|ten)|\bbinary|\boctal|\bhexadecimal",
    re.I,
)
LAST_DIGIT = re.compile(r"\b(?:units?'?s?|ones'?|last) digit|\bends? (?:in|with)\b", re.I)
CLOCK = re.compile(r"\b[ap]\.?m\b|o'clock|\b(?:noon|midnight)\b", re.I)
UP_OR_DOWN = re.compile(r"\bround(?:ed|ing|s)? (?:it )?(?:up|down)\b")
WHOLES = re.compile(
    r"\b(?:full|complete|whole|entire|integer|floor|quotient)\b|\bround(?:ed|ing|s)? down\b", re.I
)
"""What makes a result the whole part of a division: `89 / 10 is 8 full sets`."""
CUT_PLACES = 3
"""Fewest decimals of a result that may be cut and not rounded."""
HYPOTHESIS = re.compile(
    r"\b(?:suppose|supposing|assume|assuming|imagine|if|whether|what if|let['’]s say)"
    r"(?:,? (?:that|we (?:say|have|had|took?)|it (?:is|were|was)))?[\s:,$(\\\[]*$",
    re.I,
)
"""What stands before an equation that is not stated to hold."""
BEHIND = re.compile(r"[\s$)\\\]]{0,4}\?")
REMAINDER = re.compile(r"\b(?:r[\s}]{0,3}\d|rem|remainder|remaining|left|leftover)\b", re.I)
SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
CLAUSE_END = re.compile(r"[.,;!?](?=\s)|\n")
CONVERTIBLE = [
    ([re.compile(pattern, re.I) for pattern in units], factors)
    for units, factors in (
        (
            (r"\bcents?\b|¢", r"[$£€]|\b(?:dollar|euro|pound)s?\b")
            + (r"\bquarters?\b", r"\bdimes?\b", r"\bnickels?\b", r"\bpenn(y|ies)\b"),
            (100, 25, 10, 5, 4, 20),
        ),
        (
            [rf"\b{unit}s?\b" for unit in "second minute hour day week month year".split()],
            (60, 3600, 24, 1440, 7, 168, 12, 4, 52, 30, 365),
        ),
        (
            [r"\binch(es)?\b", r"\bf(ee|oo)t\b", r"\byards?\b", r"\bmiles?\b"]
            + [r"\b(mm|millimet\w+)\b", r"\b(cm|centimet\w+)\b", r"\b(m|met(er|re)s?)\b"]
            + [r"\b(km|kilomet\w+)\b"],
            (12, 3, 36, 5280, 1760, 10, 100, 1000),
        ),
        (
            [r"\bounces?\b", r"\bpounds?\b", r"\b(g|grams?)\b", r"\b(kg|kilo(gram)?s?)\b"],
            (16, 1000),
        ),
        (
            [r"\bcups?\b", r"\bpints?\b", r"\bquarts?\b", r"\bgallons?\b"]
            + [r"\b(ml|millilit\w+)\b", r"\b(l|lit(er|re)s?)\b"],
            (2, 4, 8, 16, 1000),
        ),
        ([r"", r"\b(?:dozen|pair|score)s?\b"], (2, 12, 20)),
    )
]
"""Units of one quantity, with how many of one make another."""


def tolerance(stated: Number, text: str, start: int, end: int) -> Fraction:
    """How far the value may be from a stated result.

    Half of the last decimal that is stated; a whole one where dots follow or words near by say that
    it is rounded; for whole numbers and fractions 0, unless such words are there (then half of the
    last digit that is not 0, or a whole one where it is rounded up or down).

    Args:
        text: the trace's.
        start: the equation's first character.
        end: one past its last.
    """
    unit = stated.unit
    if unit is None or stated.value is None:
        return Fraction(0)
    if stated.cut:
        return unit
    is_about = _is_about(text, start, end)
    if stated.places and stated.places >= MACHINE_PLACES:
        return max(unit / 2, abs(stated.value) / 10**9)
    if stated.places:
        return unit if is_about else unit / 2
    if not is_about:
        return Fraction(0)
    while stated.value and (stated.value / unit) % 10 == 0:
        unit *= 10
    near = _near(text, start, end)
    return unit if UP_OR_DOWN.search(near) else unit / 2


def is_doubtful(
    expression: Operation, value: Fraction, stated: Number, text: str, start: int, end: int
) -> bool:
    """Whether a wrong result may be one of other units, of a remainder, or of rounded numbers.

    Args:
        value: the expression's.
        stated: the result.
        text: the trace's.
        start: the equation's first character.
        end: one past its last.
    """
    result = stated.value
    if result is None:
        return True
    after, names = _after(text, end), operations(expression)
    spelled = text[max(0, start - 1) : end] + after[:20]
    return (
        ("div" in names and REMAINDER.search(after) is not None)
        or ("div" in names and result == floor(value) and WHOLES.search(spelled) is not None)
        or _is_cut(value, stated, result)
        or CLOCK.search(spelled) is not None
        or (result == -value and "difference" in spelled)
        or _is_hundredth(value, stated, result, spelled)
        or _is_near(value, stated, result, text, start, end)
        or _is_rounded(expression, stated)
        or _is_measured(expression, value, result)
        or _is_of_modulus(expression, value - result, text, start, end)
        or _is_converted(names, value, result, spelled)
    )


def is_hypothetical(text: str, start: int, end: int) -> bool:
    """Whether an equation is only supposed (`suppose 5 + 7 = 13`) or asked about."""
    if BEHIND.match(text, end):
        return True
    return HYPOTHESIS.search(text[max(0, start - 2 * BEFORE) : start]) is not None


def _is_cut(value: Fraction, stated: Number, result: Fraction) -> bool:
    """Whether the decimals of a value are cut where a result ends, not rounded."""
    if not stated.places or stated.places < CUT_PLACES or not stated.unit:
        return False
    return 0 < abs(value) - abs(result) < stated.unit and (value < 0) == (result < 0)


def _is_hundredth(value: Fraction, stated: Number, result: Fraction, spelled: str) -> bool:
    """Whether cents, or a sign of percent, hide a factor of 100."""
    if not HUNDREDTHS.search(spelled):
        return False
    slack = stated.unit if stated.places and stated.unit else Fraction(0)
    return min(abs(100 * value - result), abs(value / 100 - result)) <= slack


def _is_near(
    value: Fraction, stated: Number, result: Fraction, text: str, start: int, end: int
) -> bool:
    """Whether a result that is only said to be about a value is near it."""
    if not _is_about(text, start, end):
        return False
    off = abs(value - result)
    if stated.percent:
        off = min(off, abs(value / 100 - result))
    return off <= CLOSE * abs(result)


def _is_measured(expression: Expression, value: Fraction, result: Fraction) -> bool:
    """Whether a result of numbers with powers of ten is near the value, in this unit or in one a
    thousand, a million ... times as large."""
    if not _has_power_of_ten(expression) or not value or not result:
        return False
    ratio = abs(value / result)
    return any(abs(ratio * scale - 1) <= MEASURED for scale in THOUSANDS)


def _has_power_of_ten(expression: Expression) -> bool:
    if isinstance(expression, Number):
        return False
    left, right = expression.left, expression.right
    if expression.name == "pow" and isinstance(left, Number) and left.value == 10:
        exponent = evaluate(right)
        return exponent is not None and abs(exponent) >= 3
    return _has_power_of_ten(left) or _has_power_of_ten(right)


def _is_of_modulus(
    expression: Operation, difference: Fraction, text: str, start: int, end: int
) -> bool:
    """Whether only a remainder, a last digit, or another base is meant."""
    power = expression.right if expression.name == "pow" else None
    if isinstance(power, Number) and power.value is not None and power.value < 0:
        return difference.denominator != 1  # 50^{-1} = 24, an inverse
    if difference.denominator != 1:
        return False
    before = text[max(0, start - SENTENCE) : start].rpartition("\n\n")[2]
    near = before + text[start:end] + _after(text, end)
    if MODULUS.search(near):
        return True
    return difference % 10 == 0 and LAST_DIGIT.search(near) is not None


def _is_converted(names: list[str], value: Fraction, result: Fraction, spelled: str) -> bool:
    """Whether two units of one quantity explain the factor between value and result."""
    is_sum = "add" in names or "sub" in names
    ratios = {value / result, result / value} if value and result else set()
    return any(
        sum(bool(unit.search(spelled)) for unit in units) > 1
        for units, factors in CONVERTIBLE
        if is_sum or not ratios.isdisjoint(factors)
    )


def _is_about(text: str, start: int, end: int) -> bool:
    """Whether words near an equation, or its sign, say that its result is not exact."""
    return ABOUT.search(_near(text, start, end)) is not None


def _near(text: str, start: int, end: int) -> str:
    return " ".join((_before(text, start), text[start:end], _after(text, end))).lower()


def _is_rounded(expression: Operation, stated: Number) -> bool:
    """Whether numbers that look rounded explain a result with fewer decimals than they have."""
    if stated.places is None or stated.value is None or stated.unit is None:
        return False
    if not any(number.places and number.places > stated.places for number in numbers(expression)):
        return False
    limits, slack = bounds(expression), stated.unit / 2 if stated.places else 0
    return limits is not None and limits[0] - slack <= stated.value <= limits[1] + slack


def _before(text: str, start: int) -> str:
    return CLAUSE_END.split(text[max(0, start - BEFORE) : start])[-1]


def _after(text: str, end: int) -> str:
    return SENTENCE_END.split(text[end : end + AFTER], maxsplit=1)[0]
