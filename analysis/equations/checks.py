"""Which equations of a trace are wrong, what becomes of these, and whether the answer follows.

>>> found = check_trace("5 + 7 = 13. Then 13 * 2 = 26. The answer is 26.", [], "26")
>>> [(row.equation.text, row.verdict, row.reaches_answer) for row in found.rows]
[('5 + 7 = 13', 'wrong', True), ('13 * 2 = 26', 'right', None)]
>>> found.n_wrong, found.n_reaching, found.n_corrected, found.follows
(1, 1, 0, True)
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import pandas as pd

from analysis.equations.dataflow import dataflow, signature
from analysis.equations.expressions import evaluate, numbers
from analysis.equations.extraction import Equation, find_equations, holds
from analysis.equations.outcomes import outcomes
from cot.answers.extract import recital
from cot.answers.number import find_number, numbers_in, read_number
from cot.answers.readers.choice import LETTERS
from cot.steps import Span
from cot.types import TRACE_KEY

__all__ = ["CheckedEquation", "TraceChecks", "Verdict", "check", "check_trace", "check_traces"]

Verdict = Literal["right", "wrong", "uncheckable"]
GOLD = "gold_steps"
"""Where the meta of an `arithmetic` question keeps the values of its worked solution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEquation:
    """A stated equation, and whether it holds."""

    equation: Equation
    step: int | None
    """Index of the step in which it begins; None where no step holds it."""
    verdict: Verdict
    value: Fraction | None
    """The exact value; None where it cannot be known."""
    used_later: bool
    """Whether a later equation takes the stated result, or the final answer is it."""
    reaches_answer: bool | None
    """Of a wrong one, whether the final answer is its result or computed from it; None where it is
    not wrong or the answer holds no number."""
    corrected: bool | None
    """Of a wrong one, whether the trace takes it back; None where it is not wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChecks:
    """What the equations of one trace show."""

    rows: tuple[CheckedEquation, ...]
    """In order of their place."""
    n_checked: int
    """Equations that are right or wrong."""
    n_wrong: int
    n_corrected: int
    """Wrong ones that the trace takes back (see `analysis.equations.outcomes`)."""
    n_reaching: int | None
    """Wrong ones that the final answer comes from; None where there are wrong ones and the answer
    holds no number."""
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
    text: str,
    steps: Sequence[Span],
    final: str | None,
    gold_values: Iterable[object] = (),
    choices: Sequence[str] = (),
) -> TraceChecks:
    """Check every equation of a trace, up to the recital of a new question.

    Args:
        text: the raw text.
        steps: its steps, in order.
        final: the canonical final answer, or None.
        gold_values: values of the steps of a worked solution, as numbers or texts
            (`gold_steps` in the meta of an `arithmetic` question).
        choices: the texts of the question's choices, of which the final answer names one.
    """
    read = text[: recital(text)]
    equations = find_equations(read)
    verdicts = [check(equation) for equation in equations]
    false = [index for index, verdict in enumerate(verdicts) if verdict == "wrong"]
    became = outcomes(read, equations, false, _numbers(final, choices))
    answer = _value(final)
    later: set[Fraction | None] = {answer} - {None}
    rows: list[CheckedEquation] = []
    for index, equation in reversed(list(enumerate(equations))):
        outcome = became.get(index)
        rows.append(
            CheckedEquation(
                equation=equation,
                step=_step_at(steps, equation.start),
                verdict=verdicts[index],
                value=evaluate(equation.expression),
                used_later=equation.stated in later,
                reaches_answer=outcome.reaches_answer if outcome else None,
                corrected=outcome.corrected if outcome else None,
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
        n_corrected=sum(outcome.corrected for outcome in became.values()),
        n_reaching=_count(outcome.reaches_answer for outcome in became.values()),
        wrong_used=any(row.used_later for row in wrong),
        follows=answer in stated if equations and answer is not None else None,
        gold_found=sum(_value(gold) in stated for gold in gold_values),
    )


def check_traces(
    traces: pd.DataFrame, steps: pd.DataFrame, questions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check the equations of every trace.

    Args:
        traces: question_id, sample_index, text, canonical (the final answer, or missing).
        steps: the table `steps`.
        questions: question_id, meta, choices.

    Returns:
        traces: question_id, sample_index, signature, dataflow, n_checked, n_wrong, n_corrected
            (int32), n_reaching (Int32: wrong ones that the answer comes from; missing where there
            are wrong ones and the answer holds no number), wrong_used, follows (nullable boolean),
            n_gold_found (Int32: how many of the worked solution's values are stated; missing where
            the question has none).
        equations: the table `step_checks`: question_id, sample_index, step (Int64), start, end
            (characters of the raw text), text, operation (of the whole, such as add), stated, value
            (exact, as text; missing where it can't be known), verdict, used_later, reaches_answer
            and corrected (nullable boolean, of wrong ones; see `analysis.equations.outcomes`).
    """
    gold = {
        row.question_id: row.meta.get(GOLD) or ()
        for row in questions.itertuples()
        if isinstance(row.meta, dict)
    }
    choices = {
        question_id: list(texts)
        for question_id, texts in zip(questions["question_id"], questions["choices"], strict=True)
        if texts is not None
    }
    spans: dict[tuple[Any, Any], list[Span]] = defaultdict(list)
    for question_id, index, start, end, kind in zip(
        *(steps[name] for name in (*TRACE_KEY, "start", "end", "kind")), strict=True
    ):
        spans[question_id, index].append(Span(start, end, kind))
    rows: list[tuple[Any, ...]] = []
    equations: list[tuple[Any, ...]] = []
    for question_id, index, text, final in zip(
        *(traces[name] for name in (*TRACE_KEY, "text", "canonical")), strict=True
    ):
        golds = gold.get(question_id, ())
        answer = final if isinstance(final, str) else None
        named = choices.get(question_id, ())
        found = check_trace(text, spans[question_id, index], answer, golds, named)
        stated = [row.equation for row in found.rows]
        rows.append(
            (question_id, index, signature(stated), dataflow(stated), found.n_checked)
            + (found.n_wrong, found.n_corrected, found.n_reaching)
            + (found.wrong_used if found.rows else None, found.follows)
            + (found.gold_found if golds else None,)
        )
        equations += [
            (question_id, index, row.step, row.equation.start, row.equation.end, row.equation.text)
            + (row.equation.expression.name, str(row.equation.stated))
            + (None if row.value is None else str(row.value), row.verdict, row.used_later)
            + (row.reaches_answer, row.corrected)
            for row in found.rows
        ]
    dtypes = {
        **dict.fromkeys(["signature", "dataflow"], "str"),
        **dict.fromkeys(["n_checked", "n_wrong", "n_corrected"], "int32"),
        "n_reaching": "Int32",
        **dict.fromkeys(["wrong_used", "follows"], "boolean"),
        "n_gold_found": "Int32",
    }
    frame = pd.DataFrame(rows, columns=[*TRACE_KEY, *dtypes]).astype(dtypes)
    names = [*TRACE_KEY, "step", "start", "end", "text", "operation", "stated", "value", "verdict"]
    kinds = dict.fromkeys(["text", "operation", "stated", "value", "verdict"], "str")
    marks = {"used_later": "bool", "reaches_answer": "boolean", "corrected": "boolean"}
    checked = pd.DataFrame(equations, columns=[*names, *marks])
    return frame, checked.astype({**kinds, "step": "Int64", **marks})


def _value(stated: object) -> Fraction | None:
    """A number from its canonical form; None for what is none."""
    return None if stated is None else read_number(find_number(str(stated)))


def _numbers(final: str | None, choices: Sequence[str]) -> set[Fraction]:
    """The numbers of a final answer, or of the choice that it names."""
    if final is None:
        return set()
    place = LETTERS.find(final) if len(final) == 1 else -1
    stated = choices[place] if 0 <= place < len(choices) else final
    return {value for match in numbers_in(stated) if (value := read_number(match)) is not None}


def _count(marked: Iterable[bool | None]) -> int | None:
    """How many are true; None where one is not known."""
    known = list(marked)
    return None if None in known else sum(map(bool, known))


def _step_at(steps: Sequence[Span], place: int) -> int | None:
    index = bisect_right(steps, place, key=lambda step: step.start) - 1
    return index if index >= 0 and place < steps[index].end else None
