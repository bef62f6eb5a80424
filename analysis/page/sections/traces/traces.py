"""Every trace with what the tables say about it, and its text cut at its steps, its equations and
its stated answer.

Spans are cut here, in Python's code points, and reach the page as pieces of text: a browser counts
in UTF-16 and would cut elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import pandas as pd

from analysis.figures.text import count, flag, number, text
from analysis.page.evidence import Evidence
from analysis.page.sections.traces.interventions import Interventions
from analysis.page.sections.traces.latent import TraceLens
from analysis.page.sections.traces.outline import (
    AnswerPlaces,
    TraceSection,
    answer_places,
    read_sections,
    short_form,
)
from analysis.page.sections.traces.places import read_places

__all__ = [
    "Check",
    "Computed",
    "Piece",
    "ReadTrace",
    "Trace",
    "cut",
    "for_page",
    "joined",
    "read_traces",
]

Span = tuple[int, int]
Piece = tuple[int | None, str, bool, int | None]
"""Index of the step (None between steps), text, whether it is the stated answer, and index of the
checked equation (None outside one)."""
COMPUTED = ["signature", "dataflow", "n_checked", "n_wrong", "wrong_used", "follows"]
"""Columns of `paths` about what a trace computes; tables of older runs may lack them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What a trace computes, and whether its equations hold; None where the table doesn't say."""

    signature: str
    """Its operations, the beginning of many."""
    dataflow: str | None
    """Its operations with their operands, the beginning of many."""
    n_checked: int | None
    """Equations that could be checked."""
    n_wrong: int | None
    """Those that are false."""
    wrong_used: bool | None
    """Whether a false one is used later."""
    follows: bool | None
    """Whether the stated answer follows from the equations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """An equation that could be checked."""

    wrong: bool
    """Whether it is false."""
    value: str | None
    """What its left side comes to; None where unknown."""
    used: bool | None
    """Whether what it states is used later."""
    corrected: bool | None = None
    """Whether a false one is corrected later; None where the table doesn't say."""
    reaches: bool | None = None
    """Whether its result reaches the stated answer; None where the table doesn't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the tables say of a trace; None where no table does."""

    index: int
    """Its sample index."""
    finish: str
    """Why it ended."""
    status: str | None
    """Whether an answer could be read."""
    answer: str | None
    """The answer's class; None where it states none."""
    right: bool | None
    """Whether the answer is right."""
    cluster: int | None = None
    """Its cluster of reasoning; -1 for noise."""
    computed: Computed | None = None
    """What it computes."""
    at: list[float] | None = None
    """Its place on the question's map."""
    hidden: int | None = None
    """Its cluster of hidden states, where the agreement was computed."""
    score: float | None = None
    """The probe's P(correct)."""
    checks: list[Check]
    """Its equations that could be checked, in the order of the text."""
    along: list[list[float | int | None]] | None = None
    """Step and the probe's score there, in the order of steps."""
    kinds: list[str]
    """Kinds of its steps."""
    sections: list[TraceSection] = field(default_factory=list)
    """Its sections, in order; none where the table has none."""
    places: AnswerPlaces | None = None
    """Where its answer stands; None without an answer or steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTrace(_Said):
    """A trace as the tables have it."""

    text: str
    """What the model wrote."""
    steps: list[Span]
    """Where its steps are."""
    equations: list[Span]
    """Where the equations are that could be checked."""
    span: Span | None
    """Where it states its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(_Said):
    """A trace as the page needs it."""

    pieces: list[Piece]
    """Its text, cut."""
    shade: str | None = None
    """Log-probabilities of its tokens (see shades.py)."""
    latent: TraceLens | None = None
    """Its lens."""
    tested: Interventions | None = None
    """What the faithfulness tests say of it."""


def read_traces(evidence: Evidence) -> dict[str, list[ReadTrace]]:
    """Every trace with what the tables say about it, by question."""
    frame = evidence.traces
    keys = ["question_id", "sample_index"]
    answers = evidence.get("answers")
    if len(answers):
        wanted = ["answer", "status", "start", "end", "correct"]
        frame = frame.merge(answers[[*keys, *wanted]], on=keys, how="left")
    paths = evidence.get("paths")
    if len(paths):
        there = [name for name in COMPUTED if name in paths]
        frame = frame.merge(paths[[*keys, "cluster", *there]], on=keys, how="left")
    scores = _best_scores(evidence)
    if len(scores):
        frame = frame.merge(scores[[*keys, "score"]], on=keys, how="left")
    hidden = _agreed_clusters(evidence)
    if len(hidden):
        frame = frame.merge(
            hidden[[*keys, "cluster"]].rename(columns={"cluster": "hidden"}), on=keys, how="left"
        )
    spans, checks = _spans(evidence.get("steps")), _checks(evidence.get("step_checks"))
    places, along = read_places(evidence), _along(evidence.get("probe_steps"))
    sections = read_sections(evidence)
    found: dict[str, list[ReadTrace]] = {}
    for row in frame.to_dict("records"):
        start, end = count(row.get("start")), count(row.get("end"))
        key = (row["question_id"], row["sample_index"])
        span = None if start is None or end is None else (start, end)
        steps = [span for span, _ in spans.get(key, [])]
        found.setdefault(row["question_id"], []).append(
            ReadTrace(
                index=int(row["sample_index"]),
                text=row["text"],
                finish=row["finish_reason"],
                status=text(row.get("status")),
                answer=text(row.get("answer")),
                right=flag(row.get("correct")),
                cluster=count(row.get("cluster")),
                computed=_computed(row),
                at=places.get(key),
                hidden=count(row.get("hidden")),
                score=number(row.get("score")) if pd.notna(row.get("score")) else None,
                checks=[check for _, check in checks.get(key, [])],
                along=along.get(key),
                kinds=[kind for _, kind in spans.get(key, [])],
                sections=sections.get(key, []),
                places=answer_places(row["text"], steps, row["text"][slice(*span)])
                if steps and span
                else None,
                steps=steps,
                equations=[span for span, _ in checks.get(key, [])],
                span=span,
            )
        )
    return found


def for_page(
    row: ReadTrace,
    *,
    shade: str | None = None,
    latent: TraceLens | None = None,
    tested: Interventions | None = None,
) -> Trace:
    """A trace as the page needs it: its text in pieces, and what else is said of it."""
    return Trace(
        **{field.name: getattr(row, field.name) for field in fields(_Said)},
        pieces=cut(row.text, row.steps, row.span, row.equations),
        shade=shade,
        latent=latent,
        tested=tested,
    )


def cut(
    text: str, steps: Sequence[Span], answer: Span | None, equations: Sequence[Span] = ()
) -> list[Piece]:
    """A trace's text in pieces at the borders of its steps, its equations and its stated answer.

    Joined together the pieces are the text again, whatever the spans.

    >>> cut("2 + 2 = 4. So 4.", [(0, 10), (11, 16)], (14, 15))
    [(0, '2 + 2 = 4.', False, None), (None, ' ', False, None),
     (1, 'So ', False, None), (1, '4', True, None), (1, '.', False, None)]
    """
    spans = [*steps, *equations, *([answer] if answer else [])]
    borders = {0, len(text), *(place for span in spans for place in span)}
    intervals = list(pairwise(sorted(place for place in borders if 0 <= place <= len(text))))
    around = zip(_around(steps, intervals), _around(equations, intervals), strict=True)
    pieces: list[Piece] = []
    for (start, end), (step, equation) in zip(intervals, around, strict=True):
        stated = answer is not None and answer[0] <= start and end <= answer[1]
        pieces.append((step, text[start:end], stated, equation))
    return pieces


def joined(pieces: Sequence[Piece]) -> str:
    """The text that the pieces were cut from."""
    return "".join(piece[1] for piece in pieces)


def _around(spans: Sequence[Span], intervals: Sequence[Span]) -> list[int | None]:
    """Index of the first span that holds each of the ascending intervals, in one sweep."""
    waiting = sorted(range(len(spans)), key=lambda i: spans[i][0], reverse=True)
    begun: list[int] = []  # a heap, so that the first in the list comes first
    found = []
    for start, end in intervals:
        while waiting and spans[waiting[-1]][0] <= start:
            heappush(begun, waiting.pop())
        while begun and spans[begun[0]][1] < end:  # it holds none of the later intervals either
            heappop(begun)
        found.append(begun[0] if begun else None)
    return found


def _computed(row: Mapping[Any, Any]) -> Computed | None:
    """What the trace computes, and whether its equations hold; None where no table says."""
    signature = text(row.get("signature"))
    if signature is None:
        return None
    return Computed(
        signature=short_form(signature) or "",
        dataflow=short_form(text(row.get("dataflow"))),
        n_checked=count(row.get("n_checked")),
        n_wrong=count(row.get("n_wrong")),
        wrong_used=flag(row.get("wrong_used")),
        follows=flag(row.get("follows")),
    )


def _checks(table: pd.DataFrame) -> dict[tuple[str, int], list[tuple[Span, Check]]]:
    """Per trace, the equations that could be checked: span, verdict, and what it comes to."""
    found: dict[tuple[str, int], list[tuple[Span, Check]]] = {}
    if len(table):
        names = ["question_id", "sample_index", "start", "end", "verdict", "value", "used_later"]
        names += ["corrected", "reaches_answer"]
        known = table[table["verdict"] != "uncheckable"].sort_values("start", kind="stable")
        rows = known.reindex(columns=names, fill_value=None).itertuples(index=False)
        for key, index, start, end, verdict, value, used, corrected, reaches in rows:
            check = Check(
                wrong=verdict == "wrong",
                value=text(value),
                used=flag(used),
                corrected=flag(corrected),
                reaches=flag(reaches),
            )
            found.setdefault((key, int(index)), []).append(((int(start), int(end)), check))
    return found


def _spans(steps: pd.DataFrame) -> dict[tuple[str, int], list[tuple[Span, str]]]:
    """Per trace, its steps: span and kind."""
    found: dict[tuple[str, int], list[tuple[Span, str]]] = {}
    if len(steps):
        ordered = steps.sort_values("step", kind="stable")
        names = ["question_id", "sample_index", "start", "end", "kind"]
        for key, index, start, end, kind in ordered[names].itertuples(index=False):
            found.setdefault((key, int(index)), []).append(((int(start), int(end)), str(kind)))
    return found


def _along(scores: pd.DataFrame) -> dict[tuple[str, int], list[list[float | int | None]]]:
    """Per trace, [step, the probe's score there], in the order of steps."""
    found: dict[tuple[str, int], list[list[float | int | None]]] = {}
    if len(scores):
        ordered = scores.sort_values("step", kind="stable")
        names = ["question_id", "sample_index", "step", "score"]
        for key, index, step, score in ordered[names].itertuples(index=False):
            shown = number(score)
            pair = [int(step), None if shown is None else round(shown, 3)]
            found.setdefault((key, int(index)), []).append(pair)
    return found


def _best_scores(evidence: Evidence) -> pd.DataFrame:
    """Scores for `correct`, one a trace: of the cell that was chosen without the trace's question
    where the table says which that is, else of the reported cell."""
    scores, probes = evidence.get("probe_scores"), evidence.get("probes")
    if not len(scores) or not len(probes):
        return pd.DataFrame()
    if "chosen" in scores:
        own = scores["chosen"].astype(bool) & (scores["target"] == "correct")
        return scores[own].drop_duplicates(["question_id", "sample_index"])
    best = probes[probes["best"].astype(bool) & (probes["target"] == "correct")]
    cell = ["target", "layer", "position"]
    chosen = scores.merge(best[cell].head(1), on=cell)
    return chosen.drop_duplicates(["question_id", "sample_index"])


def _agreed_clusters(evidence: Evidence) -> pd.DataFrame:
    """Hidden-state clusters at the layer and position that the agreement was computed at."""
    hidden, agreement = evidence.get("hidden_clusters"), evidence.get("agreement")
    if not len(hidden) or not len(agreement):
        return pd.DataFrame()
    names = ["question_id", "layer", "position"]
    return hidden.merge(agreement[names], on=names)
