"""Accuracy and cost of stopping rules: the tables `stops` and `findings_stop`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.findings import as_table, mean_finding
from analysis.stopping.simulation import Simulated
from analysis.stopping.trace_matrix import TraceMatrix
from cot.types import Finding

__all__ = ["ALL", "accuracy_and_cost", "stop_rows"]

ALL = "all"
"""Subject beside the rules: the majority vote over all traces."""


def stop_rows(matrix: TraceMatrix, rule: str, simulated: Simulated) -> pd.DataFrame:
    """One rule's rows of `stops`; see `analysis.stopping.stop`."""
    tokens = matrix.tokens_of(matrix.traces)
    unknown = pd.array([pd.NA] * len(matrix.sizes), dtype="Int64")
    return pd.DataFrame(
        {
            "question_id": matrix.question_ids,
            "rule": rule,
            "n_traces": matrix.sizes,
            "n_used": simulated.used,
            "stopped": simulated.stopped,
            "answer": matrix.names_of(simulated.answer),
            "majority": matrix.names_of(simulated.majority),
            "tied": simulated.tied,
            "correct": matrix.judge(simulated.answer),
            "majority_correct": matrix.judge(simulated.majority),
            "tokens": unknown if tokens is None else tokens.sum(axis=1),
            "tokens_used": unknown if simulated.tokens is None else simulated.tokens,
        }
    ).astype({"tokens": "Int64", "tokens_used": "Int64"})


def accuracy_and_cost(
    matrix: TraceMatrix,
    asked: Mapping[str, pd.DataFrame],
    in_file: Mapping[str, pd.DataFrame],
    how: str,
    seed: int,
) -> pd.DataFrame:
    """The table `findings_stop`; see `analysis.stopping.stop`.

    Args:
        asked: each rule's averages in the order asked for.
        in_file: those in file order.
        how: the order, in words.
    """
    judged = matrix.has_gold
    n_traces, n_excluded = int(matrix.sizes[judged].sum()), int((~judged).sum())
    over = f"{how}; 95% bootstrap over questions; questions without gold excluded (not from costs)"

    def accuracy(rule: str, baseline: str, values: pd.Series, what: str) -> Finding:
        return mean_finding(
            "accuracy",
            values[judged],
            subject=rule,
            baseline=baseline,
            n_traces=n_traces,
            n_excluded=n_excluded,
            method=f"{what}, {over}",
            seed=seed,
        )

    whole = next(iter(asked.values()))["all"]
    found = [
        accuracy(
            rule,
            "",
            means["correct"],
            f"share of questions on which {rule} stops at the right answer",
        )
        for rule, means in asked.items()
    ]
    found.append(accuracy(ALL, "", whole, "share on which the vote over all traces is right"))
    found += [
        accuracy(rule, ALL, means["correct"] - whole, "accuracy minus that of `all`, paired")
        for rule, means in asked.items()
    ]
    costs = pd.DataFrame(
        [
            {**_cost(matrix, means), **_cost(matrix, in_file[rule], "file_")}
            for rule, means in asked.items()
        ]
    ).reindex(range(len(found)))
    return as_table("stop", found, **{name: costs[name].to_numpy() for name in costs})


def _cost(matrix: TraceMatrix, means: pd.DataFrame, prefix: str = "") -> dict[str, float]:
    """What a rule spent over all questions, and how often its answer and the vote are right."""
    judged = matrix.has_gold
    tokens = matrix.tokens_of(matrix.traces)
    total = 0 if tokens is None else tokens.sum()
    values = {
        "mean_samples": means["used"].mean(),
        "saved": 1 - means["used"].sum() / matrix.sizes.sum(),
        "tokens_saved": 1 - means["tokens"].sum() / total if total else np.nan,
        "stopped": means["stopped"].mean(),
        "majority_accuracy": means["majority"][judged].mean(),
    }
    if prefix:
        values["accuracy"] = means["correct"][judged].mean()
    return {prefix + name: float(value) for name, value in values.items()}
