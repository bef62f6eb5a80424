"""Answers: what each trace states last, whether it is right, and which answers are equal.

How a text is read is `cot.answers`' work; here it becomes the tables that all else starts from.

    >>> answers(open_run("runs/demo"), format="number")                          # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.declaration import Shown, analysis
from cot.answers import explain_answers, read_answers
from cot.answers.table import chosen_format
from cot.console import printable
from cot.store.run import Run

__all__ = ["answers", "ballots_of"]


def _show(run: Run, table: pd.DataFrame) -> Shown:
    asked = run.provenance("answers").parameters
    chosen = chosen_format(run, asked["format"])
    verifier = asked["verifier"]
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
    return Shown(
        json={**result, "format": chosen.format, "why": chosen.why, "patterns": patterns},
        tables=[[result]],
        note=f"{how}; read by pattern: {by_pattern}",
    )


def _explain(run: Run, explain: str, **asked: Any) -> Shown:
    """A question's id: show what was extracted from where, each candidate and why it was chosen."""
    made = dict(run.provenance("answers").parameters) if "answers" in run.tables() else {}
    wanted = asked if not made or asked["format"] != "auto" else made
    if made != wanted or run.stale("answers"):
        answers(run, **wanted)
    explained = explain_answers(run, explain, run.table("answers"), str(wanted["format"]))
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
    return Shown(json=explained.as_dict(), tables=[rows], note=printable(note))


@analysis(
    makes={
        "answers": "one row a trace: its answer, how it was found, right or wrong",
        "greedy_answers": "the same of each question's greedy trace",
    },
    show=_show,
    views={"explain": _explain},
)
def answers(
    run: Run,
    format: str = "auto",
    verifier: str | None = None,
    verifier_seconds: float = 10.0,
) -> pd.DataFrame:
    """Extract the traces' answers and group them into equivalence classes.

    Writes and returns the table `answers`, see `cot.answers.read_answers`; also writes
    `greedy_answers` where there are greedy traces.

    Args:
        format: how answers are written. auto chooses one format from the run's choices and gold,
            and says why; or number, choice, yesno, text, latex, or a regular expression, whose last
            match wins: its group named answer, else its first group, else all of it.
        verifier: your own checker package.module:function, from (question, text) to (answer,
            correct). It reads and judges each trace instead of a format, in processes that can be
            killed.
        verifier_seconds: seconds that the checker may take on one trace.

    Raises:
        InputError: an unknown format, gold answers that the format cannot read, or a verifier that
            can't be loaded or fails on every trace.
    """
    table, greedy = read_answers(run, format, verifier, verifier_seconds)
    run.write_table("answers", table)
    if len(greedy):
        run.write_table("greedy_answers", greedy)
    return table


def ballots_of(answers: pd.DataFrame) -> pd.DataFrame:
    """The rows of an answers table that vote: status `ok`, and not beyond a question's stop."""
    votes = answers["status"] == "ok"
    if "surplus" in answers:
        votes &= ~answers["surplus"]
    return answers[votes]


def _line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value
