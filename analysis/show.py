"""A run, or one question of it, in the terminal.

Nothing that a model wrote is obeyed: control characters are shown as codes, and text is never read
as rich markup.

    >>> from rich.console import Console
    >>> Console().print(show_question(open_run("runs/demo"), "arithmetic-0003"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from math import inf
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.report.data import MAKERS, Evidence, gather, overview
from analysis.report.headlines import headlines
from analysis.report.questions import question_details
from analysis.report.text import decimal, percent, shorten, visible
from cot.errors import InputError
from cot.run import Run

__all__ = ["show_question", "show_run"]

TEXT_WIDTH = 160
"""Characters shown of each trace."""


def show_run(run: Run) -> RenderableType:
    """Counts, settings, tables and whether they are stale, and the headline findings."""
    evidence = gather(run)
    seen = overview(evidence)
    counts = ", ".join(f"{value:,} {name} ({note})" for name, value, note in seen["counts"])
    return Group(
        _line(f"{seen['dataset']} · {seen['model']}", "bold"),
        _line(counts),
        Text(),
        _table(["setting", "value"], seen["settings"]),
        _tables(evidence),
        *_findings(evidence),
    )


def show_question(run: Run, question_id: str) -> RenderableType:
    """The question, its gold, votes, paths and traces, each trace's text shortened.

    Raises:
        InputError: no such question (the message suggests close ids).
    """
    evidence = gather(run)
    known = [str(name) for name in evidence.questions["question_id"]]
    if question_id not in known:
        close = get_close_matches(question_id, known, cutoff=0.4) or known[:3]
        there = ", ".join(repr(name) for name in close)
        raise InputError(f"{run.path} has no question {question_id!r}: did you mean {there}?")
    detail = question_details(evidence, [question_id], budget=inf)[question_id]
    gold = "no gold" if detail["gold"] is None else f"gold {detail['gold']}"
    return Group(
        _line(f"{question_id} · {gold}", "bold"),
        _line(detail["text"]),
        *(_line(f"  {chr(65 + i)}) {choice}") for i, choice in enumerate(detail["choices"] or [])),
        *_agreement(detail["agreement"]),
        Text(),
        _votes(detail),
        *_paths(detail),
        _traces(detail["traces"]),
    )


def _tables(evidence: Evidence) -> Table:
    table = _frame(["table", "state"])
    for name in MAKERS:
        if name not in evidence.tables:
            table.add_row(_line(name, "dim"), _line(f"none: {evidence.command(name)}", "dim"))
        elif name in evidence.stale:
            table.add_row(_line(name), _line(f"stale: {evidence.stale[name]}", "yellow"))
        else:
            table.add_row(_line(name), _line(f"{len(evidence.tables[name]):,} rows"))
    return table


def _findings(evidence: Evidence) -> Iterable[RenderableType]:
    for headline in headlines(evidence):
        if not headline.rows:
            continue
        yield _line(headline.title, "bold")
        for claim in (*headline.claims, *headline.asides):
            yield _line(f"  {claim}")
        rows = [
            (
                row.label,
                row.shown,
                row.interval,
                ", ".join(f"{name} {shown}" for name, _, shown in row.controls),
                f"{row.n_questions} questions, {row.n_traces} traces, {row.n_excluded} left out",
            )
            for row in headline.rows
        ]
        yield _table(["finding", "estimate", "95% interval", "control", "from"], rows)


def _agreement(agreement: dict[str, Any] | None) -> Iterable[Text]:
    if agreement is not None:
        kinds = ", ".join(agreement["kinds"])
        yield _line(f"suspicion {decimal(agreement['suspicion'])}: {agreement['why']}")
        yield _line(f"kinds: {kinds or 'none'}")


def _votes(detail: dict[str, Any]) -> Table:
    voters = sum(entry["n"] for entry in detail["answers"])
    rows = [
        (entry["answer"], str(entry["n"]), percent(entry["n"] / voters), _verdict(entry["right"]))
        for entry in detail["answers"]
    ]
    rows += [(f"({status})", str(n), "no vote", "") for status, n in detail["excluded"].items()]
    return _table(["answer", "traces", "share", ""], rows)


def _paths(detail: dict[str, Any]) -> Iterable[Table]:
    if detail["paths"]:
        names = [str(entry["answer"]) for entry in detail["answers"]]
        rows = [
            (
                str(path["path"]),
                str(path["n"]),
                ", ".join(
                    f"{name} × {n}" for name, n in zip(names, path["counts"], strict=True) if n
                ),
            )
            for path in detail["paths"]
        ]
        yield _table(["path", "traces", "answers"], rows)


def _traces(traces: list[dict[str, Any]]) -> Table:
    rows = [
        (
            str(trace["index"]),
            "–" if trace["path"] is None else str(trace["path"]),
            decimal(trace["score"]),
            trace["answer"]
            if trace["answer"] is not None
            else f"({trace['status'] or 'not read'})",
            _verdict(trace["right"] if trace["status"] == "ok" else None),
            trace["finish"],
            shorten("".join(piece for _, piece, *_ in trace["pieces"]), TEXT_WIDTH),
        )
        for trace in traces
    ]
    return _table(["#", "path", "P(right)", "answer", "", "ended", "text"], rows)


def _verdict(right: bool | None) -> str:
    return "" if right is None else "✓ right" if right else "✗ wrong"


def _table(heads: list[str], rows: Iterable[Iterable[str]]) -> Table:
    table = _frame(heads)
    for row in rows:
        table.add_row(*(_line(cell) for cell in row))
    return table


def _frame(heads: list[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(Text(head))
    return table


def _line(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)
