"""What a replay found, as the tables `stops` and `findings_stop`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.findings import as_table, mean_finding
from analysis.stopping.following import Followed
from analysis.stopping.stored import Stored
from cot.types import Finding

__all__ = ["ALL", "as_rows", "findings_of"]

ALL = "all"
"""Subject beside the rules: the majority vote over all traces."""


def as_rows(stored: Stored, rule: str, followed: Followed) -> pd.DataFrame:
    """One rule's rows of `stops`; see `analysis.stopping.stop`."""
    tokens = stored.tokens_of(stored.traces)
    unknown = pd.array([pd.NA] * len(stored.sizes), dtype="Int64")
    return pd.DataFrame(
        {
            "question_id": stored.question_ids,
            "rule": rule,
            "n_traces": stored.sizes,
            "n_used": followed.used,
            "stopped": followed.stopped,
            "answer": stored.names_of(followed.answer),
            "majority": stored.names_of(followed.majority),
            "tied": followed.tied,
            "correct": stored.judge(followed.answer),
            "majority_correct": stored.judge(followed.majority),
            "tokens": unknown if tokens is None else tokens.sum(axis=1),
            "tokens_used": unknown if followed.tokens is None else followed.tokens,
        }
    ).astype({"tokens": "Int64", "tokens_used": "Int64"})


def findings_of(
    stored: Stored,
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
    judged = stored.has_gold
    n_traces, n_excluded = int(stored.sizes[judged].sum()), int((~judged).sum())
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

    whole = next(iter(asked.values()))[ALL]
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
            {**_cost(stored, means), **_cost(stored, in_file[rule], "file_")}
            for rule, means in asked.items()
        ]
    ).reindex(range(len(found)))
    return as_table("stop", found, **{name: costs[name].to_numpy() for name in costs})


def _cost(stored: Stored, means: pd.DataFrame, prefix: str = "") -> dict[str, float]:
    """What a rule spent over all questions, and how often its answer and the vote are right."""
    judged = stored.has_gold
    tokens = stored.tokens_of(stored.traces)
    total = 0 if tokens is None else tokens.sum()
    values = {
        "mean_samples": means["used"].mean(),
        "saved": 1 - means["used"].sum() / stored.sizes.sum(),
        "tokens_saved": 1 - means["tokens"].sum() / total if total else np.nan,
        "stopped": means["stopped"].mean(),
        "majority_accuracy": means["majority"][judged].mean(),
    }
    if prefix:
        values["accuracy"] = means["correct"][judged].mean()
    return {prefix + name: float(value) for name, value in values.items()}
