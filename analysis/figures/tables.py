"""What figures read: tables that are there. Nothing is computed for a picture unasked."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from cot.store.run import Run

__all__ = ["place_of", "read", "rows_of"]

ORDER = ["prompt_end", "step_end", "mean", "pre_answer", "cue", "answer"]
"""Positions as they come in a trace; others follow by name."""


def read(run: Run, name: str, command: str) -> pd.DataFrame:
    """A table with rows; a notice is logged where it is stale.

    Args:
        command: makes it, such as `cot curve RUN --rule majority`.

    Raises:
        InputError: it is missing, or empty.
    """
    typed = command.replace("RUN", str(run.path))
    if name not in run.tables():
        raise InputError(f"{run.path} has no table {name} to draw: `{typed}` makes it")
    table = run.table(name)
    if table.empty:
        raise InputError(f"table {name} of {run.path} is empty: there is nothing to draw")
    return table


def rows_of(run: Run, table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """The rows in which the column has this value.

    Raises:
        InputError: there are none (the message suggests close values).
    """
    rows = table[table[column] == value]
    if rows.empty:
        known = [str(each) for each in table[column].unique()]
        close = get_close_matches(str(value), known, cutoff=0.4) or known[:3]
        there = ", ".join(map(repr, close))
        raise InputError(f"{run.path} has no {column} {value!r} to draw: did you mean {there}?")
    return rows.reset_index(drop=True)


def place_of(position: str) -> tuple[int, str]:
    """Sorts positions as they come in a trace."""
    return (ORDER.index(position) if position in ORDER else len(ORDER), position)
