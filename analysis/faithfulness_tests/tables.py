"""The tables of a measurement.

`faithfulness`, one row an intervention: question_id, sample_index, greedy (whether the trace is the
greedy one), test, variant, step (Int64: steps kept, or the step changed), share (of the reasoning
that is kept), n_steps (of the reasoning), control (nothing was changed: what sampling alone does),
status, answer, same (as the trace's; missing without an answer), correct, same_correctness, text
(what the model wrote), detail (JSON).

`faithfulness_traces`, one row a trace and test: question_id, sample_index, greedy, test, n_steps,
answer, correct, fresh (share of the question's other traces that state the same answer), value (see
`Outcome`; NaN), excluded (why there is none). Traces that no test can be made on are there too.

`faithfulness_curves`: see `analysis.faithfulness_tests.curves`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analysis.faithfulness_tests.curves import curves
from analysis.faithfulness_tests.findings import findings

if TYPE_CHECKING:
    from analysis.faithfulness_tests.case import Case
    from analysis.faithfulness_tests.contract import Outcome
    from analysis.faithfulness_tests.measuring import Measured

__all__ = ["readings_table", "tables_of", "traces_table"]


def tables_of(measured: Sequence[Measured], seed: int) -> dict[str, pd.DataFrame]:
    """Name to table."""
    readings = pd.concat([readings_table(each) for each in measured], ignore_index=True)
    traces = pd.concat([traces_table(each) for each in measured], ignore_index=True)
    return {
        "faithfulness": readings,
        "faithfulness_traces": traces,
        "faithfulness_curves": curves(readings, seed),
        "findings_faithfulness": findings(measured, readings, traces, seed),
    }


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
    kinds = dict(READINGS)
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def traces_table(measured: Measured) -> pd.DataFrame:
    """The rows of `faithfulness_traces` of one test."""
    rows = [
        {
            **_key(measured, case),
            "n_steps": len(case.steps),
            "answer": case.answer,
            "correct": case.correct,
            "fresh": case.fresh,
            "value": outcome.value,
            "excluded": _excluded(outcome),
        }
        for case, outcome in zip(measured.cases, measured.outcomes, strict=True)
    ]
    rows += [
        {
            "question_id": left.question_id,
            "sample_index": left.sample_index,
            "greedy": left.greedy,
            "test": measured.spec,
            "answer": left.answer,
            "correct": left.correct,
            "excluded": left.reason,
        }
        for left in measured.left
    ]
    return pd.DataFrame(rows, columns=list(TRACES)).astype(dict(TRACES))


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
    "fresh": float,
    "value": float,
    "excluded": object,
}


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
