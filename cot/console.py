"""What a command prints: results to stdout as a table or as one JSON object, the rest to stderr."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["Output", "emit", "listen", "plain"]


UNBROKEN = 30
"""Characters; shorter cells are not broken over lines."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """Options that every command has."""

    json: bool = False
    """Print one JSON object instead of a table."""
    debug: Annotated[bool, Parameter(show=True)] = False
    """Show the traceback of an error."""


def emit(
    output: Output,
    result: Mapping[str, Any],
    *,
    rows: Sequence[Mapping[str, Any]] = (),
    note: str = "",
) -> None:
    """Print a command's result.

    Args:
        result: the JSON object.
        rows: the table, one mapping a row, all with the same keys.
        note: a line under the table.
    """
    if output.json:
        print(json.dumps(plain(result), ensure_ascii=False, allow_nan=False))
        return
    if rows:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        numeric = {
            name: all(_is_number(row[name]) or row[name] is None for row in map(plain, rows))
            for name in rows[0]
        }
        for name in rows[0]:
            widest = max(len(_cell(row[name])) for row in plain(rows))
            table.add_column(
                Text(name),
                justify="right" if numeric[name] else "left",
                overflow="fold",
                min_width=widest if numeric[name] or widest <= UNBROKEN else None,
            )
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in plain(row).values()))
        console = Console()
        if not console.is_terminal:
            console.width = 160
        console.print(table)
    if note:
        print(note)


def plain(value: Any) -> Any:
    """The value as JSON has it: no NaN (None instead), no numpy, no path objects."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(value.tolist())
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)


def listen(level: int = logging.INFO) -> None:
    """Send the package's notices to stderr, one line each."""
    log = logging.getLogger("cot")
    log.setLevel(level)
    if not log.handlers:
        log.addHandler(_Stderr())
    log.propagate = False


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write to whatever stderr is now."""
        print(f"cot: {printable(record.getMessage())}", file=sys.stderr)


def printable(text: str) -> str:
    """Text without control characters, safe to show in a terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value))
