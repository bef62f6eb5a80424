"""Every trace with what the tables say about it, and its text cut into steps and stated answer.

Spans are cut here, in Python's code points, and reach the page as pieces of text: a browser counts
in UTF-16 and would cut elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from analysis.report.data import Evidence
from analysis.report.text import count, flag, number, text

__all__ = ["Piece", "cut", "for_page", "read_traces"]

Piece = tuple[int | None, str, bool]
"""Index of the step (None between steps), text, whether it is the stated answer."""


def read_traces(evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
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
        start, end = count(row.get("start")), count(row.get("end"))
        key = (row["question_id"], row["sample_index"])
        found.setdefault(row["question_id"], []).append(
            {
                "index": int(row["sample_index"]),
                "text": row["text"],
                "finish": row["finish_reason"],
                "status": text(row.get("status")),
                "answer": text(row.get("answer")),
                "right": flag(row.get("correct")),
                "path": count(row.get("path")),
                "hidden": count(row.get("cluster")),
                "score": number(row.get("score")) if pd.notna(row.get("score")) else None,
                "steps": spans.get(key, []),
                "span": None if start is None or end is None else (start, end),
            }
        )
    return found


def for_page(row: dict[str, Any]) -> dict[str, Any]:
    """A trace as the page needs it: its text in pieces."""
    kept = {name: row[name] for name in row if name not in ("text", "steps", "span")}
    return {**kept, "pieces": cut(row["text"], row["steps"], row["span"])}


def cut(text: str, steps: Sequence[tuple[int, int]], answer: tuple[int, int] | None) -> list[Piece]:
    """A trace's text in pieces at the borders of its steps and of its stated answer.

    Joined together the pieces are the text again, whatever the spans.

    >>> cut("2 + 2 = 4. So 4.", [(0, 10), (11, 16)], (14, 15))
    [(0, '2 + 2 = 4.', False), (None, ' ', False),
     (1, 'So ', False), (1, '4', True), (1, '.', False)]
    """
    borders = {0, len(text), *(place for span in steps for place in span), *(answer or ())}
    places = sorted(place for place in borders if 0 <= place <= len(text))
    pieces: list[Piece] = []
    for start, end in pairwise(places):
        inside = [i for i, (first, last) in enumerate(steps) if first <= start and end <= last]
        stated = answer is not None and answer[0] <= start and end <= answer[1]
        pieces.append((inside[0] if inside else None, text[start:end], stated))
    return pieces


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
