"""What the faithfulness tests say of one trace: values, early answers, mistakes, importance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.page.data import Evidence
from analysis.page.faithfulness import base_of
from analysis.page.hints import detail_of
from analysis.page.text import count, flag, number, text

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
        readings = readings[~readings["control"].astype(bool)]
        base = readings["test"].map(base_of)
        for row in _once(readings[base == "early_answering"]).to_dict("records"):
            _early(_of(found, row), row)
        for row in _once(readings[base == "adding_mistakes"]).to_dict("records"):
            mistake = _mistake(row)
            used += sum(len(mistake[name] or "") for name in WORDS)
            if used > BUDGET:
                mistake |= dict.fromkeys(WORDS)
            _of(found, row).setdefault("mistakes", []).append(mistake)
        for row in _once(readings[base == "resampling"], first="detail").to_dict("records"):
            _important(_of(found, row), row)
    return found


def most_important(evidence: Evidence) -> float | None:
    """The largest importance of a step in the run, where colours are full; None without any."""
    readings = _sampled(evidence.get("faithfulness"))
    if not len(readings):
        return None
    mine = readings[readings["test"].map(base_of) == "resampling"]
    known = [number(detail_of(cell).get("importance")) for cell in mine["detail"]]
    return max((value for value in known if value is not None), default=None)


def _sampled(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of sampled traces; a greedy one isn't among the page's."""
    return table[~table["greedy"].astype(bool)] if len(table) else table


def _once(rows: pd.DataFrame, first: str | None = None) -> pd.DataFrame:
    """One row a trace and step, in the order of steps; of the first test where it was made with
    several parameters. `first`: of several rows of a step, one that names an importance there."""
    rows = rows[rows["test"] == rows["test"].iloc[0]] if len(rows) else rows
    rows = rows[rows["step"].notna()]
    if first is not None and len(rows):
        rows = rows[rows[first].map(lambda cell: "importance" in detail_of(cell)).astype(bool)]
    keys = ["question_id", "sample_index", "step"]
    return rows.drop_duplicates(keys).sort_values("step", kind="stable")


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
    detail = detail_of(row["detail"])
    value = number(detail.get("importance"))
    if value is not None:
        chance, share = (number(detail.get(name)) for name in ("by_chance", "share_dissimilar"))
        chance = None if chance is None else round(chance, 4)
        counts = [count(detail.get("n")), share, count(detail.get("n_dissimilar"))]
        entry = [int(row["step"]), round(value, 4), chance, *counts]
        trace.setdefault("importance", []).append(entry)


def _cut(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "…"
