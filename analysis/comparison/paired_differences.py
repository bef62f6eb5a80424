"""Differences of two runs, paired by question id: expected accuracy at each n, and agreement.

A difference is that of the means over the questions in which both runs have the number, with a
paired bootstrap. One whose interval holds 0 is not shown to be a difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.agreement.question_kinds import KINDS
from analysis.curves import Curves, difference
from analysis.statistics import mean_interval

__all__ = ["compare_agreements", "compare_curves"]

MEASURES = {
    "majority accuracy": "correct",
    "vote share": "share",
    "answers a question": "n_answers",
    "clusters a question": "n_clusters",
    "answers × clusters": "ami_answers_clusters",
    "answers × hidden states": "ami_answers_hidden",
    "clusters × hidden states": "ami_clusters_hidden",
    "answers × clusters × hidden states": "three_way",
    "suspicion": "suspicion",
}
"""Row of the table to the column of `agreement`."""


def compare_curves(mine: Curves, theirs: Curves, seed: int = 0) -> pd.DataFrame:
    """The table `curve_comparison`: one row a rule and n of both runs.

    Columns: rule, n, accuracy, other (the second run's), difference (first - second), low, high
    (its 95% interval, paired bootstrap over questions), n_questions, n_excluded (questions that are
    not in both runs with n traces and gold), seed.
    """
    rows: list[dict[str, Any]] = []
    for rule in (name for name in mine.rules if name in theirs.rules):
        for count in sorted(set(mine.counts) & set(theirs.counts)):
            one, two = mine.tables[rule][count], theirs.tables[rule][count]
            questions = one.index.union(two.index)
            one, two = one.reindex(questions), two.reindex(questions)
            finding = difference(rule, rule, one, two, mine.sizes, seed)
            both = one.notna() & two.notna()
            rows.append(
                {
                    "rule": rule,
                    "n": count,
                    "accuracy": one[both].mean(),
                    "other": two[both].mean(),
                    "difference": finding.estimate,
                    "low": finding.low,
                    "high": finding.high,
                    "n_questions": finding.n_questions,
                    "n_excluded": finding.n_excluded,
                    "seed": seed,
                }
            )
    return pd.DataFrame(rows)


def compare_agreements(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Pair two runs' tables `agreement` by question id: the table `agreement_comparison`.

    One row a measure, then one a kind (the share of questions that are of it): name, first, second,
    difference (first - second), low, high, n_questions, n_excluded (questions of either run that
    are not in both, or lack the number in one), seed.
    """
    tables = [each.set_index("question_id") for each in (first, second)]
    common = tables[0].index.intersection(tables[1].index)
    n_all = len(tables[0].index.union(tables[1].index))
    one, two = (table.loc[common] for table in tables)
    rows = [_row(name, one[column], two[column], n_all, seed) for name, column in MEASURES.items()]
    for kind in KINDS:
        marks = [each["kinds"].map(lambda kinds, kind=kind: kind in kinds) for each in (one, two)]
        if any(mark.any() for mark in marks):
            rows.append(_row(f"kind: {kind}", marks[0], marks[1], n_all, seed))
    return pd.DataFrame(rows)


def _row(name: str, one: pd.Series, two: pd.Series, n_all: int, seed: int) -> dict[str, Any]:
    first, second = (each.astype("Float64").to_numpy(float, na_value=np.nan) for each in (one, two))
    both = ~np.isnan(first) & ~np.isnan(second)
    gaps = first[both] - second[both]
    low, high = mean_interval(gaps, seed=seed)
    return {
        "name": name,
        "first": first[both].mean() if both.any() else np.nan,
        "second": second[both].mean() if both.any() else np.nan,
        "difference": gaps.mean() if both.any() else np.nan,
        "low": low,
        "high": high,
        "n_questions": int(both.sum()),
        "n_excluded": n_all - int(both.sum()),
        "seed": seed,
    }
