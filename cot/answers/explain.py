"""What was extracted from where: each trace's answer to one question, in its context."""

from __future__ import annotations

import difflib
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cot.answers.table import read_questions
from cot.errors import InputError
from cot.store.run import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explanation", "explain_answers"]

log = logging.getLogger("cot")

ELSEWHERE = ("given", "verifier")
"""Patterns of answers that were not read from the text."""
SHOWN = ("pattern", "status", "text", "canonical")
"""What is told of a candidate."""
AROUND = 30
"""Characters of context on either side of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How one question's answers were read."""

    question_id: str
    """The question."""
    format: str
    """The format in which its answers were read."""
    gold: str | None
    """The reference answer as given, or None."""
    gold_canonical: str | None
    """Its canonical form; None where there is none, or it is not understood."""
    traces: list[dict[str, Any]]
    """One a trace: sample_index, status, pattern, text, canonical, class, correct; context: the
    answer in ⟦brackets⟧ with what stands around it, or the trace's end where it has none; and
    candidates: each place that may be the answer (pattern, status, text, canonical), and `why` it
    was chosen or not; none where the answer came with the trace or from a verifier."""

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def explain_answers(run: Run, question_id: str, table: pd.DataFrame, format: str) -> Explanation:
    """How the answers to a question were read.

    Args:
        table: the table `answers`.
        format: the one that the table was made with.

    Raises:
        InputError: no such question (the message names those with similar ids).
    """
    questions = run.questions().set_index("question_id")
    if question_id not in questions.index:
        close = difflib.get_close_matches(question_id, list(questions.index), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "see cot show"
        raise InputError(f"{run.path} has no question {question_id!r}: {hint}")
    reading = read_questions(run, format)[question_id]
    rows = table[table["question_id"] == question_id].astype(object)
    traces = run.traces(["text", "finish_reason"])
    traces = traces[traces["question_id"] == question_id].set_index("sample_index")
    texts, reasons = traces["text"], traces["finish_reason"]
    gold = questions.loc[question_id, "gold"]
    return Explanation(
        question_id=question_id,
        format=reading.format,
        gold=gold if isinstance(gold, str) else None,
        gold_canonical=reading.gold,
        traces=[
            {
                "sample_index": row["sample_index"],
                **{
                    name: _or_none(row[name]) for name in ("status", "pattern", "text", "canonical")
                },
                "class": _or_none(row["answer"]),
                "correct": _or_none(row["correct"]),
                "context": _context(texts[row["sample_index"]], row["start"], row["end"]),
                "candidates": []
                if row["pattern"] in ELSEWHERE
                else [
                    {
                        **{name: getattr(each.answer, name) for name in SHOWN},
                        "why": each.why,
                    }
                    for each in reading.candidates(
                        texts[row["sample_index"]], reasons[row["sample_index"]]
                    )
                ],
            }
            for row in rows.to_dict("records")
        ],
    )


def _context(text: str, start: Any, end: Any) -> str:
    start, end = _or_none(start), _or_none(end)
    if start is None or end is None:
        return text[-2 * AROUND :]
    return f"{text[max(0, start - AROUND) : start]}⟦{text[start:end]}⟧{text[end : end + AROUND]}"


def _or_none(value: Any) -> Any:
    import pandas as pd

    return None if value is None or value is pd.NA or value != value else value
