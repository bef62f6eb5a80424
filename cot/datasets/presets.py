"""How well-known datasets lay out a question.

| preset | hub id | columns |
|---|---|---|
| `gsm8k` | openai/gsm8k (main) | question, answer (worked solution, `#### 18`) |
| `svamp` | ChilleD/SVAMP | ID, Body, Question, Answer, Equation, Type |
| `aqua` | deepmind/aqua_rat | question, options (`A)36`), correct, rationale |

A preset turns a row into a `Parsed`; columns that it does not use are kept in the question's meta.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cot.datasets import cells
from cot.datasets.rows import Row
from cot.errors import InputError

__all__ = ["HUB_PRESETS", "PRESETS", "SUBSETS", "Parsed", "recognise"]


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
