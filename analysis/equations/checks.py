"""Which steps of a trace are wrong, whether a wrong result is used, whether the answer follows.

>>> found = check_trace("5 + 7 = 13. Then 13 * 2 = 26. The answer is 26.", [], "26")
>>> [(row.equation.text, row.verdict, row.used_later) for row in found.rows]
[('5 + 7 = 13', 'wrong', True), ('13 * 2 = 26', 'right', True)]
>>> found.n_wrong, found.wrong_used, found.follows
(1, True, True)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from analysis.equations.equations import Equation, find_equations, holds
from analysis.equations.evaluate import evaluate, numbers
from cot.answers.extract import recital
from cot.answers.number import find_number, read_number
from cot.steps import Span

__all__ = ["CheckedEquation", "TraceChecks", "Verdict", "check", "check_trace"]

Verdict = Literal["right", "wrong", "uncheckable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEquation:
    """A stated equation and what is thought of it."""

    equation: Equation
    step: int | None
    """Index of the step in which it begins; None where no step holds it."""
    verdict: Verdict
    value: Fraction | None
    """The exact value; None where it cannot be known."""
    used_later: bool
    """Whether a later equation takes the stated result, or the final answer is it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChecks:
    """What the equations of one trace show."""

    rows: tuple[CheckedEquation, ...]
    """In order of their place."""
    n_checked: int
    """Equations that are right or wrong."""
    n_wrong: int
    wrong_used: bool
    """Whether the stated result of a wrong one is used later."""
    follows: bool | None
    """Whether the final answer is the stated result of an equation; None without equations, or
    without an answer that is a number."""
    gold_found: int
    """How many of the gold values some equation states as its result."""


def check(equation: Equation) -> Verdict:
    """Whether an equation holds: exactly, or rounded as its result is stated."""
    held = holds(equation)
    if held:
        return "right"
    return "uncheckable" if held is None or equation.doubtful else "wrong"


def check_trace(
    text: str, steps: Sequence[Span], final: str | None, gold_values: Iterable[object] = ()
) -> TraceChecks:
    """Check every equation of a trace, up to the recital of a new question.

    Args:
        text: the raw text.
        steps: its steps, in order.
        final: the canonical final answer, or None.
        gold_values: values of the steps of a worked solution, as numbers or texts
            (`gold_steps` in the meta of an `arithmetic` question).
    """
    equations = find_equations(text[: recital(text)])
    answer = _value(final)
    later: set[Fraction | None] = {answer} - {None}
    rows: list[CheckedEquation] = []
    for equation in reversed(equations):
        rows.append(
            CheckedEquation(
                equation=equation,
                step=_step_at(steps, equation.start),
                verdict=check(equation),
                value=evaluate(equation.expression),
                used_later=equation.stated in later,
            )
        )
        later.update(number.value for number in numbers(equation.expression))
    rows.reverse()
    wrong = [row for row in rows if row.verdict == "wrong"]
    stated = {equation.stated for equation in equations}
    return TraceChecks(
        rows=tuple(rows),
        n_checked=sum(row.verdict != "uncheckable" for row in rows),
        n_wrong=len(wrong),
        wrong_used=any(row.used_later for row in wrong),
        follows=answer in stated if equations and answer is not None else None,
        gold_found=sum(_value(gold) in stated for gold in gold_values),
    )


def _value(stated: object) -> Fraction | None:
    """A number from its canonical form; None for what is none."""
    return None if stated is None else read_number(find_number(str(stated)))


def _step_at(steps: Sequence[Span], place: int) -> int | None:
    index = bisect_right(steps, place, key=lambda step: step.start) - 1
    return index if index >= 0 and place < steps[index].end else None
