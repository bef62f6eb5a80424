"""A run, or one question of it, in the terminal.

Nothing that a model wrote is obeyed: control characters are shown as codes, and text is never read
as rich markup.

    >>> from rich.console import Console
    >>> Console().print(show_question(open_run("runs/demo"), "arithmetic-0003"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.page.comparison import compare
from analysis.page.data import MAKERS, Evidence, gather, overview
from analysis.page.headlines import headlines
from analysis.page.questions import question_detail
from analysis.page.text import decimal, percent, shorten, visible
from analysis.page.traces import Piece, joined
from cot.store.run import Run

__all__ = ["show_comparison", "show_question", "show_run"]

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
    detail = question_detail(gather(run), question_id)
    return Group(
        _line(f"{question_id} · {_gold(detail)}", "bold"),
        _line(detail["text"]),
        *(_line(f"  {chr(65 + i)}) {choice}") for i, choice in enumerate(detail["choices"] or [])),
        *_agreement(detail["agreement"]),
        Text(),
        _votes(detail),
        *_paths(detail),
        _traces(detail["traces"]),
    )


def show_comparison(run: Run, question_id: str, first: int, second: int) -> RenderableType:
    """Two traces of a question side by side: what each comes to, then their steps row by row.

    Wrong equations are followed by ✗ and what they come to; = marks rows of the same text.

    Raises:
        InputError: as `compare`.
    """
    compared = compare(run, question_id, first, second)
    traces = compared["traces"]
    table = Table(box=SIMPLE, pad_edge=False, expand=True)
    table.add_column("")
    for trace in traces:
        table.add_column(Text(f"#{trace['index']}"), ratio=1, overflow="fold")
    facts = [_facts(trace) for trace in traces]
    for name in facts[0]:
        left, right = (fact[name] for fact in facts)
        table.add_row(_line(name, "dim" if left == right else "yellow"), _line(left), _line(right))
    table.add_section()
    for row in compared["rows"]:
        cells = [_step(block, trace["checks"]) for block, trace in zip(row, traces, strict=True)]
        table.add_row("=" if cells[0].plain == cells[1].plain else "", *cells)
    heading = f"{question_id} · {_gold(compared)}"
    return Group(_line(heading, "bold"), _line(compared["text"]), table)


def _facts(trace: dict[str, Any]) -> dict[str, str]:
    """What two traces are compared by, in words."""
    computed = trace["computed"] or {}
    wrong, checked = computed.get("n_wrong"), computed.get("n_checked")
    used = ", used later" if computed.get("wrong_used") else ""
    return {
        "answer": f"{_stated(trace)} {_verdict(_right(trace))}".strip(),
        "path": _path(trace["path"]),
        "signature": computed.get("signature") or "–",
        "dataflow": computed.get("dataflow") or "–",
        "equations": f"{wrong} of {checked} wrong{used}" if checked else "–",
        "ended": trace["finish"],
    }


def _step(block: Sequence[Piece] | None, checks: Sequence[dict[str, Any]]) -> Text:
    """A step's text, its equations marked."""
    shown = Text()
    for i, (_, piece, stated, equation) in enumerate(block or ()):
        check = {} if equation is None else checks[equation]
        style = ("red " if check["wrong"] else "green ") if check else ""
        shown.append(visible(piece), style=style + ("bold" if stated else ""))
        ends = i + 1 == len(block or ()) or (block or ())[i + 1][3] != equation
        if check.get("wrong") and ends:
            value = "wrong" if check["value"] is None else f"is {check['value']}"
            shown.append(visible(f" ✗ {value}"), style="bold red")
    return shown


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
                _path(path["path"]),
                str(path["n"]),
                ", ".join(
                    f"{name} × {n}" for name, n in zip(names, path["counts"], strict=True) if n
                ),
                "–" if path["medoid"] is None else f"#{path['medoid']}",
                path["terms"] or "–",
            )
            for path in detail["paths"]
        ]
        yield _table(["path", "traces", "answers", "medoid", "terms"], rows)


def _traces(traces: list[dict[str, Any]]) -> Table:
    rows = [
        (
            str(trace["index"]),
            _path(trace["path"]),
            decimal(trace["score"]),
            _stated(trace),
            _verdict(_right(trace)),
            trace["finish"],
            (trace["computed"] or {}).get("signature") or "–",
            str((trace["computed"] or {}).get("n_wrong") or "–"),
            shorten(joined(trace["pieces"]), TEXT_WIDTH),
        )
        for trace in traces
    ]
    heads = ["#", "path", "P(right)", "answer", "", "ended", "signature", "wrong steps", "text"]
    return _table(heads, rows)


def _gold(detail: dict[str, Any]) -> str:
    return "no gold" if detail["gold"] is None else f"gold {detail['gold']}"


def _path(path: int | None) -> str:
    return "–" if path is None else "noise" if path == -1 else str(path)


def _stated(trace: dict[str, Any]) -> str:
    answer = trace["answer"]
    return str(answer) if answer is not None else f"({trace['status'] or 'not read'})"


def _right(trace: dict[str, Any]) -> bool | None:
    return trace["right"] if trace["status"] == "ok" else None


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
