"""Output of OpenAI-style batches (`/v1/chat/completions`, `/v1/completions`; vLLM's `run-batch`).

    {"id": "batch_req_1", "custom_id": "q1", "error": null, "response": {"status_code": 200, "body":
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "It is 12."},
                      "finish_reason": "stop"}]}}}

The output holds no questions: they come from the batch's input file (`questions`):

    {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "gold": "12",
     "body": {"model": "...", "messages": [{"role": "user", "content": "5 + 7?"}], "n": 2}}

The question is the last message of the user; `gold` (here or in `body.metadata`) and `choices` are
optional. The n choices of a request are the samples of the question `custom_id`. Where every id of
the input ends in a number after one of `- _ # / :`, and those that share what stands before it
(`q1-0`, `q1-1`) also share their prompt, they are one question's samples by that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.importers import chat
from cot.importers import fields as check
from cot.importers.lines import read_lines
from cot.importers.record import BadRecordError, Record, Rejected
from cot.types import Completion, Message, Question

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
    """Each choice of each line, checked.

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
        if asked[name].index is not None and len(body["choices"]) > 1:
            raise BadRecordError(f"custom_id {name!r} names one sample of several")
        for position, choice in enumerate(body["choices"]):
            try:
                yield _sample(place, asked[name], position, choice, body)
            except BadRecordError as error:
                yield Rejected(place=place, reason=f"choices[{position}]: {error}")

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
    prompt: str | tuple[Message, ...] | None
    if isinstance(body.get("messages"), list):
        text = chat.last_user(body["messages"])
        prompt = chat.plain_prompt(body["messages"])
    elif isinstance(body.get("prompt"), str):
        text = prompt = body["prompt"]
    else:
        raise BadRecordError("body has neither messages nor a prompt that is a string")
    metadata = body.get("metadata")
    beside = metadata.get("gold") if isinstance(metadata, dict) else None
    question = Question(
        id=name,
        text=text,
        gold=check.gold(fields.get("gold", beside)),
        choices=check.choices(fields.get("choices")),
        dataset="imported",
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
        same = first.setdefault(match[1], each)
        if _content(same) != _content(each):
            return asked
        question = Question(
            id=match[1],
            text=each.question.text,
            gold=each.question.gold,
            choices=each.question.choices,
            dataset=each.question.dataset,
        )
        samples[name] = _Asked(question=question, prompt=each.prompt, index=int(match[2]))
    return samples


def _content(asked: _Asked) -> tuple[Any, ...]:
    return (asked.question.text, asked.question.gold, asked.question.choices, asked.prompt)


def _body(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request's answer, or BadRecordError where it failed."""
    response = fields.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code", 200) if isinstance(response, dict) else None
    failure = fields.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if failure or status != 200:
        message = failure.get("message") if isinstance(failure, dict) else failure
        raise BadRecordError(f"the request failed (status {status!r}): {message!r}")
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        raise BadRecordError("response.body has no choices: only (chat) completions are read")
    assert isinstance(body, dict)
    return body


def _sample(place: str, asked: _Asked, position: int, choice: Any, body: Any) -> Record:
    if not isinstance(choice, dict):
        raise BadRecordError("not an object")
    index = asked.index if asked.index is not None else choice.get("index", position)
    meta = {"model": body["model"]} if isinstance(body.get("model"), str) else {}
    reason = choice.get("finish_reason")
    return check.make_record(
        place=place,
        question=asked.question,
        index=check.sample_index(index),
        prompt=asked.prompt,
        completion=_completion(choice),
        meta=meta if reason in (None, "stop", "length") else {**meta, "finish_reason": reason},
    )


def _completion(choice: Mapping[str, Any]) -> Completion:
    logprobs = choice.get("logprobs")
    if "message" not in choice and "text" in choice:
        values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
        if isinstance(values, list):
            logprobs = {"content": [{"logprob": value} for value in values]}
        text = check.string(choice, "text")
    else:
        text = chat.full_text(choice.get("message"))
    return chat.completion(text, choice.get("finish_reason"), logprobs)
