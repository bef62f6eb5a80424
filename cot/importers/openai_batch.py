"""Output of OpenAI-style batches (`/v1/chat/completions`, `/v1/completions`, `/v1/responses`), of
vLLM's `run-batch` too.

    {"id": "batch_req_1", "custom_id": "q1", "error": null, "response": {"status_code": 200, "body":
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "It is 12."},
                      "finish_reason": "stop"}]}}}

What a body holds is said in `cot.importers.openai_body`. The output holds no questions: they come
from the batch's input file (`questions`):

    {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "gold": "12",
     "body": {"model": "...", "messages": [{"role": "user", "content": "5 + 7?"}], "n": 2}}

The question is the last message of the user; `gold` (here or in `body.metadata`), an answer or a
list of those that count as right, and `choices` are optional. The n choices of a request are the
samples of the question `custom_id`. Where every id of the input ends in a number after one of
`- _ # / :`, and those that share what stands before it (`q1-0`, `q1-1`) also share their prompt,
they are one question's samples by that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.importers import fields as check
from cot.importers import openai_body
from cot.importers.fields import BadRecordError, Record, Rejected
from cot.importers.lines import read_lines
from cot.types import Message, Question

__all__ = ["read_openai_batch"]

NUMBERED = re.compile(r"(.+)[-_#/:](\d{1,9})", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One request of the input file."""

    question: Question
    """What it asks."""
    prompt: str | tuple[Message, ...] | None
    """The prompt, where it is only text."""
    index: int | None = None
    """The sample that it asks for, where its id says so."""


def read_openai_batch(path: Path, *, questions: Path | None) -> Iterator[Record | Rejected]:
    """Each sample of each line, checked.

    Raises:
        InputError: no `questions`, or a bad line in them.
    """
    if questions is None:
        raise InputError(
            f"{path}: a batch's output holds no questions: name its input file (--questions)"
        )
    asked = _asked(questions)

    def read(place: str, fields: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        name = check.string(fields, "custom_id") if "custom_id" in fields else None
        if name not in asked:
            raise BadRecordError(f"custom_id {name!r} is not in {questions}")
        body = _body(fields)
        if asked[name].index is not None and len(body.get("choices") or ()) > 1:
            raise BadRecordError(f"custom_id {name!r} names one sample of several")
        yield from openai_body.read_records(
            place,
            body,
            question=asked[name].question,
            prompt=asked[name].prompt,
            index=asked[name].index,
        )

    return read_lines(path, read)


def _asked(path: Path) -> dict[str, _Asked]:
    """custom_id to what it asks."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    asked: dict[str, _Asked] = {}

    def read(place: str, fields: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        name = check.string(fields, "custom_id") if "custom_id" in fields else None
        if name is None or not isinstance(fields.get("body"), dict):
            there = check.listed(fields.keys())
            raise BadRecordError(f"not a batch request: no custom_id and body; it has: {there}")
        if name in asked:
            raise BadRecordError(f"custom_id {name!r} stands here a second time")
        asked[name] = _request(name, fields)
        return iter(())

    for bad in read_lines(path, read):
        if isinstance(bad, Rejected):
            raise InputError(f"{path}:{bad.place}: {bad.reason}")
    return _numbered(asked)


def _request(name: str, fields: Mapping[str, Any]) -> _Asked:
    body = fields["body"]
    text, prompt = openai_body.asked(body)
    metadata = body.get("metadata")
    beside = metadata.get("gold") if isinstance(metadata, dict) else None
    gold, several = check.targets(fields.get("gold", beside))
    question = Question(
        id=name,
        text=text,
        gold=gold,
        choices=check.choices(fields.get("choices")),
        dataset="imported",
        meta=several,
    )
    return _Asked(question=question, prompt=prompt)


def _numbered(asked: dict[str, _Asked]) -> dict[str, _Asked]:
    """Requests as samples of one question, where their ids and prompts say so."""
    first: dict[str, _Asked] = {}
    samples: dict[str, _Asked] = {}
    for name, each in asked.items():
        match = NUMBERED.fullmatch(name)
        if not match:
            return asked
        one = replace(each, question=replace(each.question, id=match[1]), index=int(match[2]))
        same = first.setdefault(match[1], one)
        if (same.question, same.prompt) != (one.question, one.prompt):
            return asked
        samples[name] = one
    return samples


def _body(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request's answer, or BadRecordError where it failed."""
    response = fields.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code", 200) if isinstance(response, dict) else None
    failure = fields.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if failure or status != 200:
        message = failure.get("message") if isinstance(failure, dict) else failure
        raise BadRecordError(f"the request failed (status {status!r}): {message!r}")
    if not isinstance(body, dict):
        raise BadRecordError("response.body is not an object")
    return body
