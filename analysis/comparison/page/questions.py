"""The matrix of questions by runs, and what is shown of a question that is opened.

Runs differ the more on a question, the larger the standard deviation over runs of the share of its
traces that are right: 0 where all are alike, 0.5 where half of the runs are always right and half
never.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import pandas as pd

from analysis.comparison.page.side import Side
from analysis.figures.text import count, flag, number, shorten, text
from analysis.page.sections.traces.asked import Turn, read_greedy, read_prompts
from analysis.page.sections.traces.questions import (
    TEXT_BUDGET,
    AnswerClass,
    Vote,
    answer_classes,
    read_vote,
    without_answer,
)
from analysis.page.sections.traces.traces import ReadTrace, Trace, for_page, read_traces

__all__ = ["Cell", "OpenQuestion", "Row", "RunTraces", "details", "matrix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run's answer to one question."""

    state: str
    """`right`, `wrong`, `tied` (another answer has as many votes), `none` (no valid answer) or
    `unjudged` (the question has no gold)."""
    right: bool | None
    """Whether the majority's answer counts as right; of a tie, that of the lowest sample index."""
    answer: str | None
    """The majority's answer."""
    accuracy: float | None
    """The share of the question's traces that are right."""
    share: float | None
    """The share of valid answers that are the majority's."""
    n: int
    """The run's traces of the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question."""

    id: str
    """Its id."""
    text: str
    """What it asks, shortened."""
    gold: str | None
    """Its gold answer."""
    spread: float | None
    """How much the runs differ: the standard deviation of their shares of right traces; None where
    fewer than two have one."""
    accuracy: float | None
    """The mean over runs of that share."""
    differs: bool
    """Whether the runs that have the question are not all in one state, or, without gold, don't all
    name one answer."""
    cells: tuple[Cell | None, ...]
    """One a run; None where the run doesn't have the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTraces:
    """What is shown of a question in one run."""

    vote: Vote | None
    """Its vote."""
    answers: list[AnswerClass]
    """Answers, the most frequent first."""
    excluded: dict[str, int]
    """Traces without an answer, by status."""
    prompts: list[list[Turn]]
    """Its prompts; none beyond the budget."""
    greedy: Trace | None
    """Its greedy trace; None without one and beyond the budget."""
    traces: list[Trace] | None
    """Its traces; None beyond the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """What is shown of a question once it is opened."""

    text: str
    """What it asks."""
    gold: str | None
    """Its gold answer."""
    choices: list[str] | None
    """Its choices."""
    runs: list[RunTraces | None]
    """One a run; None where the run doesn't have the question."""


def matrix(questions: pd.DataFrame, sides: Sequence[Side]) -> list[Row]:
    """A row a question of any run; those on which the runs differ most come first, and of those
    alike in that, those that differ in their verdict.

    Args:
        questions: the table `compared_questions`.
    """
    tied = {side.name: _tied(side) for side in sides}
    asked: dict[str, dict[Any, Any]] = {}
    cells: dict[str, dict[str, Cell]] = {}
    for row in questions.to_dict("records"):
        key, run = str(row["question_id"]), str(row["run"])
        asked.setdefault(key, row)
        cells.setdefault(key, {})[run] = _cell(row, key in tied[run])
    rows = [_row(asked[key], [own.get(side.name) for side in sides]) for key, own in cells.items()]
    known = {row.id: -1.0 if row.spread is None else row.spread for row in rows}
    return sorted(rows, key=lambda row: (known[row.id], row.differs), reverse=True)


def details(
    rows: Sequence[Row], sides: Sequence[Side], budget: int = TEXT_BUDGET
) -> Iterator[tuple[str, OpenQuestion]]:
    """What is shown of each question, in the order of the rows.

    Args:
        budget: characters of prompts and traces of all runs; once they are used up, a question has
            its votes only.
    """
    known = [side.evidence.questions.set_index("question_id") for side in sides]
    traces = [read_traces(side.evidence) for side in sides]
    prompts = [read_prompts(side.evidence) for side in sides]
    greedy = [read_greedy(side.evidence) for side in sides]
    votes = [side.evidence.votes() for side in sides]
    used = 0
    for row in rows:
        there = [place for place, cell in enumerate(row.cells) if cell is not None]
        question = known[there[0]].loc[row.id]
        for place in there:
            used += sum(len(each.text) for each in traces[place].get(row.id, []))
            used += sum(len(said) for turns in prompts[place].get(row.id, []) for _, said in turns)
        shown: list[RunTraces | None] = [None] * len(sides)
        for place in there:
            shown[place] = _traces(
                traces[place].get(row.id, []),
                prompts[place].get(row.id, []),
                greedy[place].get(row.id),
                votes[place].get(row.id),
                used <= budget,
            )
        yield (
            row.id,
            OpenQuestion(
                text=question["text"],
                gold=text(question["gold"]),
                choices=question["choices"],
                runs=shown,
            ),
        )


def _tied(side: Side) -> set[str]:
    """Questions on which another answer has as many votes as the majority's."""
    return {key for key, row in side.evidence.votes().items() if flag(row.get("tied"))}


def _cell(row: dict[Any, Any], tied: bool) -> Cell:
    answer, right = text(row["answer"]), flag(row["correct"])
    state = "none" if answer is None else "tied" if tied else "right" if right else "wrong"
    if right is None and answer is not None:
        state = "unjudged"
    accuracy = number(row["accuracy"])
    share = number(row["share"])
    return Cell(
        state=state,
        right=right,
        answer=answer,
        accuracy=None if accuracy is None else round(accuracy, 4),
        share=None if share is None else round(share, 4),
        n=count(row["n"]) or 0,
    )


def _row(asked: dict[Any, Any], cells: Sequence[Cell | None]) -> Row:
    there = [cell for cell in cells if cell is not None]
    known = [cell.accuracy for cell in there if cell.accuracy is not None]
    mean = sum(known) / len(known) if known else None
    spread = None
    if mean is not None and len(known) > 1:
        spread = sqrt(sum((value - mean) ** 2 for value in known) / len(known))
    states = {cell.state for cell in there}
    answers = {cell.answer for cell in there} if "unjudged" in states else set()
    return Row(
        id=str(asked["question_id"]),
        text=shorten(str(asked["question"]), 120),
        gold=text(asked["gold"]),
        spread=None if spread is None else round(spread, 4),
        accuracy=None if mean is None else round(mean, 4),
        differs=len(states) > 1 or len(answers) > 1,
        cells=tuple(cells),
    )


def _traces(
    rows: Sequence[ReadTrace],
    prompts: list[list[Turn]],
    greedy: ReadTrace | None,
    vote: dict[Any, Any] | None,
    within: bool,
) -> RunTraces:
    return RunTraces(
        vote=read_vote(vote),
        answers=answer_classes(rows),
        excluded=without_answer(rows),
        prompts=prompts if within else [],
        greedy=for_page(greedy) if within and greedy is not None else None,
        traces=[for_page(row) for row in rows] if within else None,
    )
