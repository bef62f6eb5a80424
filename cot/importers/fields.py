"""What a field of any format must be, and what a record must be to be stored.

Each function returns the value in the types of `cot.types`, or raises BadRecordError, which names
the field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cot.importers.record import BadRecordError, Record
from cot.types import FinishReason, Message, Prompt, Question, Trace

__all__ = [
    "choices",
    "finish_reason",
    "gold",
    "identifier",
    "is_int",
    "listed",
    "logprobs",
    "make_record",
    "prompt_sha",
    "sample_index",
    "string",
    "token_ids",
]

INT32 = 2**31
DEPTH = 32
"""Deepest nesting that is stored; Python reads deeper JSON than it can write again."""


def string(fields: Mapping[str, Any], name: str) -> str:
    """A field that must be a string."""
    value = fields[name]
    if not isinstance(value, str):
        raise BadRecordError(f"{name} is {type(value).__name__}, not a string")
    return value


def identifier(fields: Mapping[str, Any], name: str) -> str:
    """An id: a string, or a whole number as one."""
    return str(fields[name]) if is_int(fields[name]) else string(fields, name)


def sample_index(index: Any) -> int:
    """A sample's index from 0, in 32 bits."""
    if not is_int(index) or not 0 <= index < INT32:
        raise BadRecordError(f"sample_index is {index!r}: a whole number from 0")
    return int(index)


def gold(value: Any) -> str | None:
    """A reference answer: a string, or a number as one, without a needless `.0`."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if is_int(value):
        return str(value)
    raise BadRecordError(f"gold is {type(value).__name__}, not a string or a number")


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


def logprobs(values: Any) -> NDArray[np.float32] | None:
    """Natural-log probabilities of the generated tokens, shape [token]."""
    if values is None:
        return None
    if not (isinstance(values, list) and all(_is_number(value) for value in values)):
        raise BadRecordError("logprobs is not a list of numbers")
    if any(value > 1e-3 or value != value for value in values):
        raise BadRecordError("logprobs holds a value above 0, which is no log-probability")
    if any(value < -1e30 for value in values):
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
) -> Record:
    """A record that can be stored: characters only, finite numbers, no deep nesting."""
    trace = Trace(
        question_id=question.id,
        sample_index=index,
        seed=seed,
        prompt_sha=None if prompt is None else prompt_sha(prompt),
        completion=completion,
        meta=meta,
    )
    if not _is_shallow([meta, question.meta], DEPTH):
        raise BadRecordError(f"nested too deeply: at most {DEPTH} levels are kept")
    kept = [question.id, question.text, question.gold, question.choices, question.meta]
    try:
        content = json.dumps(
            [kept, prompt, completion.text, meta], ensure_ascii=False, allow_nan=False
        )
        content.encode()
    except UnicodeEncodeError:
        raise BadRecordError("holds half of a surrogate pair, which is no character") from None
    except ValueError:
        raise BadRecordError("holds NaN or an infinite number, which JSON cannot") from None
    return Record(place=place, question=question, trace=trace, prompt=prompt)


def prompt_sha(prompt: Prompt) -> str:
    """sha256 of a prompt, its key in the run."""
    return hashlib.sha256(json.dumps(prompt, ensure_ascii=True).encode()).hexdigest()


def finish_reason(reason: Any) -> FinishReason:
    """`stop` or `length`."""
    if reason in (None, "stop"):
        return "stop"
    if reason == "length":
        return "length"
    raise BadRecordError(f"finish_reason is {reason!r}: stop or length")


def listed(names: Collection[str]) -> str:
    """Names of fields for a message: the first twelve, cut to 40 characters, printable."""
    shown = [name[:40] if name.isprintable() else ascii(name[:40]) for name in sorted(names)]
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return ", ".join(shown[:12]) + more if shown else "none"


def is_int(value: Any) -> bool:
    """A whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_shallow(value: Any, left: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple):
        return True
    return left > 0 and all(_is_shallow(each, left - 1) for each in inside)
