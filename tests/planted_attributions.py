"""Planted tables of `cot attribute` on the run of tests/planted.py: the second step carries the
answer by both methods, and the first one speaks against it by the gradient.

    add_attributions(run)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from planted_interventions import loss
from written import write_table

from analysis.findings import as_table
from cot.store.run import Run
from cot.types import Finding

METHODS = ("grad_x_input", "shapley")
VALUES = {"grad_x_input": (-0.4, 0.8, 0.1), "shapley": (0.0, 1.6, 0.2)}
"""Nats of the steps."""
PARTS = {"exemplars": 0.3, "question": 0.9, "instruction": -0.1}
RANKS = {"knockout": 0.7, "resampling": 0.5, "randomised": 0.05}
HOSTILE_HOW = "planted <img src=x onerror=window.hacked=8> \x1b[31m"


def values_table(steps: pd.DataFrame) -> pd.DataFrame:
    """`attributions`: two traces of each question."""
    rows: list[dict[str, Any]] = []
    keys = steps[["question_id", "sample_index"]].drop_duplicates()
    keys = keys[keys["sample_index"] < 2]
    for method in METHODS:
        for name, index in keys.itertuples(index=False):
            key = {"question_id": name, "sample_index": index, "method": method}
            if method == "grad_x_input":
                rows += [
                    {**key, "part": part, "step": pd.NA, "value": value}
                    for part, value in PARTS.items()
                ]
            own = steps[(steps["question_id"] == name) & (steps["sample_index"] == index)]
            rows += [
                {**key, "part": "step", "step": int(step), "value": VALUES[method][place]}
                for place, step in enumerate(own["step"].iloc[:3])
            ]
    table = pd.DataFrame(rows).assign(n_tokens=6, second_seed=np.nan, randomised=np.nan)
    return table.astype({"step": "Int64", "sample_index": "int32"})


def importance_table(values: pd.DataFrame) -> pd.DataFrame:
    """`step_importance` of the same traces."""
    steps = values[(values["part"] == "step") & (values["method"] == METHODS[0])]
    table = steps[["question_id", "sample_index", "step"]].astype({"step": int})
    pairs = zip(table["sample_index"], table["step"], strict=True)
    return table.assign(
        knockout=[loss(index, step) for index, step in pairs],
        knockout_control=0.1,
        resampling=np.nan,
        early_answering=np.nan,
        position=0.5,
    )


def findings_table() -> pd.DataFrame:
    def made(measure: str, subject: str, value: float | None, baseline: str = "") -> Finding:
        return Finding(
            measure=measure,
            subject=subject,
            baseline=baseline,
            estimate=value,
            low=None if value is None else value - 0.1,
            high=None if value is None else value + 0.1,
            n_questions=9,
            n_traces=18,
            n_excluded=3,
            method=HOSTILE_HOW,
            seed=0,
        )

    found = []
    for method in METHODS:
        found += [made("deletion", method, 1.2, "random_step")]
        found += [made("insertion", method, 1.1, "random_step")]
        found += [made("spearman", f"{method} × {name}", value) for name, value in RANKS.items()]
        found += [made("spearman", f"{method} × second_seed", None)]
        found += [made("value", f"{method} × step", 0.5)]
    found += [made("gap", "grad_x_input", 0.43), made("value", "grad_x_input × question", 0.9)]
    return as_table("attribute", found)


def add_attributions(run: Run) -> None:
    """Write the tables."""
    values = values_table(run.table("steps"))
    tables = {
        "attributions": values,
        "findings_attribute": findings_table(),
    }
    with run.lock():
        for name, frame in tables.items():
            write_table(run, name, frame, command="attribute", parameters={}, inputs=["steps"])
        known = importance_table(values)
        write_table(
            run, "step_importance", known, command="intervene", parameters={}, inputs=["steps"]
        )
