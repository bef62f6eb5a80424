r"""The outline of a long trace: its sections, and where its answer first stands.

A section is a row of the table `sections`. Beside it stand the number of its tokens and their mean
log-probability (nats), its checked equations, and how often it turns back.

The answer *first appears* where its text first stands as a result, behind `=`, "is", `\boxed{` or
the like; where it never does, where it first stands at all. It is *last changed* at the first
statement of it (a box, or "the answer is") behind the last statement of another one.

    "So it is 7. No: \boxed{8}, sorry, \boxed{7}."   answer 7  ->  first at the 7 of "is 7", last
                                                     changed at the second box
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.figures.text import count
from analysis.page.evidence import Evidence

__all__ = ["AnswerPlaces", "TraceSection", "answer_places", "read_sections", "short_form"]

Key = tuple[str, int]
Span = tuple[int, int]
LONGEST = 60
"""Characters of a signature or a dataflow that are shown."""
RESULT = r"(?:[=≈:]|\b(?:is|are|be|get|gets|gives|equals|answer)|\\boxed\{)[\s$*({\\]*"
"""What stands before a result."""
STATEMENT = re.compile(
    r"\\boxed\{\s*([^{}]{1,200}|[^{}]{0,80}(?:\{[^{}]{0,80}\}[^{}]{0,80}){1,4})\}"
    r"|\banswer(?:\s+(?:is|should\s+be|must\s+be|would\s+be)|:)\s*[$*(]*\s*(-?\d[\d,]*(?:\.\d+)?)",
    re.I,
)
"""A box, or a number that is called the answer."""
LITTER = re.compile(r"[\s$,*]|\\[,;! ]|\\(?:text|mathrm)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSection:
    """A section of a trace."""

    part: str
    """`reasoning` or `answer`."""
    kind: str
    """Its category."""
    first_step: int
    """The first of its steps."""
    last_step: int
    """The last of its steps, inclusive."""
    n_tokens: int | None
    """Its tokens; None where the table doesn't know them."""
    logprob: float | None
    """Mean log-probability of its tokens, in nats; None where none is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlaces:
    """Where a trace's answer stands, as steps."""

    first: int | None
    """The step in which it first appears; None where it stands in no step."""
    changed: int | None
    """The step in which it is last changed; None where no other answer was stated before."""


def read_sections(evidence: Evidence) -> dict[Key, list[TraceSection]]:
    """Per trace, its sections in order, by (question_id, sample_index)."""
    table = evidence.get("sections")
    if not len(table):
        return {}
    means = _means(evidence)
    found: dict[Key, list[TraceSection]] = {}
    names = ["part", "kind", "first_step", "last_step", "token_start", "token_end"]
    ordered = table.sort_values("section", kind="stable")
    for question, index, part, kind, first, last, start, end in ordered[
        ["question_id", "sample_index", *names]
    ].itertuples(index=False):
        key = (str(question), int(index))
        low, high = count(start), count(end)
        known = low is not None and high is not None
        found.setdefault(key, []).append(
            TraceSection(
                part=str(part),
                kind=str(kind),
                first_step=int(first),
                last_step=int(last),
                n_tokens=high - low if known else None,  # type: ignore[operator]
                logprob=_mean(means[key], low, high) if known and key in means else None,
            )
        )
    return found


def answer_places(text: str, steps: Sequence[Span], stated: str | None) -> AnswerPlaces | None:
    """Where the answer stands; None without one.

    Args:
        text: the trace.
        steps: its steps' spans, in order.
        stated: the answer as the trace states it.

    >>> answer_places("So it is 7. No: 8.", [(0, 11), (12, 18)], "7")
    AnswerPlaces(first=0, changed=None)
    """
    if not stated or not stated.strip():
        return None
    word = rf"(?<![\w.])({re.escape(stated.strip())})(?!\w|[.,]\d)"
    result = re.search(RESULT + word, text)
    anywhere = result or re.search(word, text)
    return AnswerPlaces(
        first=None if anywhere is None else _step_at(steps, anywhere.start(1)),
        changed=_step_at(steps, _changed(text, stated)),
    )


def short_form(operations: str | None) -> str | None:
    """What a trace computes, short enough to read: its beginning, and how many operations it has.

    >>> short_form("add,mul")
    'add,mul'
    >>> short_form(",".join(["add"] * 200))
    'add,add,add,add,add,add,add,add,add,add,add,add,add,add,… (200 operations)'
    """
    if operations is None or len(operations) <= LONGEST:
        return operations
    head = operations[: LONGEST - 2].rsplit(",", 1)[0]
    return f"{head},… ({operations.count(',') + 1} operations)"


def _changed(text: str, stated: str) -> int | None:
    """The place of the first statement of the answer behind the last of another one."""
    own = _plain(stated)
    statements = [
        (match.start(), _plain(match[1] or match[2])) for match in STATEMENT.finditer(text)
    ]
    others = [i for i, (_, value) in enumerate(statements) if value != own]
    if not others or others[-1] + 1 == len(statements):
        return None
    return statements[others[-1] + 1][0]


def _plain(answer: str) -> str:
    return LITTER.sub("", answer).rstrip(".")


def _step_at(steps: Sequence[Span], place: int | None) -> int | None:
    """The step that holds a character; None where none does."""
    if place is None:
        return None
    at = bisect_left(steps, (place + 1, 0)) - 1
    return at if at >= 0 and place < steps[at][1] else None


def _means(evidence: Evidence) -> Mapping[Key, Any]:
    """Per trace with log-probabilities, their running sum, from 0, and how many are known."""
    traces = evidence.run.traces(["logprobs"])
    found = {}
    for question, index, logprobs in traces[["question_id", "sample_index", "logprobs"]].itertuples(
        index=False
    ):
        if logprobs is None or not len(logprobs):
            continue
        values = np.asarray(logprobs, float)
        known = np.isfinite(values)
        sums = np.cumsum(np.where(known, values, 0.0))
        found[(str(question), int(index))] = (
            np.concatenate([[0.0], sums]),
            np.concatenate([[0], np.cumsum(known)]),
        )
    return found


def _mean(running: Any, start: int | None, end: int | None) -> float | None:
    sums, known = running
    if start is None or end is None or not 0 <= start < end < len(sums):
        return None
    n = int(known[end] - known[start])
    return round(float(sums[end] - sums[start]) / n, 3) if n else None
