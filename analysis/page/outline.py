"""A long trace in the terminal: the outline of its sections, one section, or where words stand.

    #  kind         tokens  logprob  wrong   begins
    0  setup           128    −0.31  –       Okay, so I have to find ...
    1  calculation     240    −0.12  1 of 3  [the answer first appears] 5 + 7 = 12, and ...

A trace is long where its text is; its sections are those of the table `sections`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.figures.text import shorten
from analysis.page.sections.traces.outline import TraceSection
from analysis.page.sections.traces.traces import Piece, Trace, joined
from cot.errors import InputError

__all__ = ["Hit", "OutlineRow", "find_words", "outline", "read_section", "summary_of"]

BEGINS = 36
"""Characters of a section's beginning."""
AROUND = 60
"""Characters on each side of what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineRow:
    """A section of a trace in one line."""

    section: int
    """Its number, from 0."""
    part: str
    """`reasoning` or `answer`."""
    kind: str
    """Its category."""
    n_tokens: int | None
    """Its tokens; None where the table doesn't know them."""
    logprob: float | None
    """Mean log-probability of its tokens, in nats; None where none is stored."""
    n_checked: int
    """Its equations that could be checked."""
    n_wrong: int
    """Those that are false."""
    answer: str
    """`first appears`, `last changed`, both or neither: what becomes of the trace's answer."""
    begins: str
    """Its first words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A place in a trace where words stand."""

    trace: int
    """The trace's sample index."""
    section: int | None
    """The section; None where the trace has none."""
    before: str
    """What stands before them, on one line."""
    found: str
    """The words as the trace has them."""
    after: str
    """What stands after them, on one line."""


def outline(trace: Trace) -> list[OutlineRow]:
    """The trace's sections in order."""
    places = trace.places
    rows = []
    for number, (section, pieces) in enumerate(zip(trace.sections, _cut(trace), strict=True)):
        checks = {piece[3] for piece in pieces if piece[3] is not None}
        steps = range(section.first_step, section.last_step + 1)
        at = (places.first, places.changed) if places is not None else (None, None)
        said = dict(zip(("first appears", "last changed"), at, strict=True))
        rows.append(
            OutlineRow(
                section=number,
                part=section.part,
                kind=section.kind,
                n_tokens=section.n_tokens,
                logprob=section.logprob,
                n_checked=len(checks),
                n_wrong=sum(trace.checks[check].wrong for check in checks),
                answer=", ".join(words for words, step in said.items() if step in steps),
                begins=shorten(joined(pieces)[: 4 * BEGINS], BEGINS),
            )
        )
    return rows


def summary_of(rows: Sequence[OutlineRow]) -> str:
    """An outline in a line.

    >>> summary_of(outline(trace))                                               # doctest: +SKIP
    '3 sections, 1,204 tokens: 2 calculation, 1 answer; the answer first appears in section 1'
    """
    kinds: dict[str, int] = {}
    for row in rows:
        kinds[row.kind] = kinds.get(row.kind, 0) + 1
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    tokens = [row.n_tokens for row in rows if row.n_tokens is not None]
    size = f", {sum(tokens):,} tokens" if len(tokens) == len(rows) else ""
    answers = [f"{row.answer} in section {row.section}" for row in rows if row.answer]
    said = f"; the answer {', '.join(answers)}" if answers else ""
    return f"{len(rows)} sections{size}: {', '.join(f'{n} {kind}' for kind, n in ordered)}{said}"


def read_section(trace: Trace, section: int) -> list[Piece]:
    """The pieces of one section.

    Raises:
        InputError: the trace has no such section.
    """
    cut = _cut(trace)
    if not 0 <= section < len(cut):
        there = f"it has 0 to {len(cut) - 1}" if cut else "cot segment RUN makes sections"
        raise InputError(f"--section {section}: trace {trace.index} has no such section; {there}")
    return cut[section]


def find_words(traces: Sequence[Trace], words: str) -> Iterator[Hit]:
    """Every place where the words stand, whatever their case and the white space between them.

    Raises:
        InputError: there are no words.
    """
    if not words.strip():
        raise InputError("--find takes the words to look for")
    pattern = re.compile(r"\s+".join(map(re.escape, words.split())), re.I)
    for trace in traces:
        parts = _cut(trace) if trace.sections else [list(trace.pieces)]
        text = "".join(map(joined, parts))
        number, end = 0, len(joined(parts[0])) if parts else 0
        for match in pattern.finditer(text):
            while match.start() >= end:
                number += 1
                end += len(joined(parts[number]))
            yield Hit(
                trace=trace.index,
                section=number if trace.sections else None,
                before=_line(text[max(0, match.start() - AROUND) : match.start()]),
                found=_line(match[0]),
                after=_line(text[match.end() : match.end() + AROUND]),
            )


def _cut(trace: Trace) -> list[list[Piece]]:
    """The trace's pieces by section; what stands between two steps goes with the one before."""
    of = [n for n, each in enumerate(trace.sections) for _ in range(_length(each))]
    cut: list[list[Piece]] = [[] for _ in trace.sections]
    number = 0
    for piece in trace.pieces if cut else []:
        if piece[0] is not None and piece[0] < len(of):
            number = of[piece[0]]
        cut[number].append(piece)
    return cut


def _length(section: TraceSection) -> int:
    return section.last_step - section.first_step + 1


def _line(text: str) -> str:
    """White space as one space each, those at the ends too."""
    return re.sub(r"\s+", " ", text)
