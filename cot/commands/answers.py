"""`cot answers`."""

from __future__ import annotations

from pathlib import Path

from cot.answers import explain_answers, extract_answers
from cot.answers.table import chosen_format
from cot.console import Output, emit, listen, printable
from cot.store.run import Run, open_run

__all__ = ["answers"]


def answers(
    run: Path,
    /,
    *,
    format: str = "auto",
    verifier: str | None = None,
    verifier_seconds: float = 10.0,
    explain: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Extract the traces' answers and group them into equivalence classes.

    Parameters
    ----------
    run
        The run's folder.
    format
        auto (from the choices and gold of the whole run; says what it chose and why), number,
        choice, yesno, text, latex, or a regular expression, whose last match wins: its group named
        answer, else its first group, else all of it.
    verifier
        package.module:function, a checker of your own: (question, text) to (answer, correct). It
        reads and judges each trace instead of a format, in processes that can be killed.
    verifier_seconds
        Most time that it may take on one trace.
    explain
        A question's id: show what was extracted from where, each candidate and why it was chosen.
    """
    listen()
    opened = open_run(run)
    if explain is not None:
        _explain(opened, explain, format, output)
        return
    with opened.lock():
        table = extract_answers(opened, format, verifier, verifier_seconds)
    chosen = chosen_format(opened, format)
    how = f"format: {chosen.format} ({chosen.why})" if verifier is None else f"by {verifier}"
    statuses = table["status"].value_counts()
    result = {
        "n": len(table),
        **{name: int(statuses.get(name, 0)) for name in ("ok", "missing", "unparsed", "truncated")},
        "correct": int(table["correct"].fillna(False).sum()),
        "without_gold": int(table["correct"].isna().sum()),
    }
    read = table.loc[table["status"] == "ok", "pattern"].value_counts()
    patterns = {str(name): int(n) for name, n in read.items()}
    by_pattern = ", ".join(f"{name} {n}" for name, n in patterns.items()) or "none"
    emit(
        output,
        {**result, "format": chosen.format, "why": chosen.why, "patterns": patterns},
        rows=[result],
        note=f"{how}; read by pattern: {by_pattern}",
    )


def _explain(run: Run, question_id: str, format: str, output: Output) -> None:
    explained = explain_answers(run, question_id, format)
    rows = []
    for trace in explained.traces:
        candidates = trace["candidates"]
        chosen = next((each["why"] for each in candidates if each["why"].startswith("chosen")), "")
        told = {name: value for name, value in trace.items() if name != "candidates"}
        rows.append({**told, "why": chosen})
        others = (each for each in candidates if not each["why"].startswith("chosen"))
        rows.extend({**dict.fromkeys(told, ""), **each} for each in others)
    rows = [{name: _line(value) for name, value in row.items()} for row in rows]
    gold = "none"
    if explained.gold is not None:
        gold = (
            f"{_line(explained.gold)} (canonical: {explained.gold_canonical or 'not understood'})"
        )
    note = f"question: {explained.question_id}   format: {explained.format}   gold: {gold}"
    emit(output, explained.as_dict(), rows=rows, note=printable(note))


def _line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value
