"""Every trace's equations as tables: what they compute, and which of them are wrong."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.equations.checks import check_trace
from analysis.equations.dataflow import dataflow
from analysis.equations.signature import signature
from cot.steps import segment
from cot.types import TRACE_KEY

__all__ = ["check_traces"]

GOLD = "gold_steps"
"""Where the meta of an `arithmetic` question keeps the values of its worked solution."""


def check_traces(
    traces: pd.DataFrame, questions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the equations of each trace show, and the equations themselves.

    Args:
        traces: question_id, sample_index, text, canonical (the final answer, or missing).
        questions: question_id, meta.

    Returns:
        traces: question_id, sample_index, signature, dataflow, n_checked, n_wrong (int32),
            wrong_used, follows (nullable boolean), n_gold_found (Int32: how many of the worked
            solution's values are stated; missing where the question has none).
        equations: the table `step_checks`: question_id, sample_index, step (Int64), start, end
            (characters of the raw text), text, operation (of the whole, such as add), stated, value
            (exact, as text; missing where it can't be known), verdict, used_later.
    """
    gold = {
        row.question_id: row.meta.get(GOLD) or ()
        for row in questions.itertuples()
        if isinstance(row.meta, dict)
    }
    rows: list[tuple[Any, ...]] = []
    equations: list[tuple[Any, ...]] = []
    for question_id, index, text, final in zip(
        *(traces[name] for name in (*TRACE_KEY, "text", "canonical")), strict=True
    ):
        golds = gold.get(question_id, ())
        found = check_trace(text, segment(text), final if isinstance(final, str) else None, golds)
        stated = [row.equation for row in found.rows]
        rows.append(
            (question_id, index, signature(stated), dataflow(stated), found.n_checked)
            + (found.n_wrong, found.wrong_used if found.rows else None, found.follows)
            + (found.gold_found if golds else None,)
        )
        equations += [
            (question_id, index, row.step, row.equation.start, row.equation.end, row.equation.text)
            + (row.equation.expression.name, str(row.equation.stated))
            + (None if row.value is None else str(row.value), row.verdict, row.used_later)
            for row in found.rows
        ]
    counts = ["n_checked", "n_wrong"]
    frame = pd.DataFrame(
        rows,
        columns=[
            *TRACE_KEY,
            "signature",
            "dataflow",
            *counts,
            "wrong_used",
            "follows",
            "n_gold_found",
        ],
    ).astype(
        {
            "signature": "str",
            "dataflow": "str",
            **dict.fromkeys(counts, "int32"),
            "wrong_used": "boolean",
            "follows": "boolean",
            "n_gold_found": "Int32",
        }
    )
    names = [*TRACE_KEY, "step", "start", "end", "text", "operation", "stated", "value", "verdict"]
    kinds = dict.fromkeys(["text", "operation", "stated", "value", "verdict"], "str")
    checked = pd.DataFrame(equations, columns=[*names, "used_later"])
    return frame, checked.astype({**kinds, "step": "Int64", "used_later": bool})
