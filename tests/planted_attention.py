"""Planted tables of `cot attention` on the run of tests/planted.py: head 1 of layer 2 is the only
receiver head, and looks at the first step; nobody knows head 2's receiver score.

    add_attention(run)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from written import write_table

from analysis.findings import as_table
from cot.store.run import Run
from cot.types import TRACE_KEY, Finding

N_LAYERS, N_HEADS = 3, 3
RECEIVER = (2, 1)
SHOWN = [("q00", 0), ("q03", 1)]
"""Traces whose matrices are kept; the second one's text is hostile."""
HOSTILE_METHOD = "planted <img src=x onerror=window.hacked=11> \x1b[31m"
"""How the receiver heads were counted."""


def attention(layer: int, head: int, later: int, step: int) -> float:
    """Of the planted matrices."""
    if (layer, head) == RECEIVER:
        return 0.05 if step == 0 and later else 0.001
    return 0.01 / (1 + later - step)


def heads_table() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for layer in range(1, N_LAYERS + 1):
        for head in range(N_HEADS):
            receiver = (layer, head) == RECEIVER
            score = 6.0 if receiver else np.nan if head == 2 else -0.5
            rows.append(
                {"layer": layer, "head": head, "kurtosis": score, "low": score - 1}
                | {"high": score + 1, "permuted": score * 0 - 0.2, "position": score * 0 + 0.4}
                | {
                    "adjusted": score,
                    "beyond_permuted": score + 0.2,
                    "beyond_position": score - 0.4,
                }
                | {"p": 0.0001 if receiver else 0.8, "p_holm": 0.0009 if receiver else 1.0}
                | {"receiver": receiver, "reliability": 0.9 if receiver else 0.1}
                | {"kurtosis_odd": score, "kurtosis_even": score, "to_first_token": 0.3}
                | {"to_prompt": 0.5, "to_own_step": 0.2}
                | {"n_questions": 10, "n_traces": 60, "n_excluded": 36}
            )
    for name in ("beyond_permuted", "beyond_position"):
        for row in rows:
            row |= {f"{name}_low": row[name] - 1, f"{name}_high": row[name] + 1}
    return pd.DataFrame(rows)


def matrices_table(steps: pd.DataFrame) -> pd.DataFrame:
    counts = steps.groupby(TRACE_KEY).size()
    rows = [
        {"question_id": name, "sample_index": index, "layer": layer, "head": head}
        | {"later": later, "step": step, "attention": attention(layer, head, later, step)}
        for name, index in SHOWN
        for layer in range(1, N_LAYERS + 1)
        for head in range(N_HEADS)
        for later in range(counts[name, index])
        for step in range(later + 1)
    ]
    return pd.DataFrame(rows)


def findings_table() -> pd.DataFrame:
    common: dict[str, Any] = {"n_questions": 10, "n_traces": 60, "n_excluded": 36, "seed": 0}
    count = Finding(
        measure="receiver_heads",
        estimate=1.0,
        low=None,
        high=None,
        method=HOSTILE_METHOD,
        **common,
    )
    rank = Finding(
        measure="spearman",
        subject="receiver_heads × knockout",
        estimate=0.31,
        low=0.11,
        high=0.52,
        p=0.012,
        method="planted",
        **common,
    )
    return as_table("attention", [count, rank])


def add_attention(run: Run) -> None:
    """Write the tables into a planted run."""
    frames = {
        "attention_heads": heads_table(),
        "attention_matrices": matrices_table(run.table("steps")),
        "findings_attention": findings_table(),
    }
    for name, frame in frames.items():
        write_table(run, name, frame, command="attention", parameters={}, inputs=["steps"])
