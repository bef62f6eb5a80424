"""Chat messages as OpenAI-style APIs and Inspect write them.

    {"role": "user", "content": "5 + 7?"}
    {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "Seven and five ..."},
                                      {"type": "text", "text": "The answer is 12."}]}

Reasoning stands in `<think>` before the text, where the answer extractor knows it for reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cot.importers import fields as check
from cot.importers.record import BadRecordError
from cot.types import Completion, Message

__all__ = ["completion", "full_text", "last_user", "plain_prompt"]

CUT = ("length", "max_tokens", "model_length")
ENDED = ("stop", "unknown", "content_filter", "tool_calls", "function_call")
"""Why a model stops. A trace that was filtered or calls a tool has ended: what it does not state
is missing, and counted as that."""
ROLES = ("system", "developer", "user", "assistant")


def completion(text: str, reason: Any, logprobs: Any, *, cut: bool = False) -> Completion:
    """The completion of a choice.

    Args:
        text: what it says.
        reason: why the model stopped, as the file writes it.
        logprobs: `{"content": [{"token": ..., "logprob": ...}]}`, or None.
        cut: something else ended it.
    """
    if reason not in (None, *CUT, *ENDED):
        raise BadRecordError(f"it stopped for {reason!r}: {', '.join((*CUT, *ENDED))}")
    values = None
    if logprobs is not None and not isinstance(logprobs, dict):
        raise BadRecordError("logprobs is not an object")
    if logprobs and logprobs.get("content") is not None:
        tokens = logprobs["content"]
        if not (isinstance(tokens, list) and all(isinstance(each, dict) for each in tokens)):
            raise BadRecordError("logprobs.content is not a list of objects")
        values = [each.get("logprob") for each in tokens]
    return Completion(
        text=text,
        token_ids=None,
        logprobs=check.logprobs(values),
        finish_reason="length" if cut or reason in CUT else "stop",
    )


def full_text(message: Any) -> str:
    """What a message says, with its reasoning in `<think>` before it."""
    reasoning, said, _ = _parts(message)
    return f"<think>{reasoning}</think>\n\n{said}" if reasoning else said


def last_user(messages: Sequence[Any]) -> str:
    """What the user said last."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            said = _parts(message)[1]
            if said.strip():
                return said
    raise BadRecordError("no message of the user holds text")


def plain_prompt(messages: Sequence[Any]) -> tuple[Message, ...] | None:
    """Messages as a prompt, or None where they hold more than text: images, tools' results."""
    turns: list[Message] = []
    for message in messages:
        reasoning, said, whole = _parts(message)
        if message.get("role") not in ROLES or message.get("tool_calls") or reasoning or not whole:
            return None
        turns.append({"role": message["role"], "content": said})
    return tuple(turns)


def _parts(message: Any) -> tuple[str, str, bool]:
    """(reasoning, text, whether that is all that the message holds)."""
    if not isinstance(message, dict):
        raise BadRecordError("a message is not an object")
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not (isinstance(parts, list) and all(isinstance(part, dict) for part in parts)):
        raise BadRecordError("a message's content is neither a string nor a list of parts")
    outside = message.get("reasoning_content") or message.get("reasoning") or ""
    thought, said = [outside], []
    whole = True
    for part in parts:
        if part.get("type") in ("text", "input_text", "output_text"):
            said.append(part.get("text"))
        elif part.get("type") == "reasoning":
            thought.append(part.get("summary" if part.get("redacted") else "reasoning") or "")
        else:
            whole = False
    if not all(isinstance(each, str) for each in (*thought, *said)):
        raise BadRecordError("a part of a message is not a string")
    return "\n".join(filter(None, thought)), "\n".join(said), whole
