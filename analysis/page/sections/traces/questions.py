"""Everything that is shown of a question when it is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Any

from analysis.figures.text import count, flag, number, shorten, text
from analysis.page.evidence import Evidence
from analysis.page.kinds import false_equations
from analysis.page.sections.traces.asked import Turn, read_greedy, read_prompts
from analysis.page.sections.traces.ballots import Ballot, read_ballots
from analysis.page.sections.traces.interventions import read_interventions
from analysis.page.sections.traces.latent import QuestionLens, read_latent
from analysis.page.sections.traces.places import methods
from analysis.page.sections.traces.traces import ReadTrace, Trace, for_page, read_traces
from cot.errors import InputError

__all__ = [
    "TEXT_BUDGET",
    "Agreement",
    "AnswerClass",
    "Cluster",
    "Doubt",
    "QuestionDetail",
    "Vote",
    "answer_classes",
    "question_detail",
    "question_details",
    "read_vote",
    "without_answer",
]

TEXT_BUDGET = 200_000_000
"""Characters of trace text that one page carries, in script files beside it where they are many
(see shards.py); the most suspicious questions come first."""

MOST_DOUBTS = 6
"""False equations of the majority's traces that a question's head links to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The question's vote, by majority where that was asked for."""

    answer: str | None
    """The winning answer."""
    share: float | None
    """Its share of the votes."""
    tied: bool
    """Whether another answer has the same share."""
    right: bool | None
    """Whether it is right; None without gold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A false equation that the answer of one of the majority's traces comes from."""

    trace: int
    """The trace's sample index."""
    equation: int
    """Its place among those of the trace that can be checked."""
    text: str
    """The equation, shortened."""
    value: str | None
    """What its left side comes to; None where unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the table `agreement` says of the question."""

    kinds: list[str]
    """Its kinds."""
    why: str
    """The doubt that weighs most, in words."""
    doubts: list[Doubt]
    """False equations that the doubt may speak of."""
    suspicion: float | None
    """The score."""
    layer: int | None
    """The layer of its hidden states."""
    position: str | None
    """Their position."""
    ami: dict[str, float | None]
    """AMI by pair of partitions."""
    moved: float | None
    """Share of its patched traces whose answer states moved; None where unknown."""
    n_patched: int | None
    """Those traces; None where nothing was patched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerClass:
    """An answer that traces state."""

    answer: str
    """The class."""
    n: int
    """How many traces state it."""
    right: bool | None
    """Whether it is right; None without gold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster of reasoning."""

    cluster: int
    """Its label; -1 for noise."""
    n: int
    """Its traces."""
    counts: list[int]
    """Of its traces, how many state each answer class."""
    none: int
    """How many state none."""
    terms: str | None
    """Its distinguishing terms; None where no table names them."""
    medoid: int | None
    """Sample index of its medoid; None where no table names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionDetail:
    """What is shown of a question once it is opened."""

    text: str
    """What it asks."""
    gold: str | None
    """Its gold answer."""
    choices: list[str] | None
    """Its choices."""
    vote: Vote | None
    """How it was voted on."""
    ballots: list[Ballot]
    """Answers by vote rule and rater."""
    agreement: Agreement | None
    """Its kinds and its suspicion."""
    answers: list[AnswerClass]
    """Answers, the most frequent first."""
    excluded: dict[str, int]
    """Traces without an answer, by status."""
    clusters: list[Cluster]
    """Clusters, the largest first."""
    map: str | None
    """How its map was made; None where there is none."""
    latent: QuestionLens | None
    """What its traces' lenses share."""
    prompts: list[list[Turn]]
    """Prompts of its traces; none beyond the budget."""
    greedy: Trace | None
    """Its greedy trace; None without one and beyond the budget."""
    traces: list[Trace] | None
    """Its traces; None beyond the budget."""


def question_details(
    evidence: Evidence,
    ids: Sequence[str],
    budget: float = TEXT_BUDGET,
    shades: Mapping[tuple[str, int], str] | None = None,
) -> dict[str, QuestionDetail]:
    """What the page shows of each question, by id, in the order of `ids`.

    Args:
        budget: characters of prompts and traces; once they are used up, a question's `traces` is
            None, and it has no prompt and no greedy trace.
        shades: the log-probabilities of traces' tokens, by (question_id, sample_index); see
            shades.py.
    """
    questions = {row["question_id"]: row for row in evidence.questions.to_dict("records")}
    agreement = evidence.by_question("agreement")
    votes = evidence.votes()
    traces, names, maps = read_traces(evidence), _names(evidence), methods(evidence)
    ballots, (latent, cells) = read_ballots(evidence), read_latent(evidence)
    tested, shades = read_interventions(evidence), shades or {}
    prompts, greedy, doubts = read_prompts(evidence), read_greedy(evidence), _doubts(evidence)
    details, used = {}, 0
    for key in ids:
        question, rows = questions[key], traces.get(key, [])
        used += sum(len(row.text) for row in rows)
        used += sum(len(said) for prompt in prompts.get(key, []) for _, said in prompt)
        places = [(key, row.index) for row in rows]
        within = used <= budget
        classes = answer_classes(rows)
        details[key] = QuestionDetail(
            text=question["text"],
            gold=text(question["gold"]),
            choices=question["choices"],
            vote=read_vote(votes.get(key)),
            ballots=ballots.get(key, []),
            agreement=_agreement(agreement.get(key), doubts.get(key, [])),
            answers=classes,
            excluded=without_answer(rows),
            clusters=_clusters(rows, [each.answer for each in classes], names.get(key, {})),
            map=maps.get(key),
            latent=latent.get(key),
            prompts=prompts.get(key, []) if within else [],
            greedy=for_page(greedy[key]) if within and key in greedy else None,
            traces=[
                for_page(
                    row, shade=shades.get(place), latent=cells.get(place), tested=tested.get(place)
                )
                for row, place in zip(rows, places, strict=True)
            ]
            if within
            else None,
        )
    return details


def question_detail(evidence: Evidence, question_id: str) -> QuestionDetail:
    """What `question_details` says of one question.

    Raises:
        InputError: no such question (the message suggests close ids).
    """
    known = [str(name) for name in evidence.questions["question_id"]]
    if question_id not in known:
        close = get_close_matches(question_id, known, cutoff=0.4) or known[:3]
        there = ", ".join(repr(name) for name in close)
        path = evidence.run.path
        raise InputError(f"{path} has no question {question_id!r}: did you mean {there}?")
    return question_details(evidence, [question_id], budget=inf)[question_id]


def answer_classes(rows: Sequence[ReadTrace]) -> list[AnswerClass]:
    """Answer classes by size: how many traces state each, whether it is right."""
    counts = Counter(row.answer for row in rows if row.answer is not None)
    right = {row.answer: row.right for row in rows}
    return [AnswerClass(answer=name, n=n, right=right[name]) for name, n in counts.most_common()]


def without_answer(rows: Sequence[ReadTrace]) -> dict[str, int]:
    """How many traces state no answer, by status."""
    return dict(Counter(row.status for row in rows if row.status not in (None, "ok")))


def _clusters(
    rows: Sequence[ReadTrace],
    classes: Sequence[str],
    names: Mapping[int, tuple[str | None, int | None]],
) -> list[Cluster]:
    """Clusters by size, with how many of their traces state each answer class, and how many none;
    and each one's terms and medoid."""
    counts = Counter(row.cluster for row in rows if row.cluster is not None)
    found = []
    for cluster, n in counts.most_common():
        stated = Counter(row.answer for row in rows if row.cluster == cluster)
        terms, medoid = names.get(cluster, (None, None))
        found.append(
            Cluster(
                cluster=cluster,
                n=n,
                counts=[stated[name] for name in classes],
                none=stated[None],
                terms=terms,
                medoid=medoid,
            )
        )
    return found


def _names(evidence: Evidence) -> dict[str, dict[int, tuple[str | None, int | None]]]:
    """By question and cluster: its distinguishing terms, its medoid trace."""
    found: dict[str, dict[int, tuple[str | None, int | None]]] = {}
    for row in evidence.get("cluster_names").to_dict("records"):
        name = (text(row["terms"]), count(row["medoid"]))
        found.setdefault(str(row["question_id"]), {})[int(row["cluster"])] = name
    return found


def read_vote(vote: Mapping[Any, Any] | None) -> Vote | None:
    """A row of the table `votes`."""
    if vote is None:
        return None
    return Vote(
        answer=text(vote["answer"]),
        share=number(vote["share"]),
        tied=bool(vote["tied"]),
        right=flag(vote["correct"]),
    )


def _doubts(evidence: Evidence) -> dict[str, list[Doubt]]:
    """By question, the first false equation that each of the majority's answers comes from, at most
    MOST_DOUBTS: what the suspicion's reason speaks of."""
    wrong, answers = false_equations(evidence), evidence.get("answers")
    majority = {key: row.get("answer") for key, row in evidence.by_question("agreement").items()}
    if not len(wrong) or not len(answers) or not majority:
        return {}
    chosen = answers[answers["answer"].notna()]
    chosen = chosen[chosen["answer"] == chosen["question_id"].astype(str).map(majority)]
    keys = ["question_id", "sample_index"]
    own = wrong.merge(chosen[keys], on=keys).drop_duplicates(keys)
    found: dict[str, list[Doubt]] = {}
    for row in own.groupby("question_id").head(MOST_DOUBTS).to_dict("records"):
        found.setdefault(str(row["question_id"]), []).append(
            Doubt(
                trace=int(row["sample_index"]),
                equation=int(row["equation"]),
                text=shorten(str(row["text"]), 60),
                value=text(row["value"]),
            )
        )
    return found


def _agreement(row: Mapping[Any, Any] | None, doubts: list[Doubt]) -> Agreement | None:
    if row is None:
        return None
    pairs = ["answers_clusters", "answers_hidden", "clusters_hidden"]
    return Agreement(
        kinds=[str(kind) for kind in row["kinds"]],
        why=str(row["why"]),
        doubts=doubts,
        suspicion=number(row["suspicion"]),
        layer=count(row["layer"]),
        position=text(row["position"]),
        ami={pair.replace("_", " × "): number(row[f"ami_{pair}"]) for pair in pairs},
        moved=number(row.get("states_moved")),
        n_patched=count(row.get("n_patched")),
    )
