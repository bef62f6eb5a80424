"""Completions and responses of OpenAI-style APIs, saved as they came, with what was asked.

    {"messages": [{"role": "user", "content": "5 + 7?"}], "gold": 12, "object": "chat.completion",
     "choices": [{"index": 0, "message": {"content": "It is 12."}, "finish_reason": "stop"}]}
    {"request": {"messages": [...], "n": 4}, "response": {"object": "chat.completion", ...}}

What a body holds is said in `cot.importers.openai_body`. It does not say what was asked: that
stands beside it (`messages`, `prompt`, `input`, or a `question` as text), or in `request`. Optional
beside them: question_id (else a hash of the question) and gold. The samples of a question are
counted in the order of the file. Other fields are kept in the traces' meta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.importers import fields as check
from cot.importers import openai_body
from cot.importers.fields import BadRecordError, Record, Rejected
from cot.importers.lines import read_lines
from cot.types import Question

__all__ = ["read_openai_saved"]

ASKED = ("messages", "prompt", "input")
READ = (
    *(*ASKED, "instructions", "request", "response", "question", "question_id", "gold"),
    *("choices", "output", "object", "model", "status", "error", "incomplete_details"),
)
"""Fields that are read; the others are kept."""


def read_openai_saved(path: Path) -> Iterator[Record | Rejected]:
    """Each sample of each record, checked."""
    counts: dict[str, int] = {}

    def read(place: str, fields: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        body = fields["response"] if isinstance(fields.get("response"), dict) else fields
        request = fields["request"] if isinstance(fields.get("request"), dict) else fields
        question, prompt = _asked(fields, request)
        first = counts.get(question.id, 0)
        choices = body.get("choices")
        counts[question.id] = first + (len(choices) if isinstance(choices, list) else 1)
        meta = {name: value for name, value in fields.items() if name not in READ}
        if "answer" in meta:
            raise BadRecordError("answer stands beside the completion: name it gold")
        yield from openai_body.read_records(
            place,
            body,
            question=question,
            prompt=prompt,
            first=first,
            meta=meta,
        )

    return read_lines(path, read)


def _asked(fields: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[Question, Any]:
    prompt = None
    if any(request.get(name) is not None for name in ASKED):
        text, prompt = openai_body.asked(request)
    elif "question" not in fields:
        raise BadRecordError(
            "it does not say what was asked: put the request's messages, its prompt or a question "
            "beside the completion"
        )
    if "question" in fields:
        text = check.string(fields, "question")
    gold, several = check.targets(fields.get("gold"))
    known = fields.get("question_id") is not None
    return Question(
        id=check.identifier(fields, "question_id") if known else check.hashed(text),
        text=text,
        gold=gold,
        dataset="imported",
        meta=several,
    ), prompt
