"""What OpenAI-style APIs answer: bodies of chat completions, completions and responses.

    {"object": "chat.completion", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "It is 12."}}]}
    {"object": "response", "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Five and seven ..."}]},
        {"type": "message", "content": [{"type": "output_text", "text": "It is 12."}]}]}

The choices of a completion are samples; a response is one. A response that is `incomplete` ended
for the reason in its `incomplete_details`. Follows openai-python 3.52.0 (types/chat,
types/completion_choice.py, types/responses) and what vLLM 0.32 adds: `token_ids` of a choice,
`prompt_token_ids` of the body, and `reasoning` of a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cot.importers import chat
from cot.importers import fields as check
from cot.importers.fields import BadRecordError, Record, Rejected
from cot.types import Completion, Message, Question

__all__ = ["asked", "read_records"]

UNFINISHED = ("failed", "in_progress", "queued")
"""States of a response that is none, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """One sample of a body."""

    index: Any
    """Its own index among the body's samples, not checked."""
    completion: Completion
    """What the model wrote."""
    reason: Any
    """Why it ended, as the body says it."""
    notes: list[str] = field(default_factory=list)
    """What was left out of it."""


def asked(body: Mapping[str, Any]) -> tuple[str, str | tuple[Message, ...] | None]:
    """(question, prompt) of a request's body: what the user said last, and the prompt where it is
    only text."""
    given = body.get("messages", body.get("input"))
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if isinstance(given, list):
        before = body.get("instructions")
        system = [{"role": "system", "content": before}] if isinstance(before, str) else []
        return chat.last_user(given), chat.plain_prompt([*system, *given])
    if not isinstance(body.get("prompt"), str):
        raise BadRecordError("body has neither messages nor a prompt or input that is a string")
    return body["prompt"], body["prompt"]


def read_records(
    place: str,
    body: Mapping[str, Any],
    *,
    question: Question,
    prompt: str | tuple[Message, ...] | None,
    index: int | None = None,
    first: int = 0,
    meta: Mapping[str, Any] | None = None,
) -> Iterator[Record | Rejected]:
    """Each sample of a body, checked.

    Args:
        place: where the body stands in its file.
        index: the sample that it is, where that is known otherwise.
        first: `sample_index` of its first sample, where `index` is None.
        meta: what is kept of each.

    Raises:
        BadRecordError: the body holds no samples.
    """
    model = {"model": body["model"]} if isinstance(body.get("model"), str) else {}
    is_response = isinstance(body.get("output"), list)
    choices = [body] if is_response else body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BadRecordError(
            "the body has no choices and no output: completions and responses are read"
        )
    for position, choice in enumerate(choices):
        try:
            one = _response(body) if is_response else _choice(position, choice)
            own = check.sample_index(one.index)
            ids = body.get("prompt_token_ids")
            yield check.make_record(
                place=place,
                question=question,
                index=first + own if index is None else index,
                prompt=prompt,
                prompt_ids=None if prompt is None else check.token_ids(ids),
                completion=one.completion,
                meta={**(meta or {}), **model},
                ended=one.reason,
                notes=one.notes,
            )
        except BadRecordError as error:
            where = "output" if is_response else f"choices[{position}]"
            yield Rejected(place=place, reason=f"{where}: {error}")


def _choice(position: int, choice: Any) -> _Answered:
    if not isinstance(choice, dict):
        raise BadRecordError("not an object")
    logprobs = choice.get("logprobs")
    if "message" not in choice and "text" in choice:
        said = chat.Said(reasoning="", text=check.string(choice, "text"))
        values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
        if isinstance(values, list):
            logprobs = {"content": [{"logprob": value} for value in values]}
    else:
        said = chat.reply(choice.get("message"))
    notes: list[str] = []
    return _Answered(
        index=choice.get("index", position),
        completion=chat.completion(
            said,
            choice.get("finish_reason"),
            logprobs,
            notes,
            token_ids=choice.get("token_ids"),
        ),
        reason=choice.get("finish_reason"),
        notes=notes,
    )


def _response(body: Mapping[str, Any]) -> _Answered:
    status = body.get("status")
    if status in UNFINISHED or body.get("error"):
        error = body.get("error")
        message = error.get("message") if isinstance(error, dict) else error
        raise BadRecordError(f"the response is {status!r}: {message!r}")
    thought, said, left_out, tokens = [], [], [], []
    for item in body["output"]:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "reasoning":
            thought.append(chat.read_parts([item]).reasoning)
        elif kind == "message":
            parts = chat.read_parts(item.get("content") or "")
            thought.append(parts.reasoning)
            said.append(parts.text)
            left_out.extend(parts.left_out)
            tokens.append(_logprobs(item.get("content")))
        else:
            left_out.append(f"items of type {str(kind)[:40]!r}")
    details = body.get("incomplete_details")
    reason = (details.get("reason") if isinstance(details, dict) else None) or status
    notes: list[str] = []
    known = bool(tokens) and all(each is not None for each in tokens)
    return _Answered(
        index=0,
        completion=chat.completion(
            chat.Said(
                reasoning="\n".join(filter(None, thought)),
                text="\n".join(said),
                left_out=left_out,
            ),
            reason,
            {"content": [token for each in tokens for token in each or ()]} if known else None,
            notes,
        ),
        reason=reason,
        notes=notes,
    )


def _logprobs(content: Any) -> list[Any] | None:
    """Tokens of a message with their log-probabilities, where each of its parts has them."""
    parts = content if isinstance(content, list) else []
    lists = [part.get("logprobs") for part in parts]
    known = lists and all(isinstance(each, list) and each for each in lists)
    return [token for each in lists for token in each] if known else None
