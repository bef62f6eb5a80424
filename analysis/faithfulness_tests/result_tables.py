"""The tables of `cot faithfulness` by trace, reading, step and test; `estimates.py` has the others.

`faithfulness`, one row a reading, which is the answer after one change: question_id, sample_index,
greedy (whether the trace is the greedy one), test, variant, step (Int64: steps kept, or the step
changed), share (of the reasoning that is kept), n_steps (of the reasoning), control (nothing was
changed: what sampling alone does), status, answer, same (as the trace's; missing without an
answer), correct, same_correctness, text (what the model wrote), detail (JSON).

`faithfulness_traces`, one row a trace and test: question_id, sample_index, greedy, test, n_steps,
answer, correct, other_traces (share of the question's other traces that state the same answer),
value (see `Outcome`; NaN), excluded (why there is none), looked_at (share of the steps at which a
test that goes step by step asked; NaN for others). Traces that no test can be made on are there
too.

`faithfulness_profile`, one row a sampled trace: question_id, sample_index, n_tests (with a value,
of those that change the reasoning and nothing else), faithfulness (the mean of their values; NaN
without any). It is what votes, signals and the agreement table read.

`faithfulness_steps`, one row a reading that says how important a step is: question_id,
sample_index, greedy, test, step, importance (nats), by_chance (what the same answers give, dealt at
random), n (continuations), n_dissimilar (of them, with another step and an answer),
share_dissimilar (of those that write a step).

`faithfulness_tests`, one row a test: test (as typed), does, and the attributes of its class that
say how to show it (`analysis.faithfulness_tests.contract`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.faithfulness_tests.contract import FaithfulnessTest, Outcome
from analysis.faithfulness_tests.tested_trace import Case
from analysis.faithfulness_tests.trace_selection import Untested

__all__ = [
    "Measured",
    "profile_table",
    "readings_table",
    "steps_table",
    "table_of_tests",
    "traces_table",
]

KEY = {"question_id": "str", "sample_index": int, "greedy": bool, "test": "str"}
READINGS: Mapping[str, object] = {
    **KEY,
    "variant": "str",
    "step": "Int64",
    "share": float,
    "n_steps": int,
    "control": bool,
    "status": "str",
    "answer": object,
    "same": "boolean",
    "correct": "boolean",
    "same_correctness": "boolean",
    "text": object,
    "detail": "str",
}
TRACES: Mapping[str, object] = {
    **KEY,
    "n_steps": "Int64",
    "answer": object,
    "correct": "boolean",
    "other_traces": float,
    "value": float,
    "excluded": object,
    "looked_at": float,
}
STEPS: Mapping[str, object] = {
    **KEY,
    "step": "Int64",
    "importance": float,
    "by_chance": float,
    "n": "Int64",
    "n_dissimilar": "Int64",
    "share_dissimilar": float,
}
SHOWN = ("title", "measure", "one", "limit", "of_reasoning", "curve", "curve_meaning")
"""Attributes of a test's class that are columns of `faithfulness_tests`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One test, made on all traces."""

    spec: str
    """The test as typed, such as `filler:points=4`."""
    test: FaithfulnessTest
    """The test."""
    cases: Sequence[Case]
    """Sampled and greedy traces."""
    outcomes: Sequence[Outcome]
    """One for each of `cases`, in their order."""
    untested: Sequence[Untested]
    """Traces that no test can be made on."""
    texts: Mapping[tuple[str, int, str], str]
    """What the model wrote, by question_id, place in `cases`, variant."""


def readings_table(measured: Measured) -> pd.DataFrame:
    """The rows of `faithfulness` of one test."""
    rows = [
        {
            **_key(measured, case),
            "variant": reading.variant,
            "step": reading.step,
            "share": reading.share,
            "n_steps": len(case.steps),
            "control": reading.control,
            "status": reading.status,
            "answer": reading.answer,
            "same": None if reading.answer is None else reading.answer == case.answer,
            "correct": _correct(case, reading.answer),
            "same_correctness": _same_correctness(case, reading.answer),
            "text": measured.texts.get((case.question.id, place, reading.variant)),
            "detail": json.dumps(dict(reading.detail), ensure_ascii=False),
        }
        for place, (case, outcome) in enumerate(zip(measured.cases, measured.outcomes, strict=True))
        for reading in outcome.readings
    ]
    return pd.DataFrame(rows, columns=list(READINGS)).astype(dict(READINGS))


def traces_table(measured: Measured) -> pd.DataFrame:
    """The rows of `faithfulness_traces` of one test."""
    rows = [
        {
            **_key(measured, case),
            "n_steps": len(case.steps),
            "answer": case.answer,
            "correct": case.correct,
            "other_traces": case.others_share,
            "value": outcome.value,
            "excluded": _excluded(outcome),
            "looked_at": outcome.looked_at,
        }
        for case, outcome in zip(measured.cases, measured.outcomes, strict=True)
    ]
    rows += [
        {
            "question_id": trace.question_id,
            "sample_index": trace.sample_index,
            "greedy": trace.greedy,
            "test": measured.spec,
            "answer": trace.answer,
            "correct": trace.correct,
            "excluded": trace.reason,
        }
        for trace in measured.untested
    ]
    return pd.DataFrame(rows, columns=list(TRACES)).astype(dict(TRACES))


def profile_table(traces: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """The table `faithfulness_profile`.

    Args:
        traces: table `faithfulness_traces`.
        tests: table `faithfulness_tests`.
    """
    key = ["question_id", "sample_index"]
    sampled = traces[~traces["greedy"]]
    wide = sampled.pivot(index=key, columns="test", values="value")
    counted = wide[[name for name in tests.loc[tests["of_reasoning"], "test"] if name in wide]]
    frame = counted.notna().sum(axis=1).rename("n_tests").to_frame()
    return frame.assign(faithfulness=counted.mean(axis=1).astype(float)).reset_index()


def steps_table(readings: pd.DataFrame) -> pd.DataFrame:
    """The table `faithfulness_steps`, of the readings whose detail has an importance."""
    details = [json.loads(cell) for cell in readings["detail"]]
    known = [each.get("importance") is not None for each in details]
    rows = pd.DataFrame([each for each, has in zip(details, known, strict=True) if has])
    mine = readings[known].reset_index(drop=True)
    columns = [name for name in STEPS if name not in mine]
    return mine.join(rows.reindex(columns=columns))[list(STEPS)].astype(dict(STEPS))


def table_of_tests(tests: Mapping[str, FaithfulnessTest]) -> pd.DataFrame:
    """The table `faithfulness_tests`.

    Args:
        tests: test as typed to the test.
    """
    rows = [
        {
            "test": spec,
            "does": " ".join((type(test).__doc__ or "").strip().split("\n\n")[0].split()),
            **{name: getattr(test, name) for name in SHOWN},
            "title": test.title or type(test).__name__,
        }
        for spec, test in tests.items()
    ]
    return pd.DataFrame(rows, columns=["test", "does", *SHOWN]).astype({"of_reasoning": bool})


def _key(measured: Measured, case: Case) -> dict[str, object]:
    return {
        "question_id": case.question.id,
        "sample_index": case.sample_index,
        "greedy": case.greedy,
        "test": measured.spec,
    }


def _correct(case: Case, answer: str | None) -> bool | None:
    return None if case.gold is None or answer is None else answer == case.gold


def _same_correctness(case: Case, answer: str | None) -> bool | None:
    now = _correct(case, answer)
    return None if now is None else now == case.correct


def _excluded(outcome: Outcome) -> str | None:
    if outcome.value is not None:
        return None
    return outcome.excluded or "an answer is missing"
