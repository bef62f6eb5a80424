"""One question a record, with a list of samples.

    {"question_id": "q1", "question": "5 + 7?", "gold": 12, "samples": ["The answer is 12.", "13"]}

A sample is its text, or an object with the per-trace fields of `cot.importers.jsonl`; its place in
the list is its `sample_index` unless it gives one. `responses`, `completions`, `outputs` and
`generations` are read as `samples` where they are lists of strings. Optional beside the samples:
gold, choices, prompt; and lists of as many entries as there are samples under the names of
per-trace fields (`"correct": [true, false]`), which are taken apart. Fields with other names are
kept in the question's meta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.importers.fields import BadRecordError, Record, Rejected, listed
from cot.importers.jsonl import EACH, SHARED, trace_record
from cot.importers.lines import read_lines

__all__ = ["LISTS", "find_list", "read_wide", "samples"]

LISTS = ("samples", "responses", "completions", "outputs", "generations")
OF_LISTS = ("token_ids", "logprobs")
"""Fields that are a list for one trace already."""
ALONE = ("text", "answer", "sample_index", *OF_LISTS, "finish_reason", "confidence")
"""Fields that belong to none of the samples where they stand beside them and are no such list."""


def read_wide(path: Path) -> Iterator[Record | Rejected]:
    """Each sample of each record, checked."""
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
    lists = {key: fields[key] for key in EACH if key in fields and _is_apart(key, fields, name)}
    for single in ALONE:
        if single in fields and single not in lists:
            gold = "name it gold, or " if single == "answer" else ""
            raise BadRecordError(f"{single} stands beside {name}: {gold}put it in each sample")
    shared = {key: fields[key] for key in SHARED if key in fields}
    meta = {key: fields[key] for key in fields if key not in (*SHARED, name, *lists)}
    yield from samples(place, shared, fields[name], name=name, lists=lists, question_meta=meta)


def _is_apart(key: str, fields: Mapping[str, Any], name: str) -> bool:
    """Whether a field beside the samples holds one value for each of them."""
    values = fields[key]
    return (
        key not in ("text", "answer")
        and isinstance(values, list)
        and len(values) == len(fields[name]) > 0
        and (key not in OF_LISTS or all(each is None or isinstance(each, list) for each in values))
    )


def samples(
    place: str,
    shared: Mapping[str, Any],
    each: list[Any],
    *,
    name: str,
    lists: Mapping[str, list[Any]],
    question_meta: Mapping[str, Any],
    meta: Mapping[str, Any] | None = None,
    first: int = 0,
    prompt_ids: Any = None,
) -> Iterator[Record | Rejected]:
    """The samples of one question.

    Args:
        shared: fields of the question.
        each: a text or an object of per-trace fields for each sample.
        name: what the list is called.
        lists: fields of the traces, each with one value for each sample.
        meta: what is kept of every one of the traces.
        first: `sample_index` of the first that gives none.
    """
    if not each:
        raise BadRecordError(f"{name} is empty")
    for index, sample in enumerate(each):
        try:
            if not isinstance(sample, str | dict):
                raise BadRecordError("neither a string nor an object")
            own = {"text": sample} if isinstance(sample, str) else sample
            beside = {key: values[index] for key, values in lists.items()}
            yield trace_record(
                place,
                {**shared, "sample_index": first + index, **beside, **own},
                question_meta=question_meta,
                meta=meta,
                prompt_ids=prompt_ids,
            )
        except BadRecordError as error:
            yield Rejected(place=place, reason=f"{name}[{index}]: {error}")
