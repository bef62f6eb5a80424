"""Two traces of one question beside each other, their steps aligned row by row.

Steps are aligned as lines are in a side-by-side diff: those that share most of their words stand in
one row, in order; what lies between them fills rows as it comes.

    >>> align(["5 + 7 = 12", "so 12"], ["I begin", "5 + 7 = 12", "then 12 * 2"])
    [(None, 0), (0, 1), (1, 2)]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from analysis.figures.text import shorten
from analysis.page.evidence import gather
from analysis.page.sections.traces.questions import question_detail
from analysis.page.sections.traces.traces import Piece, Trace, joined
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["Comparison", "align", "compare"]

ALIKE = 0.3
"""Share of words (of either step) that two steps have in common, above which they may be a row."""
Pair = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two traces of a question, and rows of their steps."""

    question_id: str
    """The question's id."""
    text: str
    """What it asks."""
    gold: str | None
    """Its gold answer."""
    traces: tuple[Trace, Trace]
    """Both traces."""
    rows: list[tuple[list[Piece] | None, list[Piece] | None]]
    """A step of each, as pieces; None where a trace has no step in that row."""


def compare(run: Run, question_id: str, first: int, second: int) -> Comparison:
    """Two traces of a question beside each other.

    Raises:
        InputError: no such question or sample index, or twice the same.
    """
    if first == second:
        raise InputError(f"--compare {first} {second}: name two different traces")
    detail = question_detail(gather(run), question_id)
    traces = {trace.index: trace for trace in detail.traces or []}
    for index in (first, second):
        if index not in traces:
            there = shorten(", ".join(map(str, sorted(traces))) or "none", 80)
            raise InputError(
                f"{run.path} question {question_id!r} has no trace {index}: choose from {there}"
            )
    chosen = (traces[first], traces[second])
    left, right = (_blocks(trace.pieces) for trace in chosen)
    pairs = align([joined(block) for block in left], [joined(block) for block in right])
    return Comparison(
        question_id=question_id,
        text=detail.text,
        gold=detail.gold,
        traces=chosen,
        rows=[(None if i is None else left[i], None if j is None else right[j]) for i, j in pairs],
    )


def align(left: Sequence[str], right: Sequence[str]) -> list[Pair]:
    """Rows of indices into the two lists: the alignment in order with the most words in common.

    Every index is in one row; the indices of each side ascend. Between two rows that are alike, the
    rest stand in rows of their own place, one side empty where the other has fewer.
    """
    a, b = ([_words(text) for text in texts] for texts in (left, right))
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    gain = [[max(0.0, _alike(x, y) - ALIKE) for y in b] for x in a]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + gain[i][j])
    rows: list[Pair] = []
    i = j = done_i = done_j = 0
    while i < len(a) and j < len(b):
        if gain[i][j] and best[i][j] == best[i + 1][j + 1] + gain[i][j]:
            rows += [*_beside(range(done_i, i), range(done_j, j)), (i, j)]
            i, j = i + 1, j + 1
            done_i, done_j = i, j
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return rows + _beside(range(done_i, len(a)), range(done_j, len(b)))


def _beside(left: range, right: range) -> list[Pair]:
    """Rows that end together, so that the longer side's first steps stand alone."""
    return list(zip_longest(reversed(left), reversed(right)))[::-1]


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def _alike(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard similarity; texts without words are alike."""
    return len(a & b) / len(a | b) if a | b else 1.0


def _blocks(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """A trace's pieces by step; text outside of steps is a block unless it is white space."""
    groups = [list(group) for _, group in groupby(pieces, key=lambda piece: piece[0])]
    return [group for group in groups if group[0][0] is not None or joined(group).strip()]
