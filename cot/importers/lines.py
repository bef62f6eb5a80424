"""Files of one JSON object a line, read line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cot.importers.record import BadRecordError, Record, Rejected

__all__ = ["parse", "read_lines"]

Read = Callable[[str, Mapping[str, Any]], Iterable[Record | Rejected]]
"""(line number, its object) to the samples that it holds."""


def read_lines(path: Path, read: Read, *, nan: Any = float("nan")) -> Iterator[Record | Rejected]:
    """The samples of each line that is not blank, checked; BadRecordError rejects the line.

    Args:
        nan: what NaN and Infinity, which Python's json module writes but JSON does not have,
            are read as.
    """
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                yield from read(str(number), parse(line, nan=nan))
            except BadRecordError as error:
                yield Rejected(place=str(number), reason=str(error))


def parse(content: bytes, *, nan: Any = float("nan")) -> Mapping[str, Any]:
    """The JSON object that these bytes are, or BadRecordError."""
    try:
        fields = json.loads(content.decode("utf-8-sig"), parse_constant=lambda _: nan)
    except UnicodeDecodeError:
        raise BadRecordError("not UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise BadRecordError(f"not JSON: {reason}") from None
    except ValueError as error:  # an integer of more digits than Python reads
        raise BadRecordError(f"not JSON that can be read: {error}") from None
    if not isinstance(fields, dict):
        raise BadRecordError("not a JSON object")
    return fields
