"""The question table: one row a question, most suspicious first."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.figures.text import count, flag, number, shorten, text
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["QuestionRow", "question_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRow:
    """One question in the table; None where no table says."""

    id: str
    """Its id."""
    text: str
    """What it asks, shortened."""
    gold: str | None
    """Its gold answer."""
    majority: str | None
    """The answer that won the vote."""
    right: bool | None
    """Whether that is right."""
    tied: bool
    """Whether another answer has as many votes."""
    share: float | None
    """The majority's share of the votes."""
    n_traces: int
    """Its traces."""
    n_answers: int | None
    """Different answers."""
    n_clusters: int | None
    """Clusters of reasoning."""
    n_hidden: int | None
    """Clusters of hidden states."""
    kinds: list[str]
    """Its kinds."""
    suspicion: float | None
    """The score."""
    moved: float | None
    """Share of its traces whose answer another answer's states moved."""


def question_rows(evidence: Evidence) -> list[QuestionRow]:
    """One row a question, most suspicious first, else in the order of the run."""
    votes = evidence.votes()
    agreement = evidence.by_question("agreement")
    n_answers = _classes(evidence.get("answers"), "answer")
    n_clusters = _n_clusters(evidence)
    n_traces = evidence.traces.groupby("question_id").size()
    rows = []
    for question in evidence.questions.to_dict("records"):
        key = question["question_id"]
        vote, agreed = votes.get(key, {}), agreement.get(key, {})
        rows.append(
            QuestionRow(
                id=str(key),
                text=shorten(question["text"], 70),
                gold=text(question["gold"]),
                majority=text(vote.get("answer")),
                right=flag(vote.get("correct")),
                tied=bool(vote.get("tied", False)),
                share=number(vote.get("share")),
                n_traces=int(n_traces.get(key, 0)),
                n_answers=count(agreed.get("n_answers", n_answers.get(key))),
                n_clusters=count(agreed.get("n_clusters", n_clusters.get(key))),
                n_hidden=count(agreed.get("n_hidden")),
                kinds=[str(kind) for kind in agreed.get("kinds", [])],
                suspicion=number(agreed.get("suspicion")),
                moved=number(agreed.get("states_moved")),
            )
        )
    place = {key: i for i, key in enumerate(evidence.most_suspicious)}
    return sorted(rows, key=lambda row: place[row.id])


def _n_clusters(evidence: Evidence) -> dict[str, int]:
    """Clusters of each question; noise (-1) is one a trace, as only `path_questions` counts."""
    counted = evidence.get("path_questions")
    if not len(counted):
        return _classes(evidence.get("paths"), "cluster")
    keys = counted["question_id"].astype(str)
    return dict(zip(keys, counted["n_clusters"].astype(int), strict=True))


def _classes(frame: pd.DataFrame, column: str) -> dict[str, int]:
    if not len(frame):
        return {}
    return {str(k): int(n) for k, n in frame.groupby("question_id")[column].nunique().items()}


section(
    folder=__name__,
    name="questions",
    title="Questions",
    order=30,
    always=True,
    reads=["answers", "votes", "paths", "agreement"],
    downloads=["agreement", "votes", "answers"],
    data=question_rows,
    sends=lambda data: data,
)
