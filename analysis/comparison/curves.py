"""Two runs' expected accuracy at each number of samples, paired by question."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.curves import Curves, difference

__all__ = ["compare_curves"]


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
