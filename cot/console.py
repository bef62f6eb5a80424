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
"""Characters; shorter texts are not broken over lines, and numbers never are."""
UNSEEN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""
ROOM = 10**6
"""More columns than any table has."""
KEPT = ("accuracy", "estimate", "low", "high")
"""Columns of numbers that are shown however narrow the terminal is."""


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
        _print_table(plain(rows))
    if note:
        print(note)


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as wide as the terminal is; no cell is cropped.

    Where they don't fit, columns are left out from the right and named under the table. Labels
    (the texts before the first number) and KEPT stay; where these don't fit either, each row is
    printed as lines of name and value.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    if not console.is_terminal:
        console.width = UNSEEN_WIDTH
    numeric = {
        name: all(_is_number(row[name]) or row[name] is None for row in rows) for name in rows[0]
    }
    names = list(rows[0])
    first_number = next((n for n, name in enumerate(names) if numeric[name]), len(names))
    needed = {*names[: max(first_number, 1)], *KEPT}
    shown, space = list(names), 1
    while True:
        table = _table(rows, shown, numeric, space)
        # Measured with room to spare: rich cuts a measure to the width that it is given.
        least = Measurement.get(console, console.options.update(width=ROOM), table).minimum
        if least <= console.width:
            break
        if space:  # before a column goes, they move together
            space = 0
            continue
        spare = [name for name in shown if name not in needed]
        if not spare:
            _print_stacked(rows, console)
            return
        shown.remove(spare[-1])
    console.print(table)
    if len(shown) < len(names):
        left_out = ", ".join(name for name in names if name not in shown)
        print(f"Columns that did not fit: {left_out} (--json has all of them)")


def _table(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], numeric: Mapping[str, bool], space: int
) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, space, 0, 0))
    for name in names:
        widest = max(cell_len(_cell(row[name])) for row in rows)
        table.add_column(
            Text(name),
            justify="right" if numeric[name] else "left",
            overflow="fold",
            no_wrap=numeric[name],
            min_width=max(cell_len(name), widest if numeric[name] else min(widest, UNBROKEN)),
        )
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in names))
    return table


def _print_stacked(rows: Sequence[Mapping[str, Any]], console: Any) -> None:
    """Each row as lines of name and value, a blank line between rows."""
    from rich.text import Text

    wide = max(map(len, rows[0]))
    for number, row in enumerate(rows):
        if number:
            console.print()
        for name, value in row.items():
            console.print(Text(f"{name:<{wide}}  {_cell(value)}"), soft_wrap=True)


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
