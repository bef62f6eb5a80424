"""`cot answers`."""

from __future__ import annotations

from pathlib import Path

from cot.answers import explain_answers, extract_answers
from cot.console import Output, emit, listen, printable
from cot.run import Run, open_run

__all__ = ["answers"]


def answers(
    run: Path,
    /,
    *,
    format: str = "auto",
    explain: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Extract the traces' answers and group them into equivalence classes.

    Parameters
    ----------
    run
        The run's folder.
    format
        auto (from choices and gold), number, choice, yesno, text, latex, or a regular expression,
        whose last match wins: its group named answer, else its first group, else all of it.
    explain
        A question's id: show what was extracted from where.
    """
    listen()
    opened = open_run(run)
    if explain is not None:
        _explain(opened, explain, format, output)
        return
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


def _explain(run: Run, question_id: str, format: str, output: Output) -> None:
    explained = explain_answers(run, question_id, format)
    rows = [{name: _line(value) for name, value in trace.items()} for trace in explained.traces]
    gold = "none"
    if explained.gold is not None:
        gold = (
            f"{_line(explained.gold)} (canonical: {explained.gold_canonical or 'not understood'})"
        )
    note = f"question: {explained.question_id}   format: {explained.format}   gold: {gold}"
    emit(output, explained.as_dict(), rows=rows, note=printable(note))


def _line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value
