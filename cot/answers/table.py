"""The tables `answers` and `greedy_answers`: one row a trace, its answer, right or wrong."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cot.answers.canonical import FORMATS, canonical, canonical_gold
from cot.answers.extract import extract
from cot.errors import InputError
from cot.run import Run
from cot.types import Answer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["choose_format", "extract_answers"]

log = logging.getLogger("cot")


def extract_answers(run: Run, format: str = "auto") -> pd.DataFrame:
    """Read every trace's answer; writes and returns the table `answers`.

    Columns: question_id, sample_index; text (as stated), canonical, answer (the form that stands
    for its equivalence class; missing unless `status` is `ok`), status, start and end (Int64 span
    in the raw text), correct (nullable boolean: missing where the question has no gold).

    Greedy traces, where there are any, go to `greedy_answers`. An imported trace's own answer is
    used as it stands.

    Args:
        format: `auto` (from choices and gold, see `choose_format`), or one of `FORMATS`.

    Raises:
        InputError: an unknown format, or gold answers that the format cannot read.
    """
    if format not in ("auto", *FORMATS):
        raise InputError(f"unknown format {format!r}: choose from auto, {', '.join(FORMATS)}")
    questions = run.questions()
    chosen = choose_format(questions) if format == "auto" else format
    asked = _golds(questions, chosen, strict=format != "auto")
    columns = ["text", "finish_reason", "meta"]
    answers = _read_all(run.traces(columns), asked)
    parameters = {"format": format}
    inputs = ["traces", "questions"]
    run.write_table("answers", answers, command="answers", parameters=parameters, inputs=inputs)
    greedy = run.samples("greedy")
    if len(greedy):
        run.write_table(
            "greedy_answers",
            _read_all(greedy, asked),
            command="answers",
            parameters=parameters,
            inputs=["samples/greedy", "questions"],
        )
    return answers


def choose_format(questions: pd.DataFrame) -> str:
    """`choice` where a question has choices; else what every gold answer is: `number`, `yesno` or
    `text`; `number` where there is no gold. One format serves the whole run, so that a question's
    own gold does not decide how its traces are read."""
    if any(choices is not None for choices in questions["choices"]):
        return "choice"
    golds = questions["gold"].dropna()
    for format in ("number", "yesno"):
        if all(_is_wholly(gold, format) for gold in golds):
            return format
    return "text"


def _is_wholly(gold: str, format: str) -> bool:
    """Whether a gold answer is a number (units aside) or a yes or no, rather than holding one."""
    stated = gold.rpartition("####")[2].strip()
    if format == "number":
        return stated[:1] in "+-−$€£¥.0123456789" and canonical(stated, format) is not None
    return stated.lower().strip(".") in ("yes", "no", "true", "false")


def _golds(
    questions: pd.DataFrame, format: str, strict: bool
) -> dict[str, tuple[str, Sequence[str] | None, str | None]]:
    """question_id to (format, choices, canonical gold or None)."""
    asked = {}
    for row in questions.itertuples():
        own = "text" if format == "choice" and row.choices is None else format
        gold = None
        if isinstance(row.gold, str):
            gold = canonical_gold(row.gold, own, row.choices)
            if gold is None and strict:
                raise InputError(
                    f"question {row.question_id!r}: gold {row.gold!r} is not of format {own!r}; "
                    "give another --format"
                )
            if gold is None:
                log.warning("question %r: gold %r is not understood", row.question_id, row.gold)
        asked[row.question_id] = (own, row.choices, gold)
    return asked


def _read_all(
    traces: pd.DataFrame, asked: dict[str, tuple[str, Sequence[str] | None, str | None]]
) -> pd.DataFrame:
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for question_id, sample_index, text, finish_reason, meta in zip(
        *(
            traces[name]
            for name in ("question_id", "sample_index", "text", "finish_reason", "meta")
        ),
        strict=True,
    ):
        format, choices, gold = asked[question_id]
        if meta and "answer" in meta:
            answer = _given(meta["answer"], format, choices)
        else:
            answer = extract(text, format, choices, finish_reason)
        correct = None if gold is None else answer.canonical == gold
        rows.append(
            (question_id, sample_index, answer.text, answer.canonical, answer.canonical)
            + (answer.status, answer.start, answer.end, correct)
        )
    names = ["question_id", "sample_index", "text", "canonical", "answer", "status"]
    frame = pd.DataFrame(rows, columns=[*names, "start", "end", "correct"])
    kinds = {"sample_index": "int32", "start": "Int64", "end": "Int64", "correct": "boolean"}
    return frame.astype({**kinds, **dict.fromkeys(["text", "canonical", "answer"], "str")})


def _given(answer: Any, format: str, choices: Sequence[str] | None) -> Answer:
    """An answer that came with an imported trace, used as it stands."""
    if answer is None:
        return Answer(status="missing")
    form = canonical(str(answer), format, choices) or canonical(str(answer), "text")
    return Answer(status="ok", text=str(answer), canonical=form or str(answer))
