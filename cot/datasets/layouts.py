"""How a dataset lays out a question: as a known preset, or in columns with usual names.

| preset | hub id | columns |
|---|---|---|
| `gsm8k` | openai/gsm8k (main) | question, answer (worked solution, `#### 18`) |
| `svamp` | ChilleD/SVAMP | ID, Body, Question, Answer, Equation, Type |
| `aqua` | deepmind/aqua_rat | question, options (`A)36`), correct, rationale |

A preset turns a row into a `Parsed`; columns that it does not use are kept in the question's meta.
Without a preset, a column that was not named is found by its usual names, whatever their case: a
dataset with `Problem`, `solution` and `answer` asks the problem and takes `answer` as gold.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cot.datasets import cells
from cot.datasets.rows import Row
from cot.errors import InputError

__all__ = ["HUB_PRESETS", "PRESETS", "SUBSETS", "Columns", "Parsed", "reader", "recognise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a row says."""

    text: str
    """The question."""
    gold: str | None
    """The reference answer, a letter where there are choices; None where there is none."""
    used: frozenset[str]
    """Columns that need not be kept."""
    choices: tuple[str, ...] | None = None
    """Texts of the options, or None."""
    id: Any = None
    """The dataset's own id, or None."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What was read besides."""


def gsm8k(row: Row) -> Parsed:
    """Cobbe et al. 2021, arXiv 2110.14168: worked solutions with `<<16-3-4=9>>` annotations."""
    stated = cells.worked(cells.text(row["answer"], row.place, "answer"))
    if stated is None:
        raise InputError(f"{row.place}: column answer has no '#### ' before its final answer")
    return Parsed(
        text=cells.text(row["question"], row.place, "question"),
        gold=stated[1],
        used=frozenset({"question", "answer"}),
        meta=solution(stated[0]),
    )


def solution(annotated: str) -> dict[str, Any]:
    """A worked solution without its annotations, and the values that these state."""
    values = re.findall(r"<<[^<>]*=([^<>=]*)>>", annotated)
    numbers = [float(value) for value in values if re.fullmatch(r"-?\d*\.?\d+", value)]
    steps = [int(number) if number.is_integer() else number for number in numbers]
    kept = {"solution": re.sub(r"<<[^<>]*>>", "", annotated)}
    return {**kept, "gold_steps": steps} if len(steps) == len(values) > 0 else kept


def svamp(row: Row) -> Parsed:
    """Patel et al. 2021, arXiv 2103.07191: a story and a question about it."""
    return Parsed(
        id=row["ID"],
        text=_join(
            cells.text(row["Body"], row.place, "Body"),
            cells.text(row["Question"], row.place, "Question"),
        ),
        gold=_whole(cells.gold(row["Answer"], row.place, "Answer")),
        used=frozenset({"ID", "Body", "Question", "Answer", "question_concat"}),
    )


def _join(body: str, question: str) -> str:
    """The story, then its question; an `if` that the story leaves open takes a comma."""
    if body[-1] in ".?!":
        return f"{body} {question}"
    if re.search(r"(^|[.?!] )(If|When)\b[^.?!]*$", body):
        return f"{body}, {question[0].lower()}{question[1:]}"
    return f"{body}. {question}"


def _whole(gold: str | None) -> str | None:
    """The hub's copy writes answers as text: `51.0` is 51."""
    return gold.removesuffix(".0") if gold else gold


def aqua(row: Row) -> Parsed:
    """Ling et al. 2017, arXiv 1705.04146: algebra with five options."""
    choices = cells.options(row["options"], row.place, "options")
    if choices is None:
        raise InputError(f"{row.place}: column options is empty")
    return Parsed(
        text=cells.text(row["question"], row.place, "question"),
        choices=choices,
        gold=cells.choice(row["correct"], choices, None, row.place, "correct"),
        used=frozenset({"question", "options", "correct"}),
    )


PRESETS: dict[str, Callable[[Row], Parsed]] = {"aqua": aqua, "gsm8k": gsm8k, "svamp": svamp}
HUB_PRESETS = {"openai/gsm8k": "gsm8k", "ChilleD/SVAMP": "svamp", "deepmind/aqua_rat": "aqua"}
SUBSETS = {"openai/gsm8k": "main", "deepmind/aqua_rat": "raw"}
"""The subset of a hub dataset that has several, unless another is asked for."""
LAYOUTS = {
    "svamp": {"ID", "Body", "Question", "Answer"},
    "aqua": {"question", "options", "correct", "rationale"},
}


def recognise(row: Row) -> str | None:
    """The preset whose columns a file's first row has, or None."""
    for name, columns in LAYOUTS.items():
        if columns <= row.values.keys():
            return name
    return None


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
