"""Raters: each names an answer of every question; how far do they agree beyond chance?

A rater is a vote rule that reads one source: the answers (`majority`), the reasoning (`path`,
`checked`), the hidden states (`probe`), the layers (`lens`: votes weighted by internal
consistency), what happened when the reasoning was changed (`faithful`).

Class labels of different questions can't be compared, so that chance comes from each question's
own traces: two raters that each drew a trace at random would agree with probability
e_q = sum over answers of (share of the traces)². Over the questions that both rate,

    kappa = sum_q (agree_q - e_q) / sum_q (1 - e_q)

with an interval by bootstrap over questions. It is 1 where they always agree and 0 where they agree
as often as two random traces do; questions with one answer only say nothing and leave it as it is.
All raters choose among the same traces: kappa is high for any two sensible rules, and what counts
is what a rater adds where the majority is wrong.

Where gold is known, `alpha` is Krippendorff's (nominal) over the raters' verdicts right or wrong.
"""

from __future__ import annotations

from collections.abc import Set
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.answer_table import ballots_of
from analysis.columns import columns, made_from
from analysis.statistics import mean_interval, ratio_interval, resample
from analysis.voting import load_rule, outcomes
from cot.store.run import Run

__all__ = ["RATERS", "alpha", "chance", "rater_pairs", "raters_worth", "ratings"]

RATERS = {
    "majority": "majority",
    "cluster": "cluster",
    "checked": "checked",
    "probe": "probe",
    "lens": "internal_consistency",
    "faithful": "faithful",
}
"""Rater to its vote rule."""
DRAWS = 200
"""Bootstrap samples of alpha, which is computed by a library, one after the other."""


def ratings(run: Run, answers: pd.DataFrame, there: Set[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each rater names.

    Args:
        answers: the table.
        there: tables that raters may read.

    Returns:
        answer: indexed by question, one column a rater, None for an abstention.
        correct: likewise, nullable booleans; missing without gold, False for an abstention.
    """
    rules = {name: load_rule(spec) for name, spec in RATERS.items()}
    chosen = {name: rule for name, rule in rules.items() if set(made_from(rule.needs)) <= there}
    needs = [need for rule in chosen.values() for need in rule.needs]
    known = columns(run, answers, needs)
    votes = {name: outcomes(known, rule).set_index("question_id") for name, rule in chosen.items()}
    answer = pd.DataFrame({name: vote["answer"] for name, vote in votes.items()})
    correct = pd.DataFrame({name: vote["correct"] for name, vote in votes.items()})
    return answer.where(answer.notna(), None), correct


def chance(answers: pd.DataFrame) -> pd.Series:
    """Probability that two random traces of a question state one answer, indexed by question."""
    counts = ballots_of(answers).groupby(["question_id", "answer"], sort=False).size()
    shares = counts / counts.groupby(level="question_id").transform("sum")
    return (shares**2).groupby(level="question_id").sum()


def rater_pairs(answer: pd.DataFrame, expected: pd.Series, seed: int) -> pd.DataFrame:
    """Each pair's agreement: rater, other, agreement, chance, kappa, low, high, n_questions,
    n_same (questions on which all traces state one answer), seed.

    Args:
        answer: see `ratings`.
        expected: see `chance`.
    """
    rows = []
    for rater, other in combinations(answer, 2):
        both = answer[answer[rater].notna() & answer[other].notna()]
        agree = (both[rater] == both[other]).to_numpy(dtype=float)
        by_chance = expected.reindex(both.index).to_numpy(dtype=float)
        # Sums before the ratio: a question on which all traces agree has no room, and no kappa.
        above, room = agree - by_chance, 1 - by_chance
        known = room.sum() > 0  # no question with two answers: kappa is 0 / 0
        low, high = ratio_interval(above, room, seed=seed) if known else (np.nan, np.nan)
        rows.append(
            {
                "rater": rater,
                "other": other,
                "agreement": agree.mean() if len(agree) else np.nan,
                "chance": by_chance.mean() if len(agree) else np.nan,
                "kappa": above.sum() / room.sum() if known else np.nan,
                "low": low,
                "high": high,
                "n_questions": len(both),
                "n_same": int((room == 0).sum()),
                "seed": seed,
            }
        )
    return pd.DataFrame(rows)


def raters_worth(correct: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What each rater is worth beside the majority, over the questions with gold.

    Columns: rater, accuracy, low, high; difference from the majority's, difference_low,
    difference_high (paired bootstrap over questions); rescued (right where the majority is wrong),
    n_wrong (majorities that are wrong), lost (wrong where it is right), n_questions, seed.
    """
    judged = correct.dropna().astype(bool)
    majority = judged["majority"]
    rows = []
    for rater in judged:
        mine = judged[rater]
        low, high = mean_interval(mine.astype(float), seed=seed)
        gain = mine.astype(float) - majority.astype(float)
        gain_low, gain_high = mean_interval(gain, seed=seed)
        rows.append(
            {
                "rater": rater,
                "accuracy": mine.mean() if len(mine) else np.nan,
                "low": low,
                "high": high,
                "difference": gain.mean() if len(mine) else np.nan,
                "difference_low": gain_low,
                "difference_high": gain_high,
                "rescued": int((mine & ~majority).sum()),
                "n_wrong": int((~majority).sum()),
                "lost": int((~mine & majority).sum()),
                "n_questions": len(judged),
                "seed": seed,
            }
        )
    return pd.DataFrame(rows)


def alpha(correct: pd.DataFrame, seed: int) -> tuple[float, float, float, int]:
    """Krippendorff's nominal alpha over right and wrong, its 95% interval, and its questions; NaN
    where every verdict is the same."""
    import krippendorff

    judged = correct.dropna().astype(int).to_numpy()
    if judged.shape[1] < 2 or len(np.unique(judged)) < 2:
        return (np.nan, np.nan, np.nan, len(judged))

    def of(units: NDArray[Any]) -> float:
        # Counts of wrong and of right a unit are what the library needs of raters: faster by far.
        counts = np.stack([(units == 0).sum(axis=1), (units == 1).sum(axis=1)], axis=1)
        if (counts.sum(axis=0) == 0).any():  # all right or all wrong: no disagreement to expect
            return float("nan")
        return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))

    drawn = [
        of(np.repeat(judged, counts, axis=0))
        for counts in resample(len(judged), draws=DRAWS, seed=seed)
    ]
    known = np.array(drawn)[~np.isnan(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return (of(judged), float(low), float(high), len(judged))
