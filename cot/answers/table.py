"""The tables `answers` and `greedy_answers`: one row a trace, its answer, right or wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cot.answers.canonical import canonical, canonical_gold
from cot.answers.equivalence import Classes
from cot.answers.extract import extract
from cot.answers.formats import MATCH_SECONDS, check_format
from cot.answers.judge import Judge
from cot.answers.number import NUMBER, find_number
from cot.errors import InputError
from cot.progress import track
from cot.run import Run
from cot.types import Answer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Asked", "choose_format", "extract_answers", "own_format", "read_questions"]

log = logging.getLogger("cot")

BLOCK = 10_000
"""Traces that are held as Python strings at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a question's answers are read and graded by."""

    format: str
    """One of FORMATS, or a regular expression."""
    choices: Sequence[str] | None
    """The options' texts, for `choice`."""
    gold: str | None
    """Canonical form of the reference answer; None where there is none, or it is not understood."""


def extract_answers(run: Run, format: str = "auto") -> pd.DataFrame:
    """Read every trace's answer; writes and returns the table `answers`.

    Columns: question_id, sample_index; text (as stated), canonical, answer (the form that stands
    for its equivalence class; missing unless `status` is `ok`), status, start and end (Int64 span
    in the raw text), correct (nullable boolean: missing where the question has no gold), surplus
    (in an adaptive run, a trace that doesn't vote: see `cot.stopping.online`).

    Greedy traces, where there are any, go to `greedy_answers`; they and gold are placed in the
    classes of the traces. An imported trace's own answer is used as it stands.

    Args:
        format: `auto` (from choices and gold, see `choose_format`), one of `FORMATS`, or a regular
            expression (see `cot.answers.extract`).

    Raises:
        InputError: an unknown format, or gold answers that the format cannot read.
    """
    asked = read_questions(run, format)
    answers = _read(run.traces(["text", "finish_reason", "meta"]), asked)
    greedy = _read(run.samples("greedy"), asked)
    _grade(answers, greedy, asked)
    answers["surplus"] = _surplus(run, answers, asked)
    for name, frame, source in (
        ("answers", answers, "traces"),
        ("greedy_answers", greedy, "samples/greedy"),
    ):
        if name == "answers" or len(frame):
            run.write_table(
                name,
                frame,
                command="answers",
                parameters={"format": format},
                inputs=[source, "questions"],
            )
    return answers


def choose_format(questions: pd.DataFrame) -> str:
    """`choice` where a question has choices; else what every gold answer is: `number`, `yesno`;
    `latex` where one holds a LaTeX command or a power; else `text`; `number` where there is no
    gold. One format serves the whole run, so that a question's own gold does not decide how its
    traces are read."""
    if any(choices is not None for choices in questions["choices"]):
        return "choice"
    golds = [gold.rpartition("####")[2].strip() for gold in questions["gold"].dropna()]
    if all(_is_number(gold) for gold in golds):
        return "number"
    if all(gold.lower().strip(".") in ("yes", "no", "true", "false") for gold in golds):
        return "yesno"
    return "latex" if any(re.search(r"\\[A-Za-z]|\^", gold) for gold in golds) else "text"


def read_questions(run: Run, format: str) -> dict[str, Asked]:
    """question_id to what its answers are read and graded by."""
    questions = run.questions()
    if format == "auto":
        chosen = choose_format(questions)
    else:
        check_format(format)
        chosen = format
    asked = {}
    for row in questions.itertuples():
        own = own_format(chosen, row.choices)
        gold = None
        if isinstance(row.gold, str):
            gold = canonical_gold(row.gold, own, row.choices)
            if gold is None and format != "auto":
                raise InputError(
                    f"question {row.question_id!r}: gold {row.gold!r} is not of format {own!r}; "
                    "give another --format"
                )
            if gold is None:
                log.warning("question %r: gold %r is not understood", row.question_id, row.gold)
        asked[row.question_id] = Asked(format=own, choices=row.choices, gold=gold)
    return asked


def own_format(format: str, choices: Sequence[str] | None) -> str:
    """The format of one question in a run of this format."""
    return "text" if format == "choice" and choices is None else format


def _is_number(gold: str) -> bool:
    """Whether a gold answer is a number (units aside), rather than holding one."""
    match = NUMBER.match(gold)
    return (
        match is not None
        and find_number(gold) is not None
        and re.search(r"[\d+*/^=<>()\[\]{}\\]", gold[match.end() :]) is None
    )


def _read(traces: pd.DataFrame, asked: Mapping[str, Asked]) -> pd.DataFrame:
    """The table before answers are compared: `answer` is the canonical form, nothing is correct."""
    import pandas as pd

    blocks = []
    with track("reading", total=len(traces), unit="traces") as advance:
        for start in range(0, max(1, len(traces)), BLOCK):
            block = traces.iloc[start : start + BLOCK]
            blocks.append(_read_block(block, asked))
            advance(len(block))
    frame = pd.concat(blocks, ignore_index=True)
    late = int(((frame["status"] == "unparsed") & frame["text"].isna()).sum())
    if late:
        log.warning(
            "the expression took more than %g s on %d traces, which count as unparsed: make it "
            "simpler",
            MATCH_SECONDS,
            late,
        )
    return frame


def _read_block(block: pd.DataFrame, asked: Mapping[str, Asked]) -> pd.DataFrame:
    import pandas as pd

    columns = (block[name].tolist() for name in ("question_id", "text", "finish_reason", "meta"))
    answers = []
    for question_id, text, finish_reason, meta in zip(*columns, strict=True):
        each = asked[question_id]
        if meta and "answer" in meta:
            answers.append(_given(meta["answer"], each.format, each.choices))
        else:
            answers.append(extract(text, each.format, each.choices, finish_reason))
    form = pd.array([answer.canonical for answer in answers], dtype="str")
    return pd.DataFrame(
        {
            "question_id": block["question_id"].array,
            "sample_index": block["sample_index"].array,
            "text": pd.array([answer.text for answer in answers], dtype="str"),
            "canonical": form,
            "answer": form,
            "status": pd.array([answer.status for answer in answers], dtype="str"),
            "start": pd.array([answer.start for answer in answers], dtype="Int64"),
            "end": pd.array([answer.end for answer in answers], dtype="Int64"),
            "correct": pd.array([None] * len(answers), dtype="boolean"),
        }
    )


def _given(answer: Any, format: str, choices: Sequence[str] | None) -> Answer:
    """An answer that came with an imported trace, used as it stands."""
    if answer is None:
        return Answer(status="missing")
    form = canonical(str(answer), format, choices) or canonical(str(answer), "text")
    return Answer(status="ok", text=str(answer), canonical=form or str(answer))


def _grade(answers: pd.DataFrame, greedy: pd.DataFrame, asked: Mapping[str, Asked]) -> None:
    """Fill in `answer`, where forms that differ may be equal, and `correct`."""
    golds = {name: each.gold for name, each in asked.items()}
    with Judge() as judge:
        classes = {
            name: Classes(judge.equal) for name, each in asked.items() if each.format == "latex"
        }
        for frame, place in ((answers, Classes.join), (greedy, Classes.find)):
            rows = frame["question_id"].isin(list(classes)) & frame["canonical"].notna()
            named = []
            with track("comparing", total=int(rows.sum()), unit="answers") as advance:
                for name, form in frame.loc[rows, ["question_id", "canonical"]].to_numpy():
                    named.append(place(classes[name], form))
                    advance(1)
            frame.loc[rows, "answer"] = named
        for name, gold in golds.items():
            if name in classes and gold is not None:
                golds[name] = classes[name].find(gold)
    for frame in (answers, greedy):
        gold = frame["question_id"].map(golds)
        frame["correct"] = (frame["answer"] == gold).astype("boolean").mask(gold.isna())


def _surplus(run: Run, answers: pd.DataFrame, asked: Mapping[str, Asked]) -> Any:
    """What an adaptive run's rule left out, judged by the answers as the sampler read them."""
    adaptive = run.identity.get("adaptive")
    if adaptive is None:
        return False
    from cot.stopping.online import mark_surplus

    then = {
        name: Asked(format=format, choices=each.choices, gold=None)
        for name, each in asked.items()
        for format in [own_format(adaptive["format"], each.choices)]
    }
    if any(then[name].format != each.format for name, each in asked.items()):
        answers = _read(run.traces(["text", "finish_reason", "meta"]), then)
    return mark_surplus(adaptive["rule"], answers)
