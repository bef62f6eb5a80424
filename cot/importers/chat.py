"""Chat messages as OpenAI-style APIs and Inspect write them.

    {"role": "user", "content": "5 + 7?"}
    {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "Seven and five ..."},
                                      {"type": "text", "text": "The answer is 12."}]}

Reasoning stands in `<think>` before the text, where the answer extractor knows it for reasoning: a
message's `reasoning` or `reasoning_content`, and its parts of the types `reasoning` (OpenAI,
Inspect) and `thinking` (Anthropic, Mistral). Parts of other types are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cot.importers import fields as check
from cot.importers.fields import BadRecordError, finish_reason
from cot.types import Completion, Message

__all__ = ["Said", "completion", "last_user", "plain_prompt", "read_parts", "reply"]

ROLES = ("system", "developer", "user", "assistant")
TEXT = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Type of a part to where its text stands."""
THOUGHT = ("reasoning", "thinking", "reasoning_text", "summary_text")
"""Types of parts that are reasoning."""
INSIDE = ("reasoning", "thinking", "text", "content", "summary")
"""Where the text of such a part stands: the first of these that holds any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a message says."""

    reasoning: str
    """Its reasoning, or an empty string."""
    text: str
    """Its text."""
    left_out: list[str] = field(default_factory=list)
    """What it holds beside these, one entry a part."""

    @property
    def whole(self) -> str:
        """The text, with the reasoning in `<think>` before it."""
        return check.joined(self.reasoning, self.text)


def completion(
    said: Said,
    reason: Any,
    logprobs: Any,
    notes: list[str],
    *,
    cut: bool = False,
    token_ids: Any = None,
) -> Completion:
    """The completion of a choice.

    Args:
        said: what it says.
        reason: why the model stopped, as the file writes it.
        logprobs: `{"content": [{"token": ..., "logprob": ...}]}`, or None.
        notes: gets what is left out.
        cut: something else ended it.
        token_ids: ids of all that was generated, or None.
    """
    finish = finish_reason(reason)
    values = None
    if logprobs is not None and not isinstance(logprobs, dict):
        raise BadRecordError("logprobs is not an object")
    if logprobs and logprobs.get("content") is not None:
        tokens = logprobs["content"]
        if not (isinstance(tokens, list) and all(isinstance(each, dict) for each in tokens)):
            raise BadRecordError("logprobs.content is not a list of objects")
        if any("logprob" not in each for each in tokens):
            raise BadRecordError("logprobs is not a list of numbers: a token has no logprob")
        values = [each["logprob"] for each in tokens]
    notes.extend(sorted(set(said.left_out)))
    ids = check.token_ids(token_ids)
    if ids is not None and (said.reasoning or said.left_out):
        notes.append("token ids: the reply's parts don't say how the model wrote them as one text")
        ids = None
    if ids is not None and values is not None and len(ids) != len(values):
        raise BadRecordError(f"{len(values)} logprobs for {len(ids)} token_ids")
    return Completion(
        text=said.whole,
        token_ids=ids,
        logprobs=check.logprobs(values, notes),
        finish_reason="length" if cut else finish,
    )


def reply(message: Any) -> Said:
    """What a message of the model says; a refusal is a text."""
    if not isinstance(message, dict):
        raise BadRecordError("a message is not an object")
    content = message.get("content")
    said = read_parts(message.get("refusal") or "" if content in (None, "") else content)
    calls = message.get("tool_calls") or message.get("function_call")
    return Said(
        reasoning="\n".join(filter(None, (check.reasoning(message), said.reasoning))),
        text=said.text,
        left_out=[*said.left_out, *(["tool calls"] if calls else [])],
    )


def last_user(messages: Sequence[Any]) -> str:
    """What the user said last."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            said = read_parts(message.get("content") or "").text
            if said.strip():
                return said
    raise BadRecordError("no message of the user holds text")


def plain_prompt(messages: Sequence[Any]) -> tuple[Message, ...] | None:
    """Messages as a prompt, or None where they hold more than text: images, tools' results."""
    turns: list[Message] = []
    for message in messages:
        said = reply(message)
        if message.get("role") not in ROLES or said.reasoning or said.left_out:
            return None
        turns.append({"role": message["role"], "content": said.text})
    return tuple(turns)


def read_parts(content: Any) -> Said:
    """What the content of a message says: a string, or a list of parts."""
    if isinstance(content, str):
        return Said(reasoning="", text=content)
    if not (isinstance(content, list) and all(isinstance(part, dict) for part in content)):
        raise BadRecordError("a message's content is neither a string nor a list of parts")
    thought, said, left_out = [], [], []
    for part in content:
        kind = part.get("type")
        if isinstance(kind, str) and kind in TEXT:
            said.append(part.get(TEXT[kind]))
        elif kind in THOUGHT:
            thought.append(_thought(part))
        else:
            left_out.append(f"parts of type {str(kind)[:40]!r}")
    if not all(isinstance(each, str) for each in (*thought, *said)):
        raise BadRecordError("a part of a message is not a string")
    return Said(reasoning="\n".join(filter(None, thought)), text="\n".join(said), left_out=left_out)


def _thought(part: dict[str, Any]) -> Any:
    """The text of a part that is reasoning; of one that is hidden, its summary."""
    for name in ("summary",) if part.get("redacted") else INSIDE:
        value = part.get(name)
        if isinstance(value, list):
            value = "\n".join(
                each["text"]
                for each in value
                if isinstance(each, dict) and isinstance(each.get("text"), str)
            )
        if value:
            return value
    return ""
