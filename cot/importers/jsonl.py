"""JSON lines, one trace each.

    {"question_id": "q1", "question": "5 + 7?", "sample_index": 0, "text": "The answer is 12."}

Optional: gold (an answer, or a list of those that count as right), choices, answer, prompt (text or
chat messages), token_ids, logprobs, finish_reason, seed, confidence, reasoning, correct, score.
Fields with other names are kept in the trace's meta. An `answer` is used as it stands (null is
`missing`).

`reasoning` (or `reasoning_content`) is put before the text in `<think>`. With `token_ids` beside it
the line is rejected: ids are those of one text, and the file does not say how the model wrote the
two together. `correct` (true, false or null) and `score` (a number or null) are somebody else's
verdict on the trace and stay in its meta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.importers import fields as check
from cot.importers.fields import BadRecordError, Record, Rejected, finish_reason
from cot.importers.lines import read_lines
from cot.types import Completion, Message, Question

__all__ = ["EACH", "KNOWN", "REQUIRED", "SHARED", "prompt_of", "read_jsonl", "trace_record"]

REQUIRED = ("question_id", "question", "sample_index", "text")
SHARED = ("question_id", "question", "gold", "choices", "prompt")
"""Fields of the question and its prompt."""
EACH = (
    *("text", "answer", "sample_index", "token_ids", "logprobs", "finish_reason", "seed"),
    *("confidence", "reasoning", "reasoning_content", "correct", "score"),
)
"""Fields of one trace."""
IN_META = ("answer", "confidence", "correct", "score")
"""Those that stay in meta, where the answers table and the voters look for them."""
KNOWN = frozenset((*SHARED, *EACH)) - frozenset(IN_META)
"""Fields that don't stay in meta."""
INT64 = 2**63


def read_jsonl(path: Path) -> Iterator[Record | Rejected]:
    """Each record, checked."""
    return read_lines(path, lambda place, fields: [trace_record(place, fields)])


def trace_record(
    place: str,
    fields: Mapping[str, Any],
    *,
    question_meta: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    prompt_ids: Any = None,
) -> Record:
    """The record of one trace's fields, or BadRecordError.

    Args:
        question_meta: what is kept of its question.
        meta: what is kept of the trace, beside the fields that have other names.
        prompt_ids: token ids of its prompt, where they are known.
    """
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise BadRecordError(
            f"no field {', '.join(missing)}; the line has: {check.listed(fields.keys())}"
        )
    gold, several = check.targets(fields.get("gold"))
    question = Question(
        id=check.identifier(fields, "question_id"),
        text=check.string(fields, "question"),
        gold=gold,
        choices=check.choices(fields.get("choices")),
        dataset="imported",
        meta={**(question_meta or {}), **several},
    )
    notes: list[str] = []
    return check.make_record(
        place=place,
        question=question,
        index=check.sample_index(fields["sample_index"]),
        seed=_seed(fields.get("seed")),
        prompt=prompt_of(fields.get("prompt")),
        prompt_ids=check.token_ids(prompt_ids),
        completion=_completion(fields, notes),
        meta={
            **(meta or {}),
            **{name: value for name, value in fields.items() if name not in KNOWN},
        },
        ended=fields.get("finish_reason"),
        notes=notes,
    )


def _completion(fields: Mapping[str, Any], notes: list[str]) -> Completion:
    text, thought = check.string(fields, "text"), check.reasoning(fields)
    ids = check.token_ids(fields.get("token_ids"))
    if ids is not None and thought:
        raise BadRecordError(
            "reasoning stands beside token_ids: ids are those of one text, so put the reasoning "
            "into text as the model wrote it, or leave token_ids out"
        )
    given = fields.get("logprobs")
    logprobs = check.logprobs(given, notes)
    if ids is not None and given is not None and len(ids) != len(given):
        raise BadRecordError(f"{len(given)} logprobs for {len(ids)} token_ids")
    return Completion(
        text=check.joined(thought, text),
        token_ids=ids,
        logprobs=logprobs,
        finish_reason=finish_reason(fields.get("finish_reason")),
    )


def _seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if check.is_int(seed) and -INT64 <= seed < INT64:
        return int(seed)
    raise BadRecordError(f"seed is {seed!r}: a whole number of 64 bits")


def prompt_of(prompt: Any) -> str | tuple[Message, ...] | None:
    """A prompt: a text, or chat messages."""
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
