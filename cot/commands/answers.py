"""`cot answers`."""

from __future__ import annotations

from pathlib import Path

from cot.answers import extract_answers
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["answers"]


def answers(
    run: Path,
    /,
    *,
    format: str = "auto",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Extract the traces' answers and group them into equivalence classes.

    Parameters
    ----------
    run
        The run's folder.
    format
        auto (from choices and gold), number, choice, yesno or text.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        table = extract_answers(opened, format)
    statuses = table["status"].value_counts()
    result = {
        "n": len(table),
        **{name: int(statuses.get(name, 0)) for name in ("ok", "missing", "unparsed", "truncated")},
        "correct": int(table["correct"].fillna(False).sum()),
        "without_gold": int(table["correct"].isna().sum()),
    }
    emit(output, result, rows=[result])
