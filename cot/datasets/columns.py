"""Rows of any dataset: which column is the question, the answer, the choices and the id.

A column that was not named is found by its usual names, whatever their case: a dataset with
`Problem`, `solution` and `answer` asks the problem and takes `answer` as gold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cot.datasets import cells
from cot.datasets.presets import Parsed, solution
from cot.datasets.rows import Row
from cot.errors import InputError

__all__ = ["Columns", "reader"]

USUAL = {
    "question": ("question", "problem", "input", "prompt", "query", "text"),
    "answer": ("answer", "gold", "target", "answerKey", "label", "output", "solution"),
    "choices": ("choices", "options"),
    "id": ("id", "question_id", "qid", "uid"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns as asked for; None is found by its usual names."""

    question: str | None = None
    """What is asked."""
    answer: str | None = None
    """The gold answer."""
    choices: str | None = None
    """The options, a list."""
    id: str | None = None
    """The question's id."""


def reader(rows: Sequence[Row], asked: Columns) -> Callable[[Row], Parsed]:
    """The function that reads each of these rows.

    Raises:
        InputError: a column asked for is not there, or none looks like a question.
    """
    there = list(dict.fromkeys(column for row in rows for column in row.values))
    where = rows[0].place
    question = _find("question", asked.question, there, where)
    if question is None:
        raise InputError(
            f"{where}: no column looks like a question: give --question-column, "
            f"one of {', '.join(there)}"
        )
    answer = _find("answer", asked.answer, there, where)
    if answer is None:
        logging.getLogger("cot").info(
            "no column looks like an answer, so nothing is scored; --answer-column takes one of %s",
            ", ".join(there),
        )
    choices = _find("choices", asked.choices, there, where)
    identity = _find("id", asked.id, there, where)

    def read(row: Row) -> Parsed:
        given = row.values.get(answer) if answer else None
        listed = row.values.get(choices) if choices else None
        texts = cells.options(listed, row.place, choices or "")
        labels = listed.get("label") if isinstance(listed, dict) else None
        stated = cells.worked(given) if isinstance(given, str) else None
        return Parsed(
            text=cells.text(row[question], row.place, question),
            gold=cells.choice(given, texts, labels, row.place, answer or "")
            if texts
            else cells.gold(given, row.place, answer or ""),
            choices=texts,
            id=row.values.get(identity) if identity else None,
            used=frozenset(name for name in (question, answer, choices, identity) if name),
            meta=solution(stated[0]) if stated else {},
        )

    return read


def _find(role: str, asked: str | None, there: Iterable[str], where: str) -> str | None:
    if asked is not None:
        if asked in there:
            return asked
        raise InputError(
            f"{where}: there is no column {asked!r} for --{role}-column; "
            f"there are: {', '.join(there)}"
        )
    lower = {column.lower(): column for column in there}
    return next((lower[name.lower()] for name in USUAL[role] if name.lower() in lower), None)
