"""Traces whose text is shaded by attribution, beside knock-out.

The page carries the first attributed trace of each question, then the second, and so on. What a
model wrote reaches the page as strings, which it sets as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.step_attribution import step_values
from analysis.figures.text import flag, number, shorten, text
from analysis.page.evidence import Evidence
from cot.types import TRACE_KEY

__all__ = ["CHARACTERS", "STEPS", "TRACES", "ShadedTrace", "n_traces", "shaded_traces"]

TRACES = 40
"""Traces that a page carries."""
STEPS = 60
"""Steps of a trace that a page carries: those with the largest numbers."""
CHARACTERS = 500
"""Of a step's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadedTrace:
    """A trace's steps and what each carries; numbers in nats, None where nothing is known."""

    id: str
    """Its question's id."""
    index: int
    """Its sample index."""
    answer: str | None
    """The answer that it states, shortened."""
    right: bool | None
    """Whether that is right."""
    names: list[str]
    """Methods, and last `knock-out` where it is known, shape [column]."""
    steps: list[int]
    """Numbers of the steps that are shown, ascending."""
    n_steps: int
    """Steps with a value."""
    texts: list[str]
    """What they say, the beginning of long ones, shape [step]."""
    values: list[list[float | None]]
    """Shape [step][column]."""
    parts: list[str]
    """Other parts that have values: `question`, `exemplars` …"""
    others: list[list[float | None]]
    """Their values, shape [part][column]."""


def n_traces(evidence: Evidence) -> int:
    """Traces with an attribution."""
    table = evidence.get("attributions")
    return table.groupby(TRACE_KEY).ngroups if len(table) else 0


def shaded_traces(evidence: Evidence) -> list[ShadedTrace]:
    """The traces that the page carries."""
    table = evidence.get("attributions")
    if not len(table):
        return []
    keys = table[TRACE_KEY].drop_duplicates()
    turn = keys.groupby("question_id", sort=False).cumcount()
    chosen = keys.loc[turn.sort_values(kind="stable").index].head(TRACES)
    groups = dict(iter(table.groupby(TRACE_KEY, sort=False)))
    known = evidence.get("step_importance")
    knocked = dict(iter(known.groupby(TRACE_KEY, sort=False))) if len(known) else {}
    found = []
    for name, index in chosen.itertuples(index=False):
        key = (name, index)
        found.append(_trace(evidence, key, groups[key], knocked.get(key)))
    return found


def _trace(
    evidence: Evidence, key: tuple[str, int], rows: pd.DataFrame, knocked: pd.DataFrame | None
) -> ShadedTrace:
    grid = step_values(rows, knocked)
    n_steps = len(grid)
    if n_steps > STEPS:
        # each column has a scale of its own, as on the page
        size = (grid / grid.abs().max().replace(0.0, 1.0)).abs().max(axis=1)
        grid = grid.loc[sorted(size.sort_values(ascending=False, kind="stable").index[:STEPS])]
    words = _texts(evidence, key)
    others = rows[rows["part"] != "step"].pivot(index="part", columns="method", values="value")
    order = [part for part in dict.fromkeys(rows["part"]) if part in others.index]
    others = others.reindex(index=order, columns=grid.columns)
    answers = evidence.get("answers")
    own = pd.DataFrame()
    if len(answers):
        same = (answers["question_id"] == key[0]) & (answers["sample_index"] == key[1])
        own = answers[same]
    stated = text(own["answer"].iloc[0]) if len(own) else None
    return ShadedTrace(
        id=str(key[0]),
        index=int(key[1]),
        answer=None if stated is None else shorten(stated, 60),
        right=flag(own["correct"].iloc[0]) if len(own) else None,
        names=[str(name) for name in grid.columns],
        steps=[int(step) for step in grid.index],
        n_steps=n_steps,
        texts=[words.get(int(step), "") for step in grid.index],
        values=_rounded(grid),
        parts=[str(part).replace("_", " ") for part in order],
        others=_rounded(others),
    )


def _rounded(grid: pd.DataFrame) -> list[list[float | None]]:
    return [
        [None if (known := number(value)) is None else round(known, 3) for value in line]
        for line in grid.to_numpy(float)
    ]


def _texts(evidence: Evidence, key: tuple[str, int]) -> dict[int, str]:
    """What the trace's steps say, by number."""
    table, traces = evidence.get("steps"), evidence.traces
    same = (traces["question_id"] == key[0]) & (traces["sample_index"] == key[1])
    if not len(table) or not same.any():
        return {}
    whole: Any = traces.loc[same, "text"].iloc[0]
    mine = (table["question_id"] == key[0]) & (table["sample_index"] == key[1])
    found = {}
    for step, start, end in table.loc[mine, ["step", "start", "end"]].itertuples(index=False):
        said = str(whole)[int(start) : int(end)]
        found[int(step)] = said if len(said) <= CHARACTERS else said[: CHARACTERS - 1] + "…"
    return found
