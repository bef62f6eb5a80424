"""Steps of single traces that were hidden: what they move, beside the text.

The page carries the traces in which a step moves the answer furthest beyond its control. What a
model wrote reaches the page as strings, which it sets as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.text import flag, number, shorten, text
from analysis.page.evidence import Evidence
from cot.types import TRACE_KEY

__all__ = ["CHARACTERS", "STEPS", "TRACES", "HiddenSteps", "hidden_steps", "n_traces"]

TRACES = 40
"""Traces that a page carries."""
STEPS = 40
"""Steps of a trace that a page carries: those that move the most, or are moved the most."""
CHARACTERS = 500
"""Of a step's text."""
ANSWER = -1
"""Stands for the answer among the later steps."""
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenSteps:
    """A trace whose steps were hidden one by one; numbers in nats, None where nothing is known."""

    id: str
    """Its question's id."""
    index: int
    """Its sample index."""
    answer: str | None
    """The answer that it states, shortened."""
    right: bool | None
    """Whether that is right."""
    other: str | None
    """The answer that it is compared with, shortened."""
    steps: list[int]
    """Numbers of the steps that are shown, ascending."""
    texts: list[str]
    """What they say, the beginning of long ones, shape [step]."""
    n_steps: int
    """Steps of the trace."""
    moved: list[list[float | None]]
    """Mean KL at a later step, or last at the answer, where a step is hidden, shape
    [step][step + 1]."""
    by_chance: list[list[float | None]]
    """The same where a random span of as many tokens is hidden."""
    effect: list[float | None]
    """Log-odds that the own answer loses without the step, shape [step]; None for a step that was
    not hidden."""
    control: list[float | None]
    """The same without a random span."""


def n_traces(evidence: Evidence) -> int:
    """Traces whose steps were hidden."""
    table = evidence.get("intervention_steps")
    return table.groupby(TRACE_KEY).ngroups if len(table) else 0


def hidden_steps(evidence: Evidence) -> list[HiddenSteps]:
    """The traces that the page carries, the one in which a step moves the answer most first."""
    table = evidence.get("intervention_steps")
    if not len(table):
        return []
    # A step without room for a random span has no control: its effect is compared with nothing.
    beyond = table["effect"] - table["control_effect"]
    most = beyond.groupby([table[name] for name in TRACE_KEY], sort=False).max()
    chosen = most.sort_values(ascending=False, kind="stable", na_position="last").head(TRACES)
    keys: list[Key] = [(str(name), int(index)) for name, index in chosen.index]
    groups = dict(iter(table.groupby(TRACE_KEY, sort=False)))
    words, verdicts = _texts(evidence, keys), _verdicts(evidence.get("answers"))
    others = _others(evidence.get("interventions"))
    return [
        _trace(key, groups[key], words.get(key, {}), verdicts.get(key, (None, None)), others)
        for key in keys
    ]


def _trace(
    key: Key,
    rows: pd.DataFrame,
    words: Mapping[int, str],
    verdict: tuple[str | None, bool | None],
    others: Mapping[Key, str],
) -> HiddenSteps:
    rows = rows.assign(later=rows["later"].fillna(ANSWER).astype(int))
    there = {*rows["step"].astype(int), *rows["later"]} - {ANSWER}
    steps = _most_moving(rows, sorted({*there, *words}))
    answers = rows[rows["later"] == ANSWER].set_index("step")
    places = [*steps, ANSWER]

    def matrix(column: str) -> list[list[float | None]]:
        grid = rows.pivot(index="step", columns="later", values=column)
        return [_rounded(line) for line in grid.reindex(index=steps, columns=places).to_numpy()]

    return HiddenSteps(
        id=key[0],
        index=key[1],
        answer=verdict[0],
        right=verdict[1],
        other=others.get(key),
        steps=steps,
        texts=[words.get(step, "") for step in steps],
        n_steps=len({*there, *words}),
        moved=matrix("kl"),
        by_chance=matrix("control_kl"),
        effect=_rounded(answers["effect"].reindex(steps)),
        control=_rounded(answers["control_effect"].reindex(steps)),
    )


def _most_moving(rows: pd.DataFrame, steps: Sequence[int]) -> list[int]:
    """All steps, or of many those with the largest number of the matrix beyond its control, as the
    step that is hidden or as a later one."""
    if len(steps) <= STEPS:
        return list(steps)
    moved = (rows["kl"] - rows["control_kl"]).fillna(0.0)
    lost = (rows["effect"] - rows["control_effect"]).abs().fillna(0.0)
    most: dict[int, float] = {}
    for step, later, value in zip(
        rows["step"], rows["later"], pd.concat([moved, lost], axis=1).max(axis=1), strict=True
    ):
        for place in (int(step), int(later)):
            most[place] = max(most.get(place, 0.0), float(value))
    ranked = sorted(steps, key=lambda step: -most.get(step, 0.0))
    return sorted(ranked[:STEPS])


def _rounded(values: Any) -> list[float | None]:
    known = [number(value) for value in values]
    return [None if value is None else round(value, 3) for value in known]


def _texts(evidence: Evidence, keys: Sequence[Key]) -> dict[Key, dict[int, str]]:
    """What the steps of these traces say, by number."""
    table = evidence.get("steps")
    if not len(table):
        return {}
    wanted = pd.MultiIndex.from_tuples(keys, names=TRACE_KEY)
    own = evidence.traces.set_index(TRACE_KEY)["text"]
    whole = {key: str(own[key]) for key in keys if key in own.index}
    rows = table.set_index(TRACE_KEY)
    rows = rows[rows.index.isin(wanted)].reset_index()
    found: dict[Key, dict[int, str]] = {}
    names = [*TRACE_KEY, "step", "start", "end"]
    for name, index, step, start, end in rows[names].itertuples(index=False):
        said = whole.get((name, int(index)), "")[int(start) : int(end)]
        cut = said if len(said) <= CHARACTERS else said[: CHARACTERS - 1] + "…"
        found.setdefault((str(name), int(index)), {})[int(step)] = cut
    return found


def _verdicts(answers: pd.DataFrame) -> dict[Key, tuple[str | None, bool | None]]:
    """The answer that each trace states, and whether it is right."""
    if answers.empty:
        return {}
    rows = answers[[*TRACE_KEY, "answer", "correct"]].itertuples(index=False)
    return {
        (str(key), int(index)): (_short(answer), flag(right)) for key, index, answer, right in rows
    }


def _others(interventions: pd.DataFrame) -> dict[Key, str]:
    """The answer that each trace's own is compared with where steps are hidden."""
    if interventions.empty:
        return {}
    rows = interventions[interventions["position"] == "step"].drop_duplicates(TRACE_KEY)
    found = rows[[*TRACE_KEY, "other"]].itertuples(index=False)
    return {(str(key), int(index)): str(_short(other)) for key, index, other in found}


def _short(answer: Any) -> str | None:
    known = text(answer)
    return None if known is None else shorten(known, 60)
