"""Files of records: one JSON object a line, one JSON list of them, or the rows of a Parquet file.

Each is read a record at a time. A bad line is passed over and named; in a JSON list nothing after
a fault can be told apart, so that it is the file that is refused.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.datasets.cells import plain
from cot.errors import InputError
from cot.importers.fields import BadRecordError, Record, Rejected

__all__ = ["parse", "read_lines", "records"]

Read = Callable[[str, Mapping[str, Any]], Iterable[Record | Rejected]]
"""(place, its object) to the samples that it holds."""
NAN = float("nan")
SPACE = re.compile(r"[ \t\r\n]*")


def read_lines(path: Path, read: Read, *, nan: Any = NAN) -> Iterator[Record | Rejected]:
    """The samples of each record, checked; BadRecordError rejects the record.

    Args:
        nan: what NaN and Infinity, which Python's json module writes but JSON does not have,
            are read as.
    """
    for place, fields in records(path, nan=nan):
        if isinstance(fields, BadRecordError):
            yield Rejected(place=place, reason=str(fields))
            continue
        try:
            yield from read(place, fields)
        except BadRecordError as error:
            yield Rejected(place=place, reason=str(error))


def records(
    path: Path, *, nan: Any = NAN
) -> Iterator[tuple[str, Mapping[str, Any] | BadRecordError]]:
    """(place, object) of each record, or what is wrong with it: `12` for a line, `entry 12` of a
    list, `row 12` of a table."""
    with open(path, "rb") as handle:
        head = handle.read(1024).removeprefix(codecs.BOM_UTF8)
        if head.startswith(b"PAR1"):
            yield from _rows(path)
            return
        if head.lstrip().startswith(b"["):
            yield from _entries(path, nan)
            return
        handle.seek(0)
        decoder = json.JSONDecoder(parse_constant=lambda _: nan)
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                yield str(number), _object(line, decoder)
            except BadRecordError as error:
                yield str(number), error


def parse(content: bytes, *, nan: Any = NAN) -> Mapping[str, Any]:
    """The JSON object that these bytes are, or BadRecordError."""
    return _object(content, json.JSONDecoder(parse_constant=lambda _: nan))


def _object(content: bytes, decoder: json.JSONDecoder) -> Mapping[str, Any]:
    try:
        fields = decoder.decode(content.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError:
        raise BadRecordError("not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadRecordError(_why(error)) from None
    if not isinstance(fields, dict):
        raise BadRecordError("not a JSON object")
    return fields


def _entries(path: Path, nan: Any) -> Iterator[tuple[str, Mapping[str, Any] | BadRecordError]]:
    """The entries of a JSON list, decoded one after the other."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8") from None
    decoder = json.JSONDecoder(parse_constant=lambda _: nan)
    at, number = _after(text, text.index("[") + 1), 0
    while not (text.startswith("]", at) and number == 0):
        number += 1
        try:
            entry, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: entry {number}: {_why(error)}") from None
        yield (
            f"entry {number}",
            entry if isinstance(entry, dict) else BadRecordError("not a JSON object"),
        )
        at = _after(text, at)
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            raise InputError(f"{path}: entry {number} is followed by neither a comma nor ]")
        at = _after(text, at + 1)
    if (at := _after(text, at + 1)) != len(text):
        raise InputError(f"{path}: more follows the end of its JSON list")


def _after(text: str, at: int) -> int:
    """Where the next character that is no space stands."""
    found = SPACE.match(text, at)
    return found.end() if found else at


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}"
    if isinstance(error, RecursionError):
        return "not JSON: nested too deeply"
    return f"not JSON that can be read: {error}"  # an integer of more digits than Python reads


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(1024) for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield f"row {number}", {str(name): plain(value) for name, value in row.items()}
    except pa.ArrowException as error:
        raise InputError(f"{path}: not Parquet that can be read: {error}") from None
