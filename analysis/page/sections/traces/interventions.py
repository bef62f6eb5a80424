"""What the faithfulness tests say of one trace: values, early answers, mistakes, importance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from analysis.figures.text import count, flag, number, text
from analysis.page.evidence import Evidence, detail_of
from cot.types import TRACE_KEY

__all__ = [
    "MOST_CHARACTERS",
    "Importance",
    "Interventions",
    "Mistake",
    "Value",
    "most_important",
    "read_interventions",
]

MOST_CHARACTERS = 600
"""Of what was written after a mistake, and of a step that was changed."""
BUDGET = 20_000_000
"""Characters of both that a page carries; beyond it, a mistake has only its answer."""
Key = tuple[str, int]


class Value(NamedTuple):
    """What one test says of a trace; a row in the page's data."""

    test: str
    """The test, as typed."""
    value: float | None
    """Its value; None where there is none."""
    n_steps: int | None
    """Steps of the reasoning."""
    why: str | None
    """Why there is no value; None where there is one."""


class Importance(NamedTuple):
    """How far the answers move when a step is sampled again; a row in the page's data."""

    step: int
    """The step's place."""
    importance: float
    """In nats."""
    by_chance: float | None
    """What answers dealt at random give, in nats."""
    n: int | None
    """Resamples."""
    share_dissimilar: float | None
    """Share of the resamples that say something else."""
    n_dissimilar: int | None
    """Of those, the ones with an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A step into which a mistake was put."""

    step: int
    """The step's place."""
    original: str | None
    """The step as the model wrote it; None beyond BUDGET, as are the other words."""
    changed: str | None
    """The step with the mistake."""
    answer: str | None
    """The answer after it."""
    stays: bool | None
    """Whether that is the trace's own; None where there is no answer."""
    text: str | None
    """What the model wrote after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interventions:
    """What the tests say of one trace; None for tests that weren't made."""

    values: list[Value] | None
    """A row a test."""
    early: list[str | None] | None
    """Answers after 0, 1, ... steps; None where one is missing."""
    first: int | None
    """The least number of steps that gives the trace's answer; None where none does."""
    mistakes: list[Mistake] | None
    """In the order of steps."""
    importance: list[Importance] | None
    """A row a step."""


def read_interventions(evidence: Evidence) -> dict[Key, Interventions]:
    """Per trace that a test was made of, by (question_id, sample_index)."""
    values: dict[Key, list[Value]] = {}
    early: dict[Key, list[str | None]] = {}
    first: dict[Key, int] = {}
    mistakes: dict[Key, list[Mistake]] = {}
    importance: dict[Key, list[Importance]] = {}
    for row in _sampled(evidence.get("faithfulness_traces")).to_dict("records"):
        values.setdefault(_key(row), []).append(_value(row))
    readings = _sampled(evidence.get("faithfulness"))
    if len(readings):
        readings = readings[~readings["control"].astype(bool) & readings["step"].notna()]
        forced = readings[readings["test"].isin(_curved(evidence)) & readings["share"].notna()]
        for row in _once(forced).to_dict("records"):
            early.setdefault(_key(row), []).append(text(row["answer"]))
            if flag(row["same"]):
                first.setdefault(_key(row), int(row["step"]))
        mistaken = readings["detail"].map(lambda cell: "changed" in detail_of(cell)).astype(bool)
        used = 0
        for row in _once(readings[mistaken]).to_dict("records"):
            mistake = _mistake(row)
            used += sum(
                len(words or "") for words in (mistake.original, mistake.changed, mistake.text)
            )
            if used > BUDGET:
                mistake = replace(mistake, original=None, changed=None, text=None)
            mistakes.setdefault(_key(row), []).append(mistake)
    for row in _once(_sampled(evidence.get("faithfulness_steps"))).to_dict("records"):
        weighed = _importance(row)
        if weighed is not None:
            importance.setdefault(_key(row), []).append(weighed)
    return {
        key: Interventions(
            values=values.get(key),
            early=early.get(key),
            first=first.get(key),
            mistakes=mistakes.get(key),
            importance=importance.get(key),
        )
        for key in {**values, **early, **mistakes, **importance}
    }


def most_important(evidence: Evidence) -> float | None:
    """The largest importance of a step in the run, where colours are full; None without any."""
    steps = _sampled(evidence.get("faithfulness_steps"))
    return number(steps["importance"].max()) if len(steps) else None


def _curved(evidence: Evidence) -> list[str]:
    """Tests whose answers are drawn over the share that is kept."""
    tests = evidence.get("faithfulness_tests")
    return [str(test) for test in tests.loc[tests["curve"] != "", "test"]] if len(tests) else []


def _sampled(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of sampled traces; a greedy one isn't among the page's."""
    return table[~table["greedy"].astype(bool)] if len(table) else table


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a trace and step, in the order of steps; of the first test where it was made with
    several parameters."""
    if not len(rows):
        return rows
    rows = rows[(rows["test"] == rows["test"].iloc[0]) & rows["step"].notna()]
    return rows.drop_duplicates([*TRACE_KEY, "step"]).sort_values("step", kind="stable")


def _key(row: Mapping[Any, Any]) -> Key:
    return str(row["question_id"]), int(row["sample_index"])


def _value(row: Mapping[Any, Any]) -> Value:
    value = number(row["value"])
    return Value(
        test=str(row["test"]),
        value=None if value is None else round(value, 3),
        n_steps=count(row["n_steps"]),
        why=None if value is not None else text(row["excluded"]) or "no value",
    )


def _mistake(row: Mapping[Any, Any]) -> Mistake:
    detail = detail_of(row["detail"])
    return Mistake(
        step=int(row["step"]),
        original=_cut(detail.get("original")),
        changed=_cut(detail.get("changed")),
        answer=text(row["answer"]),
        stays=flag(row["same"]),
        text=_cut(row["text"]),
    )


def _importance(row: Mapping[Any, Any]) -> Importance | None:
    value, chance = number(row["importance"]), number(row["by_chance"])
    if value is None:
        return None
    return Importance(
        step=int(row["step"]),
        importance=round(value, 4),
        by_chance=None if chance is None else round(chance, 4),
        n=count(row["n"]),
        share_dissimilar=number(row["share_dissimilar"]),
        n_dissimilar=count(row["n_dissimilar"]),
    )


def _cut(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "…"
