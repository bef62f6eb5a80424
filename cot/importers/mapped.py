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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.importers import fields as check
from cot.importers.jsonl import EACH, SHARED, trace_record
from cot.importers.layouts import Layout
from cot.importers.lines import read_lines
from cot.importers.paths import MissingError, find, without
from cot.importers.record import BadRecordError, Record, Rejected
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
    reader = _Reader(layout=layout, mapping=mapping)
    return read_lines(path, reader.read)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads records in their order."""

    layout: Layout
    """Where the fields stand."""
    mapping: Mapping[str, str]
    """What the user says of it."""
    counts: dict[str, int] = field(default_factory=dict)
    """Samples seen of each question."""

    def read(self, place: str, record: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        """The samples of a record."""
        named, rest = self._named(self.layout.adapt(dict(record)))
        for needed in ("text", "question"):
            if named.get(needed) is None:
                columns = " or ".join(self._columns()[needed])
                raise BadRecordError(
                    f"no {columns}; the line has: {check.listed(record.keys())}; "
                    f"--map {needed}=COLUMN names another"
                )
        shared = {name: named[name] for name in SHARED if name in named}
        if shared.get("question_id") is None:
            shared["question_id"] = check.hashed(check.string(named, "question"))
        name = check.identifier(shared, "question_id")
        own = {key: named[key] for key in EACH if key in named and key != "text"}
        first = self.counts.get(name, 0)
        several = isinstance(named["text"], list)
        self.counts[name] = first + (len(named["text"]) if several else 1)
        if not several:
            if own.get("sample_index") is None:
                own["sample_index"] = first
            _no_answer(rest)
            yield trace_record(
                place,
                {**shared, **own, "text": named["text"]},
                meta=rest,
                prompt_ids=named.get("prompt_ids"),
            )
            return
        lists = {key: values for key, values in own.items() if values is not None}
        for column in self.layout.each:
            lists |= _each(rest, column, len(named["text"]))
            rest = without(rest, column) if column.rpartition(".")[2] in lists else rest
        for key, values in lists.items():
            if not isinstance(values, list) or len(values) != len(named["text"]):
                there = f"{len(values)} values" if isinstance(values, list) else "no list"
                raise BadRecordError(f"{key} is {there} for {len(named['text'])} samples")
        of_trace = self.layout.beside == "trace"
        if of_trace:
            _no_answer(rest)
        yield from samples(
            place,
            shared,
            named["text"],
            name=(self.mapping.get("text") or self._columns()["text"][0]).partition(".")[0],
            lists=lists,
            question_meta={} if of_trace else rest,
            meta=rest if of_trace else None,
            first=first,
            prompt_ids=named.get("prompt_ids"),
        )

    def _columns(self) -> dict[str, tuple[str, ...]]:
        return {**self.layout.columns, **{ours: (path,) for ours, path in self.mapping.items()}}

    def _named(self, record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(the record's fields under our names, the other columns)."""
        named: dict[str, Any] = {}
        used = []
        for ours, columns in self._columns().items():
            for path in columns:
                try:
                    value = find(record, path, gaps=ours not in self.mapping)
                except MissingError as error:
                    if ours in self.mapping:
                        raise BadRecordError(f"--map {ours}={path}: {error}") from None
                    continue
                if ours == "correct":
                    value = _verdicts(value)
                    if ours not in self.mapping and not _are_verdicts(value):
                        continue  # the tool's number is no verdict: it stays among the others
                named[ours] = value
                used.append(path)
                break
        rest = record
        for path in used:
            rest = without(rest, path)
        return named, rest


def _each(rest: Mapping[str, Any], column: str, n: int) -> dict[str, list[Any]]:
    """A column of the traces' meta under its own name, where it has a value for each."""
    try:
        values = find(rest, column, gaps=True)
    except MissingError:
        return {}
    fits = isinstance(values, list) and len(values) == n
    return {column.rpartition(".")[2]: values} if fits else {}


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
