"""Everything that is shown of a question when it is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import inf
from typing import Any

from analysis.figures.text import count, flag, number, shorten, text
from analysis.page.evidence import Evidence
from analysis.page.kinds import false_equations
from analysis.page.sections.traces.asked import read_greedy, read_prompts
from analysis.page.sections.traces.ballots import read_ballots
from analysis.page.sections.traces.interventions import read_interventions
from analysis.page.sections.traces.latent import read_latent
from analysis.page.sections.traces.places import methods
from analysis.page.sections.traces.traces import for_page, read_traces
from cot.errors import InputError

__all__ = ["TEXT_BUDGET", "question_detail", "question_details"]

TEXT_BUDGET = 200_000_000
"""Characters of trace text that one page carries, in script files beside it where they are many
(see shards.py); the most suspicious questions come first."""

MOST_DOUBTS = 6
"""False equations of the majority's traces that a question's head links to."""


def question_details(
    evidence: Evidence,
    ids: Sequence[str],
    budget: float = TEXT_BUDGET,
    shades: Mapping[tuple[str, int], str] | None = None,
) -> dict[str, dict[str, Any]]:
    """What the page shows of each question, by id, in the order of `ids`.

    Once `budget` characters of prompts and traces are used up, a question's `traces` is None, and
    it has no prompt. `shades` are
    the log-probabilities of traces' tokens, by (question_id, sample_index); see shades.py.
    """
    questions = evidence.questions.set_index("question_id")
    agreement = evidence.by_question("agreement")
    votes = evidence.votes()
    traces, names, maps = read_traces(evidence), _names(evidence), methods(evidence)
    ballots, (latent, cells) = read_ballots(evidence), read_latent(evidence)
    tested = read_interventions(evidence)
    prompts, greedy, doubts = read_prompts(evidence), read_greedy(evidence), _doubts(evidence)
    details, used = {}, 0
    for key in ids:
        question, rows = questions.loc[key], traces.get(key, [])
        used += sum(len(row["text"]) for row in rows)
        used += sum(len(said) for prompt in prompts.get(key, []) for _, said in prompt)
        details[key] = {
            "text": question["text"],
            "gold": text(question["gold"]),
            "choices": question["choices"],
            "vote": _vote(votes.get(key)),
            "ballots": ballots.get(key, []),
            "agreement": _agreement(agreement.get(key), doubts.get(key, [])),
            "answers": (classes := _answers(rows)),
            "excluded": Counter(row["status"] for row in rows if row["status"] not in (None, "ok")),
            "clusters": _clusters(
                rows, [str(entry["answer"]) for entry in classes], names.get(key, {})
            ),
            "map": maps.get(key),
            "latent": latent.get(key),
            "prompts": [],
            "greedy": None,
            "traces": None,
        }
        if used <= budget:
            details[key]["prompts"] = prompts.get(key, [])
            details[key]["greedy"] = for_page(greedy[key]) if key in greedy else None
            places = [(key, row["index"]) for row in rows]
            details[key]["traces"] = [
                for_page(row, shade=(shades or {}).get(place), latent=cells.get(place), **more)
                for row, place in zip(rows, places, strict=True)
                for more in [{"tested": tested[place]} if place in tested else {}]
            ]
    return details


def question_detail(evidence: Evidence, question_id: str) -> dict[str, Any]:
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


def _answers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answer classes by size: how many traces state each, whether it is right."""
    counts = Counter(row["answer"] for row in rows if row["answer"] is not None)
    right = {row["answer"]: row["right"] for row in rows}
    return [{"answer": name, "n": n, "right": right[name]} for name, n in counts.most_common()]


def _clusters(
    rows: list[dict[str, Any]], classes: Sequence[str], names: dict[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Clusters by size, with how many of their traces state each answer class, and how many none;
    and each one's terms and medoid (a sample index), None where no table names them."""
    counts = Counter(row["cluster"] for row in rows if row["cluster"] is not None)
    found = []
    for cluster, n in counts.most_common():
        stated = Counter(row["answer"] for row in rows if row["cluster"] == cluster)
        found.append(
            {
                "cluster": cluster,
                "n": n,
                "counts": [stated[name] for name in classes],
                "none": stated[None],
                **names.get(cluster, {"terms": None, "medoid": None}),
            }
        )
    return found


def _names(evidence: Evidence) -> dict[str, dict[int, dict[str, Any]]]:
    """By question and cluster: its distinguishing terms, its medoid trace."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in evidence.get("cluster_names").to_dict("records"):
        name = {"terms": text(row["terms"]), "medoid": count(row["medoid"])}
        found.setdefault(str(row["question_id"]), {})[int(row["cluster"])] = name
    return found


def _vote(vote: dict[Any, Any] | None) -> dict[str, Any] | None:
    if vote is None:
        return None
    return {
        "answer": text(vote["answer"]),
        "share": number(vote["share"]),
        "tied": bool(vote["tied"]),
        "right": flag(vote["correct"]),
    }


def _doubts(evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """By question, the first false equation of each of the majority's traces, at most MOST_DOUBTS:
    what the suspicion's reason speaks of."""
    wrong, answers = false_equations(evidence), evidence.get("answers")
    majority = {key: row.get("answer") for key, row in evidence.by_question("agreement").items()}
    if not len(wrong) or not len(answers) or not majority:
        return {}
    chosen = answers[answers["answer"].notna()]
    chosen = chosen[chosen["answer"] == chosen["question_id"].astype(str).map(majority)]
    keys = ["question_id", "sample_index"]
    own = wrong.merge(chosen[keys], on=keys).drop_duplicates(keys)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in own.groupby("question_id").head(MOST_DOUBTS).to_dict("records"):
        found.setdefault(str(row["question_id"]), []).append(
            {
                "trace": int(row["sample_index"]),
                "equation": int(row["equation"]),
                "text": shorten(str(row["text"]), 60),
                "value": text(row["value"]),
            }
        )
    return found


def _agreement(row: dict[Any, Any] | None, doubts: list[dict[str, Any]]) -> dict[str, Any] | None:
    if row is None:
        return None
    pairs = ["answers_clusters", "answers_hidden", "clusters_hidden"]
    return {
        "kinds": [str(kind) for kind in row["kinds"]],
        "why": str(row["why"]),
        "doubts": doubts,
        "suspicion": number(row["suspicion"]),
        "layer": count(row["layer"]),
        "position": text(row["position"]),
        "ami": {pair.replace("_", " × "): number(row[f"ami_{pair}"]) for pair in pairs},
    }
