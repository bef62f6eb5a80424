"""What the faithfulness tests say of one trace: values, early answers, mistakes, importance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.figures.text import count, flag, number, text
from analysis.page.evidence import Evidence, detail_of
from cot.types import TRACE_KEY

__all__ = ["MOST_CHARACTERS", "most_important", "read_interventions"]

MOST_CHARACTERS = 600
"""Of what was written after a mistake, and of a step that was changed."""
BUDGET = 20_000_000
"""Characters of both that a page carries; beyond it, a mistake has only its answer."""
WORDS = ("original", "changed", "text")
Key = tuple[str, int]


def read_interventions(evidence: Evidence) -> dict[Key, dict[str, Any]]:
    """Per trace, by (question_id, sample_index):

    - values: [test, value, n_steps, why there is none], a test each;
    - early: answers after 0, 1, ... steps (None where one is missing), and `first`, the least
      number of steps that gives the trace's answer;
    - mistakes: step, original, changed, answer, stays, text;
    - importance: [step, importance in nats, what chance gives, n, share that was dissimilar,
      dissimilar ones with an answer], a step each.

    The last three are there only where their test was made.
    """
    found: dict[Key, dict[str, Any]] = {}
    used = 0
    for row in _sampled(evidence.get("faithfulness_traces")).to_dict("records"):
        value = number(row["value"])
        why = None if value is not None else text(row["excluded"]) or "no value"
        shown = None if value is None else round(value, 3)
        entry = [str(row["test"]), shown, count(row["n_steps"]), why]
        _of(found, row).setdefault("values", []).append(entry)
    readings = _sampled(evidence.get("faithfulness"))
    if len(readings):
        readings = readings[~readings["control"].astype(bool) & readings["step"].notna()]
        early = readings[readings["test"].isin(_curved(evidence)) & readings["share"].notna()]
        for row in _once(early).to_dict("records"):
            _early(_of(found, row), row)
        mistaken = readings["detail"].map(lambda cell: "changed" in detail_of(cell)).astype(bool)
        for row in _once(readings[mistaken]).to_dict("records"):
            mistake = _mistake(row)
            used += sum(len(mistake[name] or "") for name in WORDS)
            if used > BUDGET:
                mistake |= dict.fromkeys(WORDS)
            _of(found, row).setdefault("mistakes", []).append(mistake)
    for row in _once(_sampled(evidence.get("faithfulness_steps"))).to_dict("records"):
        _important(_of(found, row), row)
    return found


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


def _of(found: dict[Key, dict[str, Any]], row: Mapping[Any, Any]) -> dict[str, Any]:
    return found.setdefault((str(row["question_id"]), int(row["sample_index"])), {})


def _early(trace: dict[str, Any], row: Mapping[Any, Any]) -> None:
    answers = trace.setdefault("early", [])
    trace.setdefault("first", None)
    if trace["first"] is None and flag(row["same"]):
        trace["first"] = int(row["step"])
    answers.append(text(row["answer"]))


def _mistake(row: Mapping[Any, Any]) -> dict[str, Any]:
    detail = detail_of(row["detail"])
    return {
        "step": int(row["step"]),
        "original": _cut(detail.get("original")),
        "changed": _cut(detail.get("changed")),
        "answer": text(row["answer"]),
        "stays": flag(row["same"]),
        "text": _cut(row["text"]),
    }


def _important(trace: dict[str, Any], row: Mapping[Any, Any]) -> None:
    value, chance = number(row["importance"]), number(row["by_chance"])
    if value is not None:
        chance = None if chance is None else round(chance, 4)
        counts = [count(row["n"]), number(row["share_dissimilar"]), count(row["n_dissimilar"])]
        entry = [int(row["step"]), round(value, 4), chance, *counts]
        trace.setdefault("importance", []).append(entry)


def _cut(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "…"
