"""The question table and, per question, everything that is shown when it is opened.

Spans are cut here, in Python's code points, and reach the page as pieces of text: a browser counts
in UTF-16 and would cut elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.report.data import Evidence
from analysis.report.text import number, shorten

__all__ = ["TEXT_BUDGET", "Piece", "cut", "question_details", "question_rows"]

TEXT_BUDGET = 12_000_000
"""Characters of trace text that one page carries; the most suspicious questions come first."""

Piece = tuple[int | None, str, bool]
"""Index of the step (None between steps), text, whether it is the stated answer."""


def question_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """One dict a question, most suspicious first, else in the order of the run."""
    votes = _one_rule(evidence.get("votes"))
    agreement = _by_question(evidence.get("agreement"))
    n_answers = _classes(evidence.get("answers"), "answer")
    n_paths = _classes(evidence.get("paths"), "path")
    n_traces = evidence.traces.groupby("question_id").size()
    rows = []
    for question in evidence.questions.to_dict("records"):
        key = question["question_id"]
        vote, agreed = votes.get(key, {}), agreement.get(key, {})
        rows.append(
            {
                "id": key,
                "text": shorten(question["text"], 90),
                "gold": _text(question["gold"]),
                "majority": _text(vote.get("answer")),
                "right": _flag(vote.get("correct")),
                "tied": bool(vote.get("tied", False)),
                "share": number(vote.get("share")),
                "n_traces": int(n_traces.get(key, 0)),
                "n_answers": _count(agreed.get("n_answers", n_answers.get(key))),
                "n_paths": _count(agreed.get("n_paths", n_paths.get(key))),
                "n_hidden": _count(agreed.get("n_hidden")),
                "kinds": [str(kind) for kind in agreed.get("kinds", [])],
                "suspicion": number(agreed.get("suspicion")),
            }
        )
    return sorted(rows, key=lambda row: -1.0 if row["suspicion"] is None else -row["suspicion"])


def question_details(evidence: Evidence, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the page shows of each question, by id, in the order of `ids`.

    Once TEXT_BUDGET is used up, a question's `traces` is None.
    """
    questions = evidence.questions.set_index("question_id")
    agreement = _by_question(evidence.get("agreement"))
    votes = _one_rule(evidence.get("votes"))
    traces = _traces(evidence)
    details, used = {}, 0
    for key in ids:
        question, rows = questions.loc[key], traces.get(key, [])
        used += sum(len(row["text"]) for row in rows)
        details[key] = {
            "text": question["text"],
            "gold": _text(question["gold"]),
            "choices": question["choices"],
            "vote": _vote(votes.get(key)),
            "agreement": _agreement(agreement.get(key)),
            "answers": (classes := _answers(rows)),
            "excluded": Counter(row["status"] for row in rows if row["status"] not in (None, "ok")),
            "paths": _paths(rows, [str(entry["answer"]) for entry in classes]),
            "traces": [_for_page(row) for row in rows] if used <= TEXT_BUDGET else None,
        }
    return details


def cut(text: str, steps: Sequence[tuple[int, int]], answer: tuple[int, int] | None) -> list[Piece]:
    """A trace's text in pieces at the borders of its steps and of its stated answer.

    Joined together the pieces are the text again, whatever the spans.

    >>> cut("2 + 2 = 4. So 4.", [(0, 10), (11, 16)], (14, 15))
    [(0, '2 + 2 = 4.', False), (None, ' ', False), (1, 'So ', False), (1, '4', True), (1, '.', False)]
    """
    borders = {0, len(text), *(place for span in steps for place in span), *(answer or ())}
    places = sorted(place for place in borders if 0 <= place <= len(text))
    pieces: list[Piece] = []
    for start, end in zip(places, places[1:], strict=False):
        inside = [i for i, (first, last) in enumerate(steps) if first <= start and end <= last]
        stated = answer is not None and answer[0] <= start and end <= answer[1]
        pieces.append((inside[0] if inside else None, text[start:end], stated))
    return pieces


def _traces(evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """Every trace with what the tables say about it, by question."""
    frame = evidence.traces
    keys = ["question_id", "sample_index"]
    answers = evidence.get("answers")
    if len(answers):
        wanted = ["answer", "status", "start", "end", "correct"]
        frame = frame.merge(answers[[*keys, *wanted]], on=keys, how="left")
    paths = evidence.get("paths")
    if len(paths):
        frame = frame.merge(paths[[*keys, "path"]], on=keys, how="left")
    scores = _best_scores(evidence)
    if len(scores):
        frame = frame.merge(scores[[*keys, "score"]], on=keys, how="left")
    hidden = _agreed_clusters(evidence)
    if len(hidden):
        frame = frame.merge(hidden[[*keys, "cluster"]], on=keys, how="left")
    spans = _spans(evidence.get("steps"))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        start, end = _count(row.get("start")), _count(row.get("end"))
        key = (row["question_id"], row["sample_index"])
        found.setdefault(row["question_id"], []).append(
            {
                "index": int(row["sample_index"]),
                "text": row["text"],
                "finish": row["finish_reason"],
                "status": _text(row.get("status")),
                "answer": _text(row.get("answer")),
                "right": _flag(row.get("correct")),
                "path": _count(row.get("path")),
                "hidden": _count(row.get("cluster")),
                "score": number(row.get("score")) if pd.notna(row.get("score")) else None,
                "steps": spans.get(key, []),
                "span": None if start is None or end is None else (start, end),
            }
        )
    return found


def _for_page(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in row if name not in ("text", "steps", "span")}
    return {**kept, "pieces": cut(row["text"], row["steps"], row["span"])}


def _spans(steps: pd.DataFrame) -> dict[tuple[str, int], list[tuple[int, int]]]:
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    if len(steps):
        ordered = steps.sort_values("step", kind="stable")
        names = ["question_id", "sample_index", "start", "end"]
        for key, index, start, end in ordered[names].itertuples(index=False):
            found.setdefault((key, int(index)), []).append((int(start), int(end)))
    return found


def _best_scores(evidence: Evidence) -> pd.DataFrame:
    """Scores of the reported cell for `correct`; one a trace."""
    scores, probes = evidence.get("probe_scores"), evidence.get("probes")
    if not len(scores) or not len(probes):
        return pd.DataFrame()
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


def _answers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answer classes by size: how many traces state each, whether it is right."""
    counts = Counter(row["answer"] for row in rows if row["answer"] is not None)
    right = {row["answer"]: row["right"] for row in rows}
    return [{"answer": name, "n": n, "right": right[name]} for name, n in counts.most_common()]


def _paths(rows: list[dict[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Paths by size, with how many of their traces state each answer class, and how many none."""
    counts = Counter(row["path"] for row in rows if row["path"] is not None)
    found = []
    for path, n in counts.most_common():
        stated = Counter(row["answer"] for row in rows if row["path"] == path)
        found.append(
            {"path": path, "n": n, "counts": [stated[name] for name in classes], "none": stated[None]}
        )
    return found


def _vote(vote: dict[str, Any] | None) -> dict[str, Any] | None:
    if vote is None:
        return None
    names = {"share": number, "margin": number, "answer": _text, "correct": _flag, "tied": bool}
    return {name: convert(vote[name]) for name, convert in names.items()}


def _agreement(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    pairs = ["answers_paths", "answers_hidden", "paths_hidden"]
    return {
        "kinds": [str(kind) for kind in row["kinds"]],
        "why": str(row["why"]),
        "suspicion": number(row["suspicion"]),
        "layer": _count(row["layer"]),
        "position": _text(row["position"]),
        "ami": {pair.replace("_", " × "): number(row[f"ami_{pair}"]) for pair in pairs},
    }


def _one_rule(votes: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Votes by majority, or by the first rule where majority wasn't asked for."""
    if not len(votes):
        return {}
    rules = list(votes["rule"].unique())
    return _by_question(votes[votes["rule"] == ("majority" if "majority" in rules else rules[0])])


def _by_question(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(row["question_id"]): row for row in frame.to_dict("records")}


def _classes(frame: pd.DataFrame, column: str) -> dict[str, int]:
    if not len(frame):
        return {}
    return {str(k): int(n) for k, n in frame.groupby("question_id")[column].nunique().items()}


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def _flag(value: Any) -> bool | None:
    return None if value is None or pd.isna(value) else bool(value)


def _count(value: Any) -> int | None:
    return None if value is None or pd.isna(value) else int(value)
