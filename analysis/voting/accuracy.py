"""How often votes are right, beside the mean single trace and the greedy trace.

Accuracy is correct / questions with gold. An abstention, and a trace without a valid answer, is not
correct; both are counted. Two figures of one run are compared by their paired difference.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.findings import as_table, mean_finding
from cot.types import Finding

__all__ = ["COUNTS", "GREEDY", "SINGLE", "accuracies"]

SINGLE, GREEDY = "single", "greedy"
"""Subjects beside the rules: the mean single trace, and the greedy trace."""
COUNTS = ("ties", "abstained", "excluded")
"""Counts beside each accuracy."""


def accuracies(
    answers: pd.DataFrame, votes: pd.DataFrame, greedy: pd.DataFrame | None, seed: int
) -> pd.DataFrame:
    """The table `findings_vote`: the accuracy of each rule, of `single`, of `greedy`, and of each
    rule against `single`.

    Columns beside those of `Finding`: random_tie (the accuracy with random tie-breaking instead of
    the lowest sample_index: where many are tied, the difference is luck), ties, abstained, excluded
    (traces without a valid answer).
    """
    if "surplus" in answers:
        answers = answers[~answers["surplus"]]
    with_gold = answers[answers["correct"].notna()]
    n_traces = len(with_gold)
    no_gold = answers["question_id"].nunique() - with_gold["question_id"].nunique()
    invalid = int((with_gold["status"] != "ok").sum())
    single = with_gold["correct"].astype(float).groupby(with_gold["question_id"], sort=False).mean()
    common = "; 95% bootstrap over questions; questions without gold excluded"
    findings: list[Finding] = []
    counts: list[tuple[float, int, int, int]] = []
    gains: list[Finding] = []
    for rule, rows in votes.groupby("rule", sort=False):
        judged = rows[rows["correct"].notna()].set_index("question_id")
        right = judged["correct"].astype(float)
        findings.append(
            mean_finding(
                "accuracy",
                right,
                subject=str(rule),
                n_traces=n_traces,
                n_excluded=no_gold,
                method=f"share of questions on which the {rule} vote is right" + common,
                seed=seed,
            )
        )
        ties, abstained = (int(judged[name].sum()) for name in ("tied", "abstained"))
        counts.append((float(judged["expected_accuracy"].mean()), ties, abstained, invalid))
        gains.append(
            mean_finding(
                "accuracy",
                right - single.reindex(right.index),
                subject=str(rule),
                baseline=SINGLE,
                n_traces=n_traces,
                n_excluded=no_gold,
                method=f"{rule} vote minus mean single trace, paired by question" + common,
                seed=seed,
            )
        )
    findings.append(
        mean_finding(
            "accuracy",
            single,
            subject=SINGLE,
            n_traces=n_traces,
            n_excluded=no_gold,
            method="mean over questions of the share of right traces" + common,
            seed=seed,
        )
    )
    counts.append((np.nan, 0, 0, invalid))
    if greedy is not None:
        judged = greedy[greedy["correct"].notna()]
        findings.append(
            mean_finding(
                "accuracy",
                judged["correct"].astype(float),
                subject=GREEDY,
                n_traces=len(judged),
                n_excluded=len(greedy) - len(judged),
                method="share of questions on which the greedy trace is right" + common,
                seed=seed,
            )
        )
        counts.append((np.nan, 0, 0, int((judged["status"] != "ok").sum())))
    counts += [(np.nan, 0, 0, invalid)] * len(gains)
    extra = dict(zip(("random_tie", *COUNTS), zip(*counts, strict=True), strict=True))
    return as_table("vote", [*findings, *gains], **extra)
