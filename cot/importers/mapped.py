"""Records whose columns have other names: those of a known tool (`cot.importers.layouts`), or as
`--map` says.

    --map question=problem --map text=output.text --map gold=doc.answer
    {"problem": "5 + 7?", "doc": {"answer": 12}, "output": {"text": "The answer is 12."}}

A text that is a list holds a question's samples, and the other per-trace fields are then lists of
as many values: `--map text=ys --map correct='infos.*.r'`. A question without an id is named by a
hash of its text, as in `cot.datasets`; a sample without an index is counted up in its question.
A verdict of 0 or 1 is false or true. Other columns are kept in meta: the trace's, or the question's
where a record holds several samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.importers import fields as check
from cot.importers.fields import BadRecordError, Record, Rejected
from cot.importers.jsonl import EACH, SHARED, trace_record
from cot.importers.layouts import Layout
from cot.importers.lines import read_lines
from cot.importers.record_paths import MissingError, find, without
from cot.importers.wide import samples

__all__ = ["check_map", "read_mapped"]

NAMES = tuple(name for name in (*SHARED, *EACH) if name != "reasoning_content")


def check_map(mapping: Mapping[str, str]) -> None:
    """InputError where a name is none of ours, or a path is empty."""
    for ours, theirs in mapping.items():
        if ours not in NAMES or not theirs:
            raise InputError(
                f"--map {ours}={theirs}: write NAME=COLUMN, NAME of {', '.join(NAMES)}"
            )


def read_mapped(
    path: Path, *, layout: Layout, mapping: Mapping[str, str]
) -> Iterator[Record | Rejected]:
    """Each sample of each record, checked.

    Args:
        layout: where the fields stand.
        mapping: our field to the file's column, before the layout's; each must be there.
    """
    counts: dict[str, int] = {}

    def read(place: str, record: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        found = _find(layout.adapt(dict(record)), layout, mapping)
        for needed in ("text", "question"):
            if found.named.get(needed) is None:
                columns = " or ".join(_columns(layout, mapping)[needed])
                raise BadRecordError(
                    f"no {columns}; the line has: {check.listed(record.keys())}; "
                    f"--map {needed}=COLUMN names another"
                )
        if found.named.get("question_id") is None:
            found.named["question_id"] = check.hashed(check.string(found.named, "question"))
        name = check.identifier(found.named, "question_id")
        first, text = counts.get(name, 0), found.named["text"]
        counts[name] = first + (len(text) if isinstance(text, list) else 1)
        return (
            _several(place, found, layout, first)
            if isinstance(text, list)
            else _one(place, found, first)
        )

    return read_lines(path, read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A record under our names."""

    named: dict[str, Any]
    """Our field to its value."""
    paths: dict[str, str]
    """Our field to the column that it came from."""
    rest: dict[str, Any]
    """The other columns."""


def _columns(layout: Layout, mapping: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {**layout.columns, **{ours: (path,) for ours, path in mapping.items()}}


def _find(record: dict[str, Any], layout: Layout, mapping: Mapping[str, str]) -> _Found:
    named: dict[str, Any] = {}
    paths: dict[str, str] = {}
    for ours, columns in _columns(layout, mapping).items():
        for path in columns:
            try:
                value = find(record, path, gaps=ours not in mapping)
            except MissingError as error:
                if ours in mapping:
                    raise BadRecordError(f"--map {ours}={path}: {error}") from None
                continue
            if ours == "correct":
                value = _verdicts(value)
                if ours not in mapping and not _are_verdicts(value):
                    continue  # the tool's number is no verdict: it stays among the others
            named[ours], paths[ours] = value, path
            break
    rest = record
    for path in paths.values():
        rest = without(rest, path)
    return _Found(named=named, paths=paths, rest=rest)


def _one(place: str, found: _Found, index: int) -> Iterator[Record]:
    fields = {name: found.named[name] for name in (*SHARED, *EACH) if name in found.named}
    if fields.get("sample_index") is None:
        fields["sample_index"] = index
    _no_answer(found.rest)
    ids = found.named.get("prompt_ids")
    yield trace_record(place, fields, meta=found.rest, prompt_ids=ids)


def _several(place: str, found: _Found, layout: Layout, first: int) -> Iterator[Record | Rejected]:
    text, rest = found.named["text"], found.rest
    lists = {
        name: found.named[name]
        for name in EACH
        if name != "text" and found.named.get(name) is not None
    }
    for name, values in lists.items():
        if not isinstance(values, list) or len(values) != len(text):
            there = f"{len(values)} values" if isinstance(values, list) else "no list"
            raise BadRecordError(f"{name} is {there} for {len(text)} samples")
    for column in layout.each:
        with suppress(MissingError):
            values = find(rest, column, gaps=True)
            if isinstance(values, list) and len(values) == len(text):
                lists[column.rpartition(".")[2]] = values
                rest = without(rest, column)
    # What is left of lists that samples were taken from belongs to the samples, one entry each.
    for root in {path.partition(".*.")[0] for path in found.paths.values() if ".*." in path}:
        left = rest.get(root)
        if isinstance(left, list) and len(left) == len(text) and root not in EACH:
            rest = {name: value for name, value in rest.items() if name != root}
            if any(kept := [_known(each) for each in left]):
                lists[root] = kept
    of_trace = layout.beside == "trace"
    if of_trace:
        _no_answer(rest)
    yield from samples(
        place,
        {name: found.named[name] for name in SHARED if name in found.named},
        text,
        name=found.paths["text"].partition(".")[0],
        lists=lists,
        question_meta={} if of_trace else rest,
        meta=_known(rest) if of_trace else None,
        first=first,
        prompt_ids=found.named.get("prompt_ids"),
    )


def _known(value: Any) -> Any:
    """An object without its nulls, which fill most of what a server's objects hold."""
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if each is not None}


def _no_answer(rest: Mapping[str, Any]) -> None:
    if "answer" in rest:
        raise BadRecordError(
            "the field answer is not mapped: --map gold=answer where it is the reference, "
            "--map answer=answer where it is what the trace answers"
        )


def _verdicts(value: Any) -> Any:
    """0 and 1 as false and true, also in a list."""
    if isinstance(value, list):
        return [_verdicts(each) for each in value]
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else value


def _are_verdicts(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(each is None or isinstance(each, bool) for each in values)
