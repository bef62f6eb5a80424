"""How far a stated result may be off its value, and what else may explain a difference.

`10 / 3 = 3.33` is rounded to two decimals, `10 / 3 = 3` is wrong, `10 / 3 is about 3` is not, and
`2 * 30 minutes = 1 hour` and `14 / 4 = 3 remainder 2` are beyond an evaluator that ignores units.
"""

from __future__ import annotations

import re
from fractions import Fraction

from analysis.paths.evaluate import Number, Operation, evaluate, operations

__all__ = ["is_doubtful", "tolerance"]

BEFORE, AFTER = 20, 40
"""Characters around an equation, in its sentence, in which its words are looked for."""
ABOUT = re.compile(r"\b(?:about|approx|roughly|around|nearly|almost|round|estimat)|[≈~]|\\approx")
UP_OR_DOWN = re.compile(r"\bround(?:ed|ing|s)? (?:it )?(?:up|down)\b")
REMAINDER = re.compile(r"\b(?:r\s?\d|remainder|remaining|left|leftover)\b", re.I)
SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
CLAUSE_END = re.compile(r"[.,;!?](?=\s)|\n")
CONVERTIBLE = [
    ([re.compile(pattern, re.I) for pattern in units], factors)
    for units, factors in (
        ((r"\bcents?\b|¢", r"[$£€]|\b(?:dollar|euro|pound)s?\b"), (100,)),
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

    Half of the last decimal that is stated; a whole one where `...` follows; for whole numbers and
    fractions 0, unless words near by say that the result is rounded (then half of its last digit
    that is not 0, or a whole one where it is rounded up or down).

    Args:
        text: the trace's.
        start: the equation's first character.
        end: one past its last.
    """
    if stated.places is None or stated.value is None:
        return Fraction(0)
    unit = Fraction(1, 10 ** (stated.places + 2 * stated.percent))
    if stated.places and text.startswith(("...", "…"), end):
        return unit
    if stated.places:
        return unit / 2
    near = " ".join((_before(text, start), text[start:end], _after(text, end))).lower()
    if not ABOUT.search(near):
        return Fraction(0)
    while stated.value and (stated.value / unit) % 10 == 0:
        unit *= 10
    return unit if UP_OR_DOWN.search(near) else unit / 2


def is_doubtful(expression: Operation, stated: Fraction, text: str, start: int, end: int) -> bool:
    """Whether a change of units, or a remainder, may explain a wrong result."""
    after = _after(text, end)
    names = operations(expression)
    if "div" in names and REMAINDER.search(after):
        return True
    value = evaluate(expression)
    ratios = {value / stated, stated / value} if value and stated else set()
    spelled = text[max(0, start - 1) : end] + after[:20]
    return any(
        sum(bool(unit.search(spelled)) for unit in units) > 1
        for units, factors in CONVERTIBLE
        if "add" in names or "sub" in names or not ratios.isdisjoint(factors)
    )


def _before(text: str, start: int) -> str:
    return CLAUSE_END.split(text[max(0, start - BEFORE) : start])[-1]


def _after(text: str, end: int) -> str:
    return SENTENCE_END.split(text[end : end + AFTER], maxsplit=1)[0]
