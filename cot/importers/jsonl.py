"""JSON lines, one trace each.

    {"question_id": "q1", "question": "5 + 7?", "sample_index": 0, "text": "The answer is 12."}

Optional: gold, choices, answer, prompt (text or chat messages), token_ids, logprobs, finish_reason,
seed, confidence. Fields with other names are kept in the trace's meta. An `answer` is used as it
stands (null is `missing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.importers import fields as check
from cot.importers.lines import read_lines
from cot.importers.record import BadRecordError, Record, Rejected
from cot.types import Completion, Message, Question

__all__ = ["REQUIRED", "read_jsonl", "trace_record"]

REQUIRED = ("question_id", "question", "sample_index", "text")
KNOWN = frozenset(
    (*REQUIRED, "gold", "choices", "prompt", "token_ids", "logprobs", "finish_reason", "seed")
)
"""`answer` and `confidence` stay in meta, where the answers table and the voters look."""
INT64 = 2**63


def read_jsonl(path: Path) -> Iterator[Record | Rejected]:
    """Each line that is not blank, checked."""
    return read_lines(path, lambda place, fields: [trace_record(place, fields)])


def trace_record(
    place: str, fields: Mapping[str, Any], question_meta: Mapping[str, Any] | None = None
) -> Record:
    """The record of one trace's fields, or BadRecordError."""
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise BadRecordError(
            f"no field {', '.join(missing)}; the line has: {check.listed(fields.keys())}"
        )
    question = Question(
        id=check.identifier(fields, "question_id"),
        text=check.string(fields, "question"),
        gold=check.gold(fields.get("gold")),
        choices=check.choices(fields.get("choices")),
        dataset="imported",
        meta=question_meta or {},
    )
    return check.make_record(
        place=place,
        question=question,
        index=check.sample_index(fields["sample_index"]),
        seed=_seed(fields.get("seed")),
        prompt=_prompt(fields.get("prompt")),
        completion=_completion(fields),
        meta={name: value for name, value in fields.items() if name not in KNOWN},
    )


def _completion(fields: Mapping[str, Any]) -> Completion:
    ids = check.token_ids(fields.get("token_ids"))
    logprobs = check.logprobs(fields.get("logprobs"))
    if ids is not None and logprobs is not None and len(ids) != len(logprobs):
        raise BadRecordError(f"{len(logprobs)} logprobs for {len(ids)} token_ids")
    return Completion(
        text=check.string(fields, "text"),
        token_ids=ids,
        logprobs=logprobs,
        finish_reason=check.finish_reason(fields.get("finish_reason")),
    )


def _seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if check.is_int(seed) and -INT64 <= seed < INT64:
        return int(seed)
    raise BadRecordError(f"seed is {seed!r}: a whole number of 64 bits")


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
    raise BadRecordError("prompt is neither a string nor a list of {role, content}")
