"""What a question's traces answer: the prompt as the model got it; and the greedy trace."""

from __future__ import annotations

from typing import Any

from analysis.figures.text import count, flag, text
from analysis.page.evidence import Evidence
from analysis.page.sections.traces.traces import ReadTrace

__all__ = ["Turn", "read_greedy", "read_prompts"]

Turn = tuple[str | None, str]
"""Who speaks (None where the prompt is plain text), and what."""


def read_prompts(evidence: Evidence) -> dict[str, list[list[Turn]]]:
    """By question, the prompts of its traces, each as turns; nearly always one prompt."""
    if not (evidence.run.path / "prompts.parquet").exists():
        return {}
    known = {str(row["prompt_sha"]): row for row in evidence.run.prompts().to_dict("records")}
    asked = evidence.traces[["question_id", "prompt_sha"]].drop_duplicates()
    found: dict[str, list[list[Turn]]] = {}
    for key, sha in asked.itertuples(index=False):
        if str(sha) in known:
            found.setdefault(str(key), []).append(_turns(known[str(sha)]))
    return found


def _turns(row: dict[Any, Any]) -> list[Turn]:
    if row["messages"]:
        return [(str(each["role"]), str(each["content"])) for each in row["messages"]]
    return [(None, str(row["text"] or ""))]


def read_greedy(evidence: Evidence) -> dict[str, ReadTrace]:
    """By question, its greedy trace; it is no vote, and no table but `greedy_answers` speaks of
    it."""
    if not (evidence.run.path / "samples" / "greedy").is_dir():
        return {}
    answers = evidence.by_question("greedy_answers")
    found = {}
    for row in evidence.run.samples("greedy").to_dict("records"):
        key = str(row["question_id"])
        read = answers.get(key, {})
        start, end = count(read.get("start")), count(read.get("end"))
        found[key] = ReadTrace(
            index=int(row["sample_index"]),
            finish=row["finish_reason"],
            status=text(read.get("status")),
            answer=text(read.get("answer")),
            right=flag(read.get("correct")),
            checks=[],
            kinds=[],
            text=row["text"],
            steps=[],
            equations=[],
            span=None if start is None or end is None else (start, end),
        )
    return found
