"""A run, or one question of it, in the terminal.

What a model wrote is shown and not interpreted: control characters appear as codes, and text is
never read as rich markup. At 80 columns a cell folds over lines; nothing is cut unless it is said.

    >>> from rich.console import Console
    >>> Console().print(show_question(open_run("runs/demo"), "arithmetic-0003"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.figures.text import decimal, flag, number, percent, shorten, visible
from analysis.page.comparison import Comparison, compare
from analysis.page.evidence import Evidence, gather, overview
from analysis.page.outline import OutlineRow, find_words, outline, read_section, summary_of
from analysis.page.section import headlines
from analysis.page.sections.traces.outline import short_form
from analysis.page.sections.traces.questions import Agreement, QuestionDetail, question_detail
from analysis.page.sections.traces.traces import Check, Piece, Trace, joined
from analysis.summary import suspicious
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["pick_traces", "show_comparison", "show_found", "show_question", "show_run"]

MOST_TEXT = 4000
"""Characters shown of a trace; how many there are more is said."""
MOST_HITS = 50
"""Places shown where words stand; how many there are is said."""
SUSPICIOUS = 5
"""Questions shown of a run, so that the findings are on the first screen too."""


def show_run(run: Run, settings: bool = False, numbers: bool = False) -> RenderableType:
    """Suspicious questions and why they are, headline findings, counts, and what each analysis has
    written.

    Args:
        settings: show how the run was sampled, too.
        numbers: show the estimates behind each finding with their controls, too.
    """
    evidence = gather(run)
    seen = overview(evidence)
    counts = [(name, f"{value:,}", note) for name, value, note in seen.counts]
    shown = [
        _line(f"{seen.dataset} · {seen.model}", "bold"),
        Text(),
        *_suspicious(run),
        *_findings(evidence, numbers),
        _table(["count", "", "of"], counts),
        _analyses(evidence),
    ]
    if not numbers:
        shown.append(_line(f"The numbers behind the findings: cot show {run.path} --numbers"))
    if settings:
        shown.append(_table(["setting", "value"], seen.settings))
    else:
        shown.append(_line(f"{len(seen.settings)} settings: cot show {run.path} --settings"))
    return Group(*shown)


def show_question(
    run: Run, question_id: str, trace: int | None = None, section: int | None = None
) -> RenderableType:
    """The question, its gold, why it is suspicious, its votes and clusters, and each trace: a line
    on it, then its text at the full width; of a long one, how it is made up of sections.

    Args:
        trace: sample index of the one trace to show instead: its text, or the outline of its
            sections where it is long.
        section: show the text of this section of that trace.

    Raises:
        InputError: no such question (the message suggests close ids), trace or section.
    """
    detail = question_detail(gather(run), question_id)
    if trace is not None:
        (one,) = pick_traces(detail, trace, f"{run.path} question {question_id!r}")
        asked = [_line(f"{question_id} · {_gold(detail)}", "bold"), _line(detail.text)]
        return Group(*asked, *_one_trace(one, section))
    return Group(
        _line(f"{question_id} · {_gold(detail)}", "bold"),
        _line(detail.text),
        *(_line(f"  {chr(65 + i)}) {choice}") for i, choice in enumerate(detail.choices or [])),
        *_agreement(detail.agreement),
        Text(),
        _votes(detail),
        *_clusters(detail),
        *(each for shown in detail.traces or [] for each in _trace(shown)),
    )


def show_found(run: Run, question_id: str, words: str, trace: int | None = None) -> RenderableType:
    """The places in the question's traces, or in one of them, where the words stand.

    Raises:
        InputError: no such question or trace, or no words.
    """
    detail = question_detail(gather(run), question_id)
    traces = pick_traces(detail, trace, f"{run.path} question {question_id!r}")
    hits = list(find_words(traces, words))
    table = _frame(["trace", "section", "text"])
    for hit in hits[:MOST_HITS]:
        text = Text.assemble(
            visible(hit.before), (visible(hit.found), "bold reverse"), visible(hit.after)
        )
        table.add_row(f"#{hit.trace}", "–" if hit.section is None else f"{hit.section}", text)
    of = f"{len({hit.trace for hit in hits})} of {len(traces)} traces"
    more = f"; the first {MOST_HITS} are shown" if len(hits) > MOST_HITS else ""
    head = _line(f"{question_id} · {len(hits):,} places in {of}{more}", "bold")
    return Group(head, table) if hits else Group(head)


def pick_traces(detail: QuestionDetail, trace: int | None, where: str) -> list[Trace]:
    """All traces of a question, or the one of a sample index.

    Raises:
        InputError: no such trace; the message begins with `where`.
    """
    traces = detail.traces or []
    chosen = [each for each in traces if trace is None or each.index == trace]
    if trace is not None and not chosen:
        there = shorten(", ".join(str(each.index) for each in traces) or "none", 80)
        raise InputError(f"{where} has no trace {trace}: choose from {there}")
    return chosen


def show_comparison(run: Run, question_id: str, first: int, second: int) -> RenderableType:
    """Two traces of a question side by side: what each comes to, then their steps row by row.

    Wrong equations are followed by ✗ and what they come to; = marks rows of the same text.

    Raises:
        InputError: as `compare`.
    """
    compared = compare(run, question_id, first, second)
    traces = compared.traces
    table = Table(box=SIMPLE, pad_edge=False, expand=True)
    table.add_column("")
    for trace in traces:
        table.add_column(Text(f"#{trace.index}"), ratio=1, overflow="fold")
    facts = [_facts(trace) for trace in traces]
    for name in facts[0]:
        left, right = (fact[name] for fact in facts)
        table.add_row(_line(name, "dim" if left == right else "yellow"), _line(left), _line(right))
    table.add_section()
    for row in compared.rows:
        cells = [_step(block, trace.checks) for block, trace in zip(row, traces, strict=True)]
        table.add_row("=" if cells[0].plain == cells[1].plain else "", *cells)
    heading = f"{question_id} · {_gold(compared)}"
    return Group(_line(heading, "bold"), _line(compared.text), table)


def _facts(trace: Trace) -> dict[str, str]:
    """What two traces are compared by, in words."""
    computed = trace.computed
    equations = "–"
    if computed and computed.n_checked:
        used = ", used later" if computed.wrong_used else ""
        equations = f"{computed.n_wrong} of {computed.n_checked} wrong{used}"
    return {
        "answer": f"{_stated(trace)} {_verdict(_right(trace))}".strip(),
        "cluster": _cluster(trace.cluster),
        "signature": (computed and short_form(computed.signature)) or "–",
        "dataflow": (computed and short_form(computed.dataflow)) or "–",
        "equations": equations,
        "ended": trace.finish,
    }


def _step(block: Sequence[Piece] | None, checks: Sequence[Check]) -> Text:
    """A step's text, its equations marked."""
    shown = Text()
    for i, (_, piece, stated, equation) in enumerate(block or ()):
        check = None if equation is None else checks[equation]
        style = "" if check is None else "red " if check.wrong else "green "
        shown.append(visible(piece), style=style + ("bold" if stated else ""))
        ends = i + 1 == len(block or ()) or (block or ())[i + 1][3] != equation
        if check is not None and check.wrong and ends:
            value = "wrong" if check.value is None else f"is {check.value}"
            shown.append(visible(f" ✗ {value}"), style="bold red")
    return shown


def _suspicious(run: Run) -> Iterable[RenderableType]:
    ranked = suspicious(run)
    if not len(ranked):
        yield _line(f"No question is ranked by suspicion yet: cot agree {run.path} does that.")
        yield Text()
        return
    rows = [
        (
            str(row["question_id"]),
            decimal(number(row["suspicion"])),
            _verdict(flag(row["correct"])) or "–",
            str(row["why"]),
        )
        for row in ranked.head(SUSPICIOUS).to_dict("records")
    ]
    yield _line("Suspicious questions", "bold")
    yield _table(["question", "suspicion", "majority", "why"], rows)
    yield _line(f"{len(rows)} of {len(ranked)}; cot show {run.path} QUESTION shows one of them.")
    yield Text()


def _findings(evidence: Evidence, numbers: bool) -> Iterable[RenderableType]:
    for headline in headlines(evidence):
        if not headline.rows:
            continue
        yield _line(headline.title, "bold")
        for claim in (*headline.claims, *(headline.asides if numbers else ())):
            yield _line(claim)
        if not numbers:
            yield Text()
            continue
        rows = [
            (
                "\n".join([row.label, *(f"  {name} {shown}" for name, _, shown in row.controls)]),
                row.shown,
                row.interval,
                f"{row.n_questions}",
                f"{row.n_traces}",
                f"{row.n_excluded}",
            )
            for row in headline.rows
        ]
        heads = ["finding, controls", "estimate", "95% interval", "questions", "traces", "left out"]
        yield _table(heads, rows)


def _analyses(evidence: Evidence) -> Table:
    """One row an analysis: whether its tables are current, stale (why) or missing (the command)."""
    table = _frame(["analysis", "tables"])
    for each in {maker.name: maker for maker in evidence.makers.values()}.values():
        there = [name for name in each.makes if name in evidence.tables]
        stale = {evidence.stale[name] for name in there if name in evidence.stale}
        if not there:
            said, style = f"none: cot {each.name} {evidence.run.path}", "dim"
        elif stale:
            said, style = f"stale: {'; '.join(sorted(stale))}", "yellow"
        else:
            said, style = f"current: {', '.join(there)}", ""
        table.add_row(_line(each.name, style), _line(said, style))
    return table


def _agreement(agreement: Agreement | None) -> Iterable[Text]:
    if agreement is not None:
        kinds = ", ".join(agreement.kinds)
        yield _line(f"suspicion {decimal(agreement.suspicion)}: {agreement.why}")
        yield _line(f"kinds: {kinds or 'none'}")
        if agreement.moved is not None:
            of = f"{percent(agreement.moved)} of {agreement.n_patched} traces"
            yield _line(f"states moved the answer: {of}")


def _votes(detail: QuestionDetail) -> Table:
    voters = sum(entry.n for entry in detail.answers)
    rows = [
        (entry.answer, str(entry.n), percent(entry.n / voters), _verdict(entry.right))
        for entry in detail.answers
    ]
    rows += [(f"({status})", str(n), "no vote", "") for status, n in detail.excluded.items()]
    return _table(["answer", "traces", "share", ""], rows)


def _clusters(detail: QuestionDetail) -> Iterable[Table]:
    if detail.clusters:
        names = [entry.answer for entry in detail.answers]
        rows = [
            (
                _cluster(cluster.cluster),
                str(cluster.n),
                ", ".join(
                    f"{name} × {n}" for name, n in zip(names, cluster.counts, strict=True) if n
                ),
                "–" if cluster.medoid is None else f"#{cluster.medoid}",
                cluster.terms or "–",
            )
            for cluster in detail.clusters
        ]
        yield _table(["cluster", "traces", "answers", "medoid", "terms"], rows)


def _trace(trace: Trace) -> Iterable[RenderableType]:
    """A line on the trace, then its text, or how a long one is made up."""
    yield from _head(trace)
    text = joined(trace.pieces).strip()
    if len(text) > MOST_TEXT and trace.sections:
        yield _line(f"{summary_of(outline(trace))}; --trace {trace.index} outlines it")
        return
    yield _line(text[:MOST_TEXT])
    if len(text) > MOST_TEXT:
        yield _line(f"… {len(text) - MOST_TEXT:,} more characters; --json has them", "dim")


def _one_trace(trace: Trace, section: int | None) -> Iterable[RenderableType]:
    """A line on the trace, then one of its sections, its outline, or its text."""
    yield from _head(trace)
    if section is not None:
        pieces = read_section(trace, section)
        yield _line(f"section {section} of {len(trace.sections)}", "dim")
        yield _step(pieces, trace.checks)
        return
    text = joined(trace.pieces).strip()
    if len(text) <= MOST_TEXT or not trace.sections:
        yield _line(text)
        return
    rows = outline(trace)
    yield _line(summary_of(rows))
    yield _outline(rows)
    yield _line(f"--trace {trace.index} --section N reads one; --find TEXT looks for words.")


def _outline(rows: Sequence[OutlineRow]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("#", "kind", "tokens", "logprob", "wrong"):
        table.add_column(Text(head), no_wrap=True)
    table.add_column(Text("begins"), overflow="fold")
    part = "reasoning"
    for row in rows:
        said = Text()
        if row.part != part:
            part = row.part
            said.append(f"[{part}] ", style="bold")
        if row.answer:
            said.append(f"[the answer {row.answer}] ", style="bold")
        said.append(visible(row.begins))
        cells = (
            f"{row.section}",
            row.kind,
            "–" if row.n_tokens is None else f"{row.n_tokens:,}",
            decimal(row.logprob),
            f"{row.n_wrong} of {row.n_checked}" if row.n_checked else "–",
        )
        table.add_row(*map(_line, cells), said)
    return table


def _head(trace: Trace) -> Iterable[RenderableType]:
    computed = trace.computed
    facts = [
        f"#{trace.index}",
        f"{_stated(trace)} {_verdict(_right(trace))}".strip(),
        f"cluster {_cluster(trace.cluster)}",
        f"P(right) {decimal(trace.score)}" if trace.score is not None else "",
        f"computes {short_form(computed.signature)}" if computed and computed.signature else "",
        f"false equations {computed.n_wrong}" if computed and computed.n_wrong else "",
        "" if trace.finish == "stop" else f"ended by {trace.finish}",
    ]
    yield Text()
    yield _line(" · ".join(fact for fact in facts if fact), "bold")


def _gold(shown: QuestionDetail | Comparison) -> str:
    return "no gold" if shown.gold is None else f"gold {shown.gold}"


def _cluster(label: int | None) -> str:
    return "–" if label is None else "noise" if label == -1 else str(label)


def _stated(trace: Trace) -> str:
    return trace.answer if trace.answer is not None else f"({trace.status or 'not read'})"


def _right(trace: Trace) -> bool | None:
    return trace.right if trace.status == "ok" else None


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
        table.add_column(
            Text(head), overflow="fold"
        )  # not the default, which cuts with an ellipsis
    return table


def _line(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)
