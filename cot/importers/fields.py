"""What a field of any format must be, why a trace ended, and what a record must be to be stored.

Each function returns the value in the types of `cot.types`, or raises BadRecordError, which names
the field.

A trace that was filtered, refused or calls a tool has ended: what it does not state is missing. One
that a limit, an abort or a timeout cut off counts as `length`: what it does not state is truncated.

Sources of the reasons for an end: vLLM 0.32 (`FinishReason` in v1/engine/__init__.py), SGLang
(`BaseFinishReason` in managers/schedule_batch.py, an object with a `type`), Text Generation
Inference (eos_token, stop_sequence), the APIs of OpenAI (chat completions; `status` and
`incomplete_details` of responses), Anthropic (end_turn ... pause_turn), Google (STOP, MAX_TOKENS,
SAFETY ...), Cohere (COMPLETE), DeepSeek (insufficient_system_resource), and Inspect's `StopReason`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cot.types import FinishReason, Message, Prompt, Question, Trace

__all__ = [
    "CUT",
    "ENDED",
    "BadRecordError",
    "Record",
    "Rejected",
    "check_verdict",
    "choices",
    "finish_reason",
    "gold",
    "hashed",
    "identifier",
    "is_int",
    "is_shallow",
    "joined",
    "listed",
    "logprobs",
    "make_record",
    "prompt_sha",
    "reasoning",
    "sample_index",
    "string",
    "targets",
    "token_ids",
]


class BadRecordError(ValueError):
    """Why a line or a sample of it is rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One good sample."""

    place: str
    """Where it stands in the file: a line number from 1, or the name of an entry."""
    question: Question
    """The question that it answers."""
    trace: Trace
    """The trace."""
    prompt: str | tuple[Message, ...] | None
    """The prompt, where the file gives it."""
    prompt_ids: tuple[int, ...] | None = None
    """The prompt's token ids, where the file gives them."""
    ended: Any = None
    """Why it ended, as the file writes it; None where the file doesn't say."""
    notes: tuple[str, ...] = ()
    """What was left out of the sample and is counted by its wording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One bad line, or one bad sample of a line that holds several."""

    place: str
    """Where it stands in the file: a line number from 1, or the name of an entry."""
    reason: str
    """What is wrong with which field."""


INT32 = 2**31
ABOVE, BELOW = 1e-3, -1e30
"""Between them lie log-probabilities, but for rounding, that float32 can hold."""
UNKNOWN = -9999.0
"""How vLLM and SGLang write a log-probability that is not finite, which JSON cannot hold."""
NOT_FINITE = "log-probabilities with a value that is null or not finite (all of the trace's)"
DEPTH = 32
"""Deepest nesting that is stored; Python reads deeper JSON than it can write again."""
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def string(fields: Mapping[str, Any], name: str) -> str:
    """A field that must be a string."""
    value = fields[name]
    if not isinstance(value, str):
        raise BadRecordError(f"{name} is {type(value).__name__}, not a string")
    return value


def identifier(fields: Mapping[str, Any], name: str) -> str:
    """An id: a string, or a whole number as one."""
    return str(fields[name]) if is_int(fields[name]) else string(fields, name)


def hashed(question: str) -> str:
    """The id of a question that has none: a hash of its text, as in `cot.datasets`."""
    return hashlib.sha256(question.strip().encode(errors="surrogatepass")).hexdigest()[:16]


def sample_index(index: Any) -> int:
    """A sample's index from 0, in 32 bits."""
    if not is_int(index) or not 0 <= index < INT32:
        raise BadRecordError(f"sample_index is {index!r}: a whole number from 0")
    return int(index)


def gold(value: Any) -> str | None:
    """A reference answer: a string, or a number as one, without a needless `.0`."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRecordError("gold is NaN or infinite: null where there is none")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if is_int(value):
        return str(value)
    raise BadRecordError(f"gold is {type(value).__name__}, not a string or a number")


def targets(value: Any) -> tuple[str | None, dict[str, Any]]:
    """(gold, meta of the question) of one reference answer or a list of acceptable ones.

    The first is the gold answer; where there are several, all of them stand under `targets`.
    """
    if not isinstance(value, list):
        return gold(value), {}
    listed = [gold(each) for each in value]
    if None in listed:
        raise BadRecordError(f"gold[{listed.index(None)}] is null: leave it out of the list")
    return (listed[0] if listed else None), ({"targets": listed} if len(listed) > 1 else {})


def reasoning(fields: Mapping[str, Any]) -> str:
    """The reasoning that stands apart from the text, or an empty string.

    Servers name it `reasoning` or `reasoning_content`; some write both alike.
    """
    given = {name: fields[name] for name in ("reasoning", "reasoning_content") if name in fields}
    if not given:
        return ""
    for name, value in given.items():
        if not (value is None or isinstance(value, str)):
            raise BadRecordError(f"{name} is {type(value).__name__}, not a string")
    thought = list(dict.fromkeys(filter(None, given.values())))
    if len(thought) > 1:
        raise BadRecordError("reasoning and reasoning_content differ: keep the one that is meant")
    return thought[0] if thought else ""


def joined(thought: str, text: str) -> str:
    """The text with its reasoning, if any, in `<think>` before it."""
    return f"<think>{thought}</think>\n\n{text}" if thought else text


def choices(value: Any) -> tuple[str, ...] | None:
    """Texts of the options."""
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise BadRecordError("choices is not a list of strings")


def token_ids(ids: Any) -> tuple[int, ...] | None:
    """Ids of the generated tokens, in 32 bits."""
    if ids is None:
        return None
    if isinstance(ids, list) and all(is_int(token) and 0 <= token < INT32 for token in ids):
        return tuple(ids)
    raise BadRecordError("token_ids is not a list of whole numbers from 0")


def logprobs(values: Any, notes: list[str]) -> NDArray[np.float32] | None:
    """Natural-log probabilities of the generated tokens, shape [token].

    A value that is null, NaN, minus infinity or -9999 is missing, and a trace without one of its
    values has no mean or minimum: all of them are left out, and `notes` says so.
    """
    if values is None:
        return None
    if not (isinstance(values, list) and all(each is None or _is_number(each) for each in values)):
        raise BadRecordError("logprobs is not a list of numbers")
    known = [each for each in values if each is not None and each == each]
    if any(each > ABOVE for each in known):
        raise BadRecordError("logprobs holds a value above 0, which is no log-probability")
    if len(known) < len(values) or UNKNOWN in known or -math.inf in known:
        notes.append(NOT_FINITE)
        return None
    if any(each < BELOW for each in known):
        raise BadRecordError("logprobs holds a value below -1e30, which float32 cannot")
    return np.asarray(values, dtype=np.float32)


def make_record(
    *,
    place: str,
    question: Question,
    index: int,
    seed: int | None = None,
    prompt: str | tuple[Message, ...] | None,
    completion: Any,
    meta: Mapping[str, Any],
    prompt_ids: tuple[int, ...] | None = None,
    ended: Any = None,
    notes: Sequence[str] = (),
) -> Record:
    """A record that can be stored: characters only, finite numbers, no deep nesting.

    A reason for its end (`ended`) that `stop` and `length` don't tell is kept in its meta.
    """
    if ended not in (None, "stop", "length"):
        meta = {**meta, "finish_reason": ended}
    check_verdict(meta)
    if meta or question.meta:
        _check_depth([meta, question.meta])
    texts = (question.id, question.text, question.gold or "", *(question.choices or ()))
    try:
        "".join((*texts, completion.text)).encode()
        if meta or question.meta or prompt is not None:
            ENCODER.encode([question.meta, prompt, meta]).encode()
    except UnicodeEncodeError:
        raise BadRecordError("holds half of a surrogate pair, which is no character") from None
    except ValueError:
        raise BadRecordError("holds NaN or an infinite number, which JSON cannot") from None
    trace = Trace(
        question_id=question.id,
        sample_index=index,
        seed=seed,
        prompt_sha=None if prompt is None else prompt_sha(prompt),
        completion=completion,
        meta=meta,
    )
    return Record(
        place=place,
        question=question,
        trace=trace,
        prompt=prompt,
        prompt_ids=prompt_ids,
        ended=ended,
        notes=tuple(notes),
    )


def prompt_sha(prompt: Prompt) -> str:
    """sha256 of a prompt, its key in the run."""
    return hashlib.sha256(json.dumps(prompt, ensure_ascii=True).encode()).hexdigest()


def listed(names: Collection[str]) -> str:
    """Names of fields for a message: the first twelve, cut to 40 characters, printable."""
    shown = [name[:40] if name.isprintable() else ascii(name[:40]) for name in sorted(names)]
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return ", ".join(shown[:12]) + more if shown else "none"


def is_int(value: Any) -> bool:
    """A whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_verdict(meta: Mapping[str, Any]) -> None:
    """What the file says of the trace's answer: `correct` and `score`."""
    correct, score = meta.get("correct"), meta.get("score")
    if not (correct is None or isinstance(correct, bool)):
        raise BadRecordError(f"correct is {_brief(correct)}: true, false or null")
    if not (score is None or (_is_number(score) and -1e300 < score < 1e300)):
        raise BadRecordError(f"score is {_brief(score)}: a finite number or null")


def _brief(value: Any) -> str:
    return repr(value)[:80] if isinstance(value, str | int | float) else type(value).__name__


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_depth(value: Any) -> None:
    if not is_shallow(value, DEPTH):
        raise BadRecordError(f"nested too deeply: at most {DEPTH} levels are kept")


def is_shallow(value: Any, left: int) -> bool:
    """Whether no more than `left` lists and objects stand one within another."""
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple):
        return True
    return left > 0 and all(is_shallow(each, left - 1) for each in inside)


ENDED = (
    *("stop", "eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_string"),
    *("complete", "completed", "tool_calls", "tool_use", "function_call"),
    *("content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content"),
    *("spii", "unknown"),
)
"""The trace has ended; null is one of these too."""
CUT = (
    *("length", "max_tokens", "max_length", "model_length", "max_output_tokens", "incomplete"),
    *("model_context_window_exceeded", "repetition", "abort", "aborted", "cancelled", "canceled"),
    *("timeout", "pause_turn", "insufficient_system_resource"),
)
"""Something cut the trace off."""
FINISH: dict[str, FinishReason] = {
    **dict.fromkeys(ENDED, "stop"),
    **dict.fromkeys(CUT, "length"),
}


def finish_reason(reason: Any) -> FinishReason:
    """`stop` or `length`, whatever the case of the word; BadRecordError for any other.

    Args:
        reason: a word, an object with it as `type`, or None.
    """
    word = reason.get("type") if isinstance(reason, dict) else reason
    if word is None:
        return "stop"
    if isinstance(word, str) and (known := FINISH.get(word) or FINISH.get(word.lower())):
        return known
    raise BadRecordError(
        f"finish_reason is {str(reason)[:80]!r}: one of {', '.join(ENDED)} for a trace that has "
        f"ended, or {', '.join(CUT)} for one that was cut off"
    )
