"""JSON lines, one trace each.

    {"question_id": "q1", "question": "5 + 7?", "sample_index": 0, "text": "The answer is 12."}

Optional: gold, choices, answer, prompt (text or chat messages), token_ids, logprobs, finish_reason,
seed, confidence. Fields with other names are kept in the trace's meta. An `answer` is used as it
stands (null is `missing`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cot.importers.record import Record, Rejected
from cot.types import Completion, FinishReason, Message, Question, Trace

__all__ = ["read_jsonl"]

REQUIRED = ("question_id", "question", "sample_index", "text")
KNOWN = frozenset(
    (*REQUIRED, "gold", "choices", "prompt", "token_ids", "logprobs", "finish_reason", "seed")
)
"""`answer` and `confidence` stay in meta, where the answers table and the voters look."""
INT32 = 2**31
INT64 = 2**63


class _BadLineError(ValueError):
    """Why a line is rejected."""


def read_jsonl(path: Path) -> Iterator[Record | Rejected]:
    """Each line that is not blank, checked."""
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                yield _record(number, _parse(line))
            except _BadLineError as error:
                yield Rejected(line=number, reason=str(error))


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(line)
    except UnicodeDecodeError:
        raise _BadLineError("not UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise _BadLineError(f"not JSON: {reason}") from None
    except ValueError as error:  # an integer of more digits than Python reads
        raise _BadLineError(f"not JSON that can be read: {error}") from None
    if not isinstance(fields, dict):
        raise _BadLineError("not a JSON object")
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _BadLineError("holds half of a surrogate pair, which is no character") from None
    return fields


def _record(number: int, fields: Mapping[str, Any]) -> Record:
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        there = ", ".join(sorted(fields)) or "none"
        raise _BadLineError(f"no field {', '.join(missing)}; the line has: {there}")
    question_id = fields["question_id"]
    question = Question(
        id=str(question_id) if _is_int(question_id) else _string(fields, "question_id"),
        text=_string(fields, "question"),
        gold=_gold(fields.get("gold")),
        choices=_choices(fields.get("choices")),
        dataset="imported",
    )
    index = fields["sample_index"]
    if not _is_int(index) or not 0 <= index < INT32:
        raise _BadLineError(f"sample_index is {index!r}: a whole number from 0")
    prompt = _prompt(fields.get("prompt"))
    trace = Trace(
        question_id=question.id,
        sample_index=index,
        seed=_seed(fields.get("seed")),
        prompt_sha=None if prompt is None else _sha(prompt),
        completion=_completion(fields),
        meta={name: value for name, value in fields.items() if name not in KNOWN},
    )
    return Record(line=number, question=question, trace=trace, prompt=prompt)


def _completion(fields: Mapping[str, Any]) -> Completion:
    ids, logprobs = fields.get("token_ids"), fields.get("logprobs")
    if ids is not None and not (
        isinstance(ids, list) and all(_is_int(token) and 0 <= token < INT32 for token in ids)
    ):
        raise _BadLineError("token_ids is not a list of whole numbers from 0")
    if logprobs is not None:
        if not (isinstance(logprobs, list) and all(_is_number(value) for value in logprobs)):
            raise _BadLineError("logprobs is not a list of numbers")
        if ids is not None and len(ids) != len(logprobs):
            raise _BadLineError(f"{len(logprobs)} logprobs for {len(ids)} token_ids")
        if any(value > 1e-3 or value != value for value in logprobs):
            raise _BadLineError("logprobs holds a value above 0, which is no log-probability")
    return Completion(
        text=_string(fields, "text"),
        token_ids=None if ids is None else tuple(ids),
        logprobs=None if logprobs is None else np.asarray(logprobs, dtype=np.float32),
        finish_reason=_finish_reason(fields.get("finish_reason")),
    )


def _string(fields: Mapping[str, Any], name: str) -> str:
    if not isinstance(fields[name], str):
        raise _BadLineError(f"{name} is {type(fields[name]).__name__}, not a string")
    value: str = fields[name]
    return value


def _finish_reason(reason: Any) -> FinishReason:
    if reason in (None, "stop"):
        return "stop"
    if reason == "length":
        return "length"
    raise _BadLineError(f"finish_reason is {reason!r}: stop or length")


def _gold(gold: Any) -> str | None:
    if gold is None or isinstance(gold, str):
        return gold
    if _is_number(gold):
        return str(int(gold)) if float(gold).is_integer() else str(gold)
    raise _BadLineError(f"gold is {type(gold).__name__}, not a string or a number")


def _choices(choices: Any) -> tuple[str, ...] | None:
    if choices is None:
        return None
    if isinstance(choices, list) and choices and all(isinstance(each, str) for each in choices):
        return tuple(choices)
    raise _BadLineError("choices is not a list of strings")


def _seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if _is_int(seed) and -INT64 <= seed < INT64:
        return int(seed)
    raise _BadLineError(f"seed is {seed!r}: a whole number of 64 bits")


def _prompt(prompt: Any) -> str | tuple[Message, ...] | None:
    if prompt is None or isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(
        isinstance(turn, dict)
        and set(turn) == {"role", "content"}
        and all(isinstance(value, str) for value in turn.values())
        for turn in prompt
    ):
        return tuple(prompt)
    raise _BadLineError("prompt is neither a string nor a list of {role, content}")


def _sha(prompt: str | tuple[Message, ...]) -> str:
    return hashlib.sha256(json.dumps(prompt, ensure_ascii=True).encode()).hexdigest()


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
