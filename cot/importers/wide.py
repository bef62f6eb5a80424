"""JSON lines, one question each, with a list of samples.

    {"question_id": "q1", "question": "5 + 7?", "gold": 12, "samples": ["The answer is 12.", "13"]}

A sample is its text, or an object with the per-trace fields of `cot.importers.jsonl`; its place in
the list is its `sample_index` unless it gives one. `responses`, `completions`, `outputs` and
`generations` are read as `samples` where they are lists of strings. Optional beside the samples:
gold, choices, prompt; fields with other names are kept in the question's meta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.importers.fields import listed
from cot.importers.jsonl import trace_record
from cot.importers.lines import read_lines
from cot.importers.record import BadRecordError, Record, Rejected

__all__ = ["LISTS", "find_list", "read_wide"]

LISTS = ("samples", "responses", "completions", "outputs", "generations")
SHARED = ("question_id", "question", "gold", "choices", "prompt")
EACH = ("text", "answer", "sample_index", "token_ids", "logprobs", "finish_reason", "confidence")
"""Fields of one trace, which beside the samples would belong to none of them."""


def read_wide(path: Path) -> Iterator[Record | Rejected]:
    """Each sample of each line, checked."""
    return read_lines(path, _samples)


def find_list(fields: Mapping[str, Any]) -> str | None:
    """The field that holds the samples, or None."""
    for name in LISTS:
        value = fields.get(name)
        if isinstance(value, list) and (
            name == "samples" or all(isinstance(each, str) for each in value)
        ):
            return name
    return None


def _samples(place: str, fields: Mapping[str, Any]) -> Iterator[Record | Rejected]:
    name = find_list(fields)
    if name is None:
        raise BadRecordError(
            f"no list of samples ({', '.join(LISTS)}); the line has: {listed(fields.keys())}"
        )
    if not fields[name]:
        raise BadRecordError(f"{name} is empty")
    for single in EACH:
        if single in fields:
            gold = "name it gold, or " if single == "answer" else ""
            raise BadRecordError(f"{single} stands beside {name}: {gold}put it in each sample")
    shared = {key: fields[key] for key in SHARED if key in fields}
    meta = {key: value for key, value in fields.items() if key not in (*SHARED, name)}
    for index, sample in enumerate(fields[name]):
        try:
            if not isinstance(sample, str | dict):
                raise BadRecordError("neither a string nor an object")
            own = {"text": sample} if isinstance(sample, str) else sample
            yield trace_record(place, {**shared, "sample_index": index, **own}, meta)
        except BadRecordError as error:
            yield Rejected(place=place, reason=f"{name}[{index}]: {error}")
