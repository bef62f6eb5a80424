"""Each question's expected accuracy at each n: which way of computing it goes where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.answer_table import ballots_of
from analysis.curves.credit import EXACT_UP_TO, majority_credit, pass_at, subset_credit
from analysis.voting import Rule, outcomes

__all__ = ["PASS", "expected_accuracy"]

PASS = "pass@k"
Ints = NDArray[np.int64]


def expected_accuracy(
    answers: pd.DataFrame,
    rule: str | Rule,
    counts: Sequence[int],
    order: str = "random",
    subsets: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Expected accuracy by question (rows) and n (columns); NaN where it has fewer traces.

    Args:
        answers: rows of the answers table with gold, and the columns that the rule needs.
        rule: a rule, or `PASS`.
        counts: the n asked for.
    """
    codes, ids = pd.factorize(answers["question_id"])
    place = np.lexsort((answers["sample_index"].to_numpy(), codes))
    codes = codes[place]
    sizes = np.bincount(codes, minlength=len(ids))
    needs = () if isinstance(rule, str) else rule.needs
    read = dict.fromkeys(["sample_index", "status", "correct", *needs])
    traces = (
        answers[list(read)]
        .iloc[place]
        .assign(
            question_id=codes,
            group=codes,
            answer=pd.factorize(answers["answer"])[0][place],
            size=sizes[codes],
            rank=np.arange(len(codes)) - (np.cumsum(sizes) - sizes)[codes],
        )
    )
    if isinstance(rule, str):
        table = _pass(traces, sizes, counts, order)
    elif order == "file":
        table = {
            n: _voted(traces[(traces["rank"] < n) & (traces["size"] >= n)], rule) for n in counts
        }
    else:
        table = _random(traces, sizes, rule, counts, subsets, seed)
    return pd.DataFrame(table, index=np.arange(len(ids)), columns=list(counts)).set_axis(ids)


def _random(
    traces: pd.DataFrame,
    sizes: Ints,
    rule: Rule,
    counts: Sequence[int],
    subsets: int,
    seed: int,
) -> dict[int, pd.Series]:
    """Expected accuracy over random subsets: a Series by question for each n."""
    ballots = ballots_of(traces)
    weighed = ballots.index[~np.isnan(np.asarray(rule.weigh(ballots), dtype=float))]
    traces = traces.assign(votes=traces.index.isin(weighed))
    exact = _exact(traces, sizes, counts) if rule.equal else {}
    table = {}
    for n in counts:
        known = exact.get(n, pd.Series(dtype=float))
        if n == 1:
            right = traces["correct"].astype(bool) & traces["votes"]
            known = right.groupby(traces["question_id"]).mean()
        whole = _voted(traces[traces["size"] == n], rule)
        known = whole.combine_first(known)
        rest = traces[(traces["size"] > n) & ~traces["question_id"].isin(known.index)]
        drawn = subset_credit(rest, rule, n, subsets, seed) if len(rest) else known.iloc[:0]
        table[n] = known.combine_first(drawn)
    return table


def _exact(traces: pd.DataFrame, sizes: Ints, counts: Sequence[int]) -> dict[int, pd.Series]:
    """The majority's expected credit at each n, of the questions with more traces than that."""
    valid = traces[traces["votes"]]
    n_answers = int(valid["answer"].max()) + 1 if len(valid) else 1
    classes, members = np.unique(
        valid["question_id"].to_numpy() * np.int64(n_answers) + valid["answer"].to_numpy(),
        return_inverse=True,
    )
    count = np.bincount(members, minlength=len(classes))
    owner = classes // n_answers
    right = np.zeros(len(classes), dtype=bool)
    right[members[valid["correct"].to_numpy(dtype=bool)]] = True
    golds = np.bincount(owner[right], count[right], len(sizes)).astype(np.int64)
    place = np.lexsort((-count, owner))
    place = place[~right[place]]
    slot = np.arange(len(place)) - np.searchsorted(owner[place], owner[place])
    others = np.zeros((len(sizes), int(slot.max(initial=-1)) + 1), dtype=np.int64)
    others[owner[place], slot] = count[place]
    found = {}
    for n in (n for n in counts if n > 1):
        rows = np.flatnonzero((sizes > n) & (sizes <= EXACT_UP_TO))
        credit = majority_credit(golds[rows], others[rows], sizes[rows], n)
        found[n] = pd.Series(credit, index=rows)
    return found


def _pass(
    traces: pd.DataFrame, sizes: Ints, counts: Sequence[int], order: str
) -> dict[int, pd.Series]:
    """Whether, or how likely, one of n traces is right: a Series by question for each n."""
    table = {}
    for n in counts:
        counted = traces["correct"].astype(bool).to_numpy()
        if order == "file":
            counted = counted & (traces["rank"] < n).to_numpy()
        rows = np.flatnonzero(sizes >= n)
        right = np.bincount(traces["question_id"], counted, len(sizes)).astype(np.int64)[rows]
        drawn = sizes[rows] if order == "random" else np.full(len(rows), n)
        table[n] = pd.Series(pass_at(right, drawn, n), index=rows)
    return table


def _voted(traces: pd.DataFrame, rule: Rule) -> pd.Series:
    """1.0 where the vote of all these traces is right, by question."""
    if traces.empty:
        return pd.Series(dtype=float)
    return outcomes(traces, rule).set_index("question_id")["correct"].astype(float)
