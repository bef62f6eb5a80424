r"""Tables of how a reply must be read: `oracles/*.jsonl`, one case a line.

    {"text": "So \\boxed{0.5}", "format": "latex", "gold": "\\frac12", "correct": true,
     "source": "Math-Verify tests"}

The cases of one format make one run, which is read as `cot answers` reads it. A case of format
`auto` is read in the format that is chosen for its gold, and the golds of `others`, alone. Verdicts
are ours: where the peer that a case comes from expects something else, `why` says so.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.answer_table import answers as extract_answers
from cot.answers.table import read_questions
from cot.errors import InputError
from cot.store.run import Run, create_run, open_run
from cot.types import FinishReason, Question
from tests.small import trace_of

FOLDER = Path(__file__).parent / "oracles"
REFUSED = re.compile(r"question '([^']+)'")
"""How the error for a gold answer that is not of the format names its question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a table."""

    id: str
    """The file's name, the line, the format and the gold, in letters that pytest can select."""
    format: str
    """`auto`, one of FORMATS, or a regular expression."""
    source: str
    """Where the case comes from: a peer's test or thread."""
    text: str | None = None
    """The reply; None where `answer` is given, or only `chosen` is checked."""
    answer: str | None = None
    """An answer that came with the trace, and is used as it stands."""
    question: str = "What is the result?"
    """The question's text."""
    gold: str | tuple[str, ...] | None = None
    """The reference answer, or several of which any is right."""
    others: tuple[str, ...] = ()
    """Gold answers of other questions in the run, for `auto`."""
    choices: tuple[str, ...] | None = None
    """The options' texts."""
    finish_reason: FinishReason = "stop"
    """How the trace ended."""
    chosen: str | None = None
    """The format that `auto` must choose."""
    status: str | None = None
    """Expected status; None where it is not checked."""
    canonical: str | None = None
    """Expected canonical form; None where it is not checked."""
    correct: bool | None = None
    """Expected verdict; None where there is no gold."""
    why: str = ""
    """Why, where a peer expects something else or it is not obvious."""


def read_cases(folder: Path) -> list[Case]:
    cases = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            fields: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in json.loads(line).items()
            }
            gold = fields.get("gold")
            first = gold[0] if isinstance(gold, tuple) else gold
            slug = re.sub(r"\W+", "_", f"{fields['format'][:8]} {str(first)[-20:]}")
            cases.append(Case(id=f"{path.stem}-{number:03d}-{slug}", **fields))
    return cases


CASES = read_cases(FOLDER)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_reply_is_read_as_the_table_says(case: Case) -> None:
    format = chosen_formats()[case.id] if case.format == "auto" else case.format
    if case.chosen is not None:
        assert format == case.chosen, f"gold {case.gold!r} makes the format {format}"
    if case.text is None and case.answer is None:
        assert case.chosen is not None, "a case without a text must say what auto chooses"
        return
    row = readings(format)[case.id]
    read = f"{case.text or case.answer!r} against {case.gold!r} is read as {row} ({case.why})"
    assert row["correct"] is case.correct, read
    if case.status is not None:
        assert row["status"] == case.status, read
    if case.canonical is not None:
        assert row["canonical"] == case.canonical, read


@cache
def chosen_formats() -> dict[str, str]:
    """id to format, of the cases whose format is `auto`: the run that chooses has the gold of the
    case, and those of `others`."""
    chosen = {}
    for case in CASES:
        if case.format == "auto":
            others = [Question(id=gold, text=f"{gold}?", gold=gold) for gold in case.others]
            with tempfile.TemporaryDirectory() as folder:
                run = write(Path(folder), [question_of(case), *others])
                chosen[case.id] = read_questions(run, "auto")[case.id].format
    return chosen


@cache
def readings(format: str) -> dict[str, dict[str, Any]]:
    """id to how the trace was read, of the cases of one format."""
    cases = {
        case.id: case
        for case in CASES
        if (case.text is not None or case.answer is not None)
        and format == (chosen_formats()[case.id] if case.format == "auto" else case.format)
    }
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    while cases:
        with tempfile.TemporaryDirectory() as folder:
            run = write(Path(folder), [question_of(case) for case in cases.values()], cases)
            try:
                table = extract_answers(run, format)
            except InputError as error:  # one gold answer is refused: go on without it
                name = REFUSED.search(str(error))
                if name is None or name[1] not in cases:
                    raise
                found[name[1]] = {"status": str(error), "canonical": None, "correct": None}
                del cases[name[1]]
                continue
        for row in table.astype(object).to_dict("records"):
            values = {
                name: None if pd.isna(row[name]) else row[name]
                for name in ("status", "text", "canonical", "answer", "correct")
            }
            found[row["question_id"]] = values
        break
    return found


def question_of(case: Case) -> Question:
    gold, *more = case.gold if isinstance(case.gold, tuple) else (case.gold,)
    return Question(
        id=case.id,
        text=case.question,
        gold=gold,
        choices=case.choices,
        meta={"targets": more} if more else {},
    )


def write(folder: Path, questions: list[Question], cases: dict[str, Case] | None = None) -> Run:
    run = create_run(folder / "run", {"model": None})
    with run.lock():
        run.add_questions(questions)
        run.add_prompts({"0" * 64: ("Q: How many?\nA:", None)})
        with run.writer() as writer:
            for name, case in (cases or {}).items():
                trace = trace_of(name, 0, case.text or "")
                completion = replace(trace.completion, finish_reason=case.finish_reason)
                meta = {} if case.answer is None else {"answer": case.answer}
                writer.add(replace(trace, completion=completion, meta=meta))
    return open_run(run.path)
