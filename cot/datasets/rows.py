"""Rows of a file, each with the place it came from: `questions.jsonl:12`.

JSON Lines and CSV are named by line; entries of a JSON list and rows of a Parquet file by number.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cot.errors import InputError

__all__ = ["SUFFIXES", "Row", "read_file"]


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a dataset."""

    place: str
    """Where it stands, for messages."""
    values: dict[str, Any]
    """Column name to value."""

    def __getitem__(self, column: str) -> Any:
        if column not in self.values:
            there = ", ".join(self.values) or "none"
            raise InputError(f"{self.place}: there is no column {column!r}; there are: {there}")
        return self.values[column]


def read_file(path: Path) -> Iterator[Row]:
    """The rows of a `.jsonl`, `.json`, `.csv` or `.parquet` file.

    Raises:
        InputError: no such file, another kind of file, or a row that cannot be read.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: questions are read from {', '.join(SUFFIXES)} files")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        yield from SUFFIXES[path.suffix](path)
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}:{number}: is not JSON: {error}") from None
            yield _row(f"{path}:{number}", values)


def _json(path: Path) -> Iterator[Row]:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from None
    lists = [document] if isinstance(document, list) else []
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
    if len(lists) != 1:
        raise InputError(f"{path}: must be a list of objects, or an object that holds one list")
    for number, values in enumerate(lists[0], start=1):
        yield _row(f"{path}: entry {number}", values)


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for values in reader:
                place = f"{path}:{reader.line_num}"
                if None in values or None in values.values():
                    raise InputError(
                        f"{place}: has more or fewer fields than the header, which names "
                        f"{len(reader.fieldnames or ())}"
                    )
                yield Row(place, values)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: is not CSV: {error}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield Row(f"{path}: row {number}", values)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: is not Parquet: {error}") from None


def _row(place: str, values: Any) -> Row:
    if not isinstance(values, dict):
        raise InputError(f"{place}: must be an object with named columns")
    return Row(place, values)


SUFFIXES: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
