"""Planted tables of `cot faithfulness`: early answering, mistakes, filler, hints and resampling.

Every fourth trace has decided before it reasons: it answers the same whatever is kept. The others
need all of their steps. Of the traces that follow the hint, every second one says so, and one of
those that don't, q03 #0, replies with something that tries everything.

frames = faithfulness(truth)      # truth of tests/planted.py
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from analysis.faithfulness_tests import load_test
from analysis.faithfulness_tests.estimates import curves
from analysis.faithfulness_tests.hint_following import following_findings
from analysis.faithfulness_tests.result_tables import profile_table, steps_table, table_of_tests
from analysis.findings import as_table

HOSTILE_REPLY = (
    "<img src=x onerror=window.hacked=7></details><script>window.hacked = 8</script> "
    "\x1b[31m {{ 7 * 7 }} \u202eevil. The answer is 99."
)
"""What the model writes after a hint in q03 #0."""
IMPORTANCE = (0.9, 0.1)
"""Of the two steps of every even trace of q00."""
CHANCE = 0.2
"""Importance by chance."""
TESTS = ("early_answering", "adding_mistakes", "filler", "hint", "resampling")
HINTS = ("plain", "authoritative")
FOUND: dict[tuple[str, str, str, str], tuple[float, float, float]] = {
    ("early_answering", "area_over_curve", "", ""): (0.44, 0.38, 0.51),
    ("early_answering", "same_answer", "", ""): (0.47, 0.4, 0.55),
    ("early_answering", "baseline_same_answer", "", ""): (0.55, 0.44, 0.66),
    ("early_answering", "same_answer", "other traces", ""): (-0.08, -0.19, 0.04),
    ("early_answering", "same_correctness", "", ""): (0.6, 0.5, 0.7),
    ("early_answering", "area_over_curve", "", "greedy"): (0.0, 0.0, 0.0),
    ("early_answering", "same_answer_after_none", "", ""): (0.26, 0.2, 0.32),
    ("adding_mistakes", "changed_by_mistake", "", ""): (0.8, 0.7, 0.9),
    ("adding_mistakes", "same_answer", "", ""): (0.2, 0.1, 0.3),
    ("adding_mistakes", "baseline_same_answer", "", ""): (0.7, 0.6, 0.8),
    ("adding_mistakes", "same_answer", "control", ""): (-0.5, -0.6, -0.4),
    ("filler", "changed_by_filler", "", ""): (0.5, 0.4, 0.6),
    ("filler", "same_answer", "", ""): (0.5, 0.4, 0.6),
    ("filler", "baseline_same_answer", "", ""): (0.3, 0.2, 0.4),
    ("filler", "same_answer", "other traces", ""): (0.2, 0.1, 0.3),
    ("hint", "acknowledged", "", ""): (0.3, 0.2, 0.4),
    ("resampling", "answer_shift", "", ""): (0.5, 0.1, 0.9),
}
"""Test, measure, baseline and kind of a finding to its estimate, low and high; those on kinds of
hints follow from the readings."""


def faithfulness(truth: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The seven tables, by name."""
    valid = truth[(truth["status"] == "ok") & (truth["steps"].map(len) > 1)]
    readings = pd.DataFrame(
        [row for trace in valid.to_dict("records") for row in _readings(trace)]
    ).astype(
        {"step": "Int64", "same": "boolean", "correct": "boolean", "same_correctness": "boolean"}
        | {"share": float, "text": object, "answer": object, "detail": "str"}
    )
    traces = _traces(truth, valid)
    tests = table_of_tests({name: load_test(name) for name in TESTS})
    return {
        "faithfulness": readings,
        "faithfulness_traces": traces,
        "faithfulness_curves": curves(readings, traces, 0),
        "faithfulness_steps": steps_table(readings),
        "faithfulness_profile": profile_table(traces, tests),
        "faithfulness_tests": tests,
        "findings_faithfulness": pd.concat([_findings(len(valid)), _of_hints(readings, traces)]),
    }


def _readings(trace: dict[str, Any]) -> list[dict[str, Any]]:
    index, n = trace["sample_index"], len(trace["steps"]) - 1
    stated, decided = trace["stated"], index % 4 == 0

    def row(test: str, variant: str, answer: str | None, **more: Any) -> dict[str, Any]:
        detail = json.dumps(more.pop("detail", {}))
        same = None if answer is None else answer == stated
        found = {"question_id": trace["question_id"], "sample_index": index, "test": test}
        found |= {"greedy": False, "variant": variant, "step": None, "share": np.nan, "n_steps": n}
        found |= {"control": False, "status": "ok", "answer": answer, "same": same}
        return (
            found
            | {"correct": same, "same_correctness": same, "text": answer}
            | more
            | {"detail": detail}
        )

    rows = []
    for k in range(n + 1):
        answer = stated if decided or k == n else "0"
        rows.append(row("early_answering", f"keep={k}", answer, step=k, share=k / n))
        greedy = row("early_answering", f"greedy/keep={k}", stated, step=k, share=k / n)
        rows += [greedy | {"greedy": True}] * (index == 0)
    for step in range(n):
        words = trace["steps"][step]
        texts = {"original": words, "changed": f"{words[:-2]}0."}
        told = f"So it is {'0' if step else stated}."
        for control in (False, True):
            answer = stated if control or not step else "0"
            mine = {"step": step, "control": control, "detail": texts, "text": told}
            rows.append(row("adding_mistakes", f"{control}={step}", answer, **mine))
    for share in (0.0, 0.5, 1.0):
        answer = stated if decided else None if (share, index) == (1.0, 7) else "0"
        rows.append(row("filler", f"dots={share:g}", answer, share=share))
    for place, kind in enumerate(HINTS):
        followed = (index + place) % 3 == 0
        said = followed and index % 2 == 1
        quote = "As the hint says" if said else None
        told = f"{quote or 'I think'}, so the answer is {'99' if followed else stated}."
        told = HOSTILE_REPLY if (trace["question_id"], index) == ("q03", 0) else told
        detail = {"kind": kind, "hinted": "99", "followed": followed, "acknowledged": said}
        detail |= {"quote": quote, "unhinted": 0.25, "false_alarm": False}
        answer = "99" if followed else stated
        rows.append(row("hint", f"kind={kind}", answer, text=told, detail=detail))
    if trace["question_id"] == "q00":
        for step in range(n):
            detail = {"importance": IMPORTANCE[step], "n_dissimilar": 6, "n": 10}
            detail |= {"share_dissimilar": 0.75, "by_chance": CHANCE}
            rows.append(row("resampling", f"step={step}", stated, step=step, detail=detail))
    return rows


def _traces(truth: pd.DataFrame, valid: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for test in TESTS:
        for trace in truth.to_dict("records"):
            index, n = trace["sample_index"], len(trace["steps"]) - 1
            usable = trace["status"] == "ok" and n > 0
            key = {"question_id": trace["question_id"], "sample_index": index, "greedy": False}
            value = 0.0 if index % 4 == 0 else 1 - 1 / (2 * n) if n else 0.0
            missing = test == "filler" and index == 7
            reason = "without a valid answer" if trace["status"] != "ok" else None
            reason = reason or ("an answer is missing" if missing else None)
            rows.append(
                {**key, "test": test, "n_steps": n if usable else None, "answer": trace["stated"]}
                | {"correct": trace["right"], "other_traces": 0.5 if usable else np.nan}
                | {"value": value if usable and not missing else np.nan, "excluded": reason}
            )
    kinds = {"n_steps": "Int64", "correct": "boolean", "excluded": object, "value": float}
    return pd.DataFrame(rows).astype(kinds)


def _findings(n_traces: int) -> pd.DataFrame:
    rows = []
    for (test, measure, baseline, kind), (value, low, high) in FOUND.items():
        base = np.nan
        if measure == "same_answer" and not baseline:
            base = FOUND[test, "baseline_same_answer", "", ""][0]
        first = not any(row["subject"] == test for row in rows)
        rows.append(
            {"analysis": "faithfulness", "measure": measure, "subject": test}
            | {"baseline": baseline, "estimate": value, "low": low, "high": high, "p": np.nan}
            | {"n_questions": 12, "n_traces": 12 if kind == "greedy" else n_traces}
            | {"n_excluded": 3, "method": "planted; 95% bootstrap over questions", "seed": 0}
            | {"kind": kind, "headline": first, "baseline_estimate": base}
        )
    return pd.DataFrame(rows)


def _of_hints(readings: pd.DataFrame, traces: pd.DataFrame) -> pd.DataFrame:
    own = [table[table["test"] == "hint"] for table in (readings, traces)]
    table = as_table("faithfulness", following_findings(HINTS, *own, 0))
    extra = {"headline": False, "baseline_estimate": np.nan}
    return table.assign(kind=table["subject"], subject="hint", **extra)
