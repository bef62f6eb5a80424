"""Each question's expected accuracy at n: that of a vote over n of its N traces.

- `majority_accuracy`: exact, over all C(N, n) subsets, where every trace weighs the same. With c_a
  the number of traces that say a, and g the right answer, the subsets in which g has k votes, every
  other answer at most k, and exactly t of them k, are counted by the coefficients of

      C(c_g, k) x^k · prod_{a ≠ g} (sum_{j<k} C(c_a, j) x^j + y C(c_a, k) x^k) · (1 + x)^m

  in x^n y^t (m: traces without a valid answer); in each, g wins with probability 1 / (1 + t). Their
  sum over k and t, divided by C(N, n), is the expected accuracy.
- `sampled_accuracy`: the mean over seeded subsets, for any rule.
- `pass_at`: 1 - C(N - c, n) / C(N, n) (arXiv 2107.03374), c the number of right traces.

A tie is broken at random in a subset, and by the lowest sample_index where all traces vote.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import comb

from analysis.answer_table import ballots_of
from analysis.voting import Rule, outcomes
from analysis.voting.tally import random_tie_accuracy

__all__ = [
    "EXACT_UP_TO",
    "PASS",
    "expected_accuracy",
    "majority_accuracy",
    "pass_at",
    "sampled_accuracy",
]

PASS = "pass@k"
EXACT_UP_TO = 128
"""Traces a question; beyond it the exact sum takes long, and subsets are drawn instead."""
ROWS = 200_000
"""Ballots that are weighed at once."""
Floats = NDArray[np.float64]
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
        drawn = sampled_accuracy(rest, rule, n, subsets, seed) if len(rest) else known.iloc[:0]
        table[n] = known.combine_first(drawn)
    return table


def _exact(traces: pd.DataFrame, sizes: Ints, counts: Sequence[int]) -> dict[int, pd.Series]:
    """The majority's expected accuracy at each n, of the questions with more traces than that."""
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
    place = np.lexsort((-count, owner))  # each question's answers, the most frequent first
    place = place[~right[place]]
    slot = np.arange(len(place)) - np.searchsorted(owner[place], owner[place])
    others = np.zeros((len(sizes), int(slot.max(initial=-1)) + 1), dtype=np.int64)
    others[owner[place], slot] = count[place]
    found = {}
    for n in (n for n in counts if n > 1):
        rows = np.flatnonzero((sizes > n) & (sizes <= EXACT_UP_TO))
        expected = majority_accuracy(golds[rows], others[rows], sizes[rows], n)
        found[n] = pd.Series(expected, index=rows)
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


def pass_at(right: Ints, sizes: Ints, n: int) -> Floats:
    """Chance that at least one of n traces is right, shape [question]; n at most the sizes.

    Args:
        right: right traces of each question, shape [question].
        sizes: traces of each question, shape [question].
    """
    missed = np.ones(len(right))
    for i in range(n):  # a product of ratios: binomials of a thousand traces overflow
        missed *= np.maximum(sizes - right - i, 0) / (sizes - i)
    return 1 - missed


def majority_accuracy(right: Ints, others: Ints, sizes: Ints, n: int) -> Floats:
    """Expected accuracy of a majority vote over n traces, shape [question]; n at most the sizes.

    Args:
        right: traces with the right answer, shape [question].
        others: traces of each wrong answer, descending, padded with 0, shape [question, answer].
        sizes: traces of each question, those without a valid answer included, shape [question].
    """
    most = int(sizes.max(initial=n))
    # float64: the binomials of 128 traces reach 2e37, beyond int64
    choose: Floats = comb(np.arange(most + 1)[:, None], np.arange(most + 1)[None])
    subsets = np.zeros(len(right))
    for k in range(1, min(int(right.max(initial=0)), n) + 1):
        rows = np.flatnonzero(right >= k)
        rivals = others[rows] if 2 * k <= n else others[rows, :0]  # beyond half, none can reach k
        ways = _rivals_at_most(k, rivals, n - k, choose)
        # t rivals tied with g: it wins 1 / (1 + t) of the draws
        worth = ways @ (1 / np.arange(1, ways.shape[2] + 1))  # [row, degree]
        free = sizes[rows] - right[rows] - np.where(rivals >= k, rivals, 0).sum(axis=1)
        others_drawn = choose[free[:, None], np.arange(n - k, -1, -1)]
        subsets[rows] += choose[right[rows], k] * (worth * others_drawn).sum(axis=1)
    expected: Floats = subsets / choose[sizes, n]
    return expected


def _rivals_at_most(k: int, rivals: Ints, degree: int, choose: Floats) -> Floats:
    """Ways to draw d traces of rivals, none more than k times and t of them k times.

    Only rivals with at least k traces can stand in the way. Shape [row, d, t].
    """
    able = (rivals >= k).sum(axis=1)
    ways = np.zeros((len(rivals), degree + 1, int(able.max(initial=0)) + 1))
    ways[:, 0, 0] = 1.0
    for slot in range(ways.shape[2] - 1):
        rows = np.flatnonzero(able > slot)
        has = rivals[rows, slot, None, None]
        old = ways[rows, :, : slot + 1]
        new = np.zeros((len(rows), degree + 1, slot + 2))
        for j in range(min(k - 1, degree) + 1):
            new[:, j:, :-1] += choose[has, j] * old[:, : degree + 1 - j]
        if k <= degree:
            new[:, k:, 1:] += choose[has, k] * old[:, : degree + 1 - k]
        ways[rows, :, : slot + 2] = new
    return ways


def sampled_accuracy(
    traces: pd.DataFrame, rule: Rule, n: int, subsets: int, seed: int
) -> pd.Series:
    """Mean expected accuracy over random n-subsets of each question's traces, by question_id.

    Every subset is weighed anew, as a weight may depend on the other traces.

    Args:
        traces: sorted by question; question_id, sample_index, answer, correct, votes (whether the
            trace is a valid ballot), and what the rule needs. Each question has at least n.
    """
    codes, ids = pd.factorize(traces["question_id"])
    starts = np.searchsorted(codes, np.arange(len(ids) + 1))
    votes = traces["votes"].to_numpy(dtype=bool)
    step = max(1, ROWS // (subsets * n))  # questions at once
    means = []
    for begin in range(0, len(ids), step):
        drawn = []
        for question in range(begin, min(begin + step, len(ids))):
            generator = np.random.default_rng([seed, question])  # whatever the others have
            rows = np.arange(starts[question], starts[question + 1])
            shuffled = generator.permuted(np.repeat(rows[None], subsets, axis=0), axis=1)
            drawn.append(shuffled[:, :n])
        rows = np.concatenate(drawn).ravel()
        subset = np.repeat(np.arange(len(rows) // n), n)
        valid = votes[rows]
        ballots = traces.iloc[rows[valid]].assign(question_id=subset[valid])
        weights = np.asarray(rule.weigh(ballots), dtype=float)
        weighed = ~np.isnan(weights)
        values = random_tie_accuracy(ballots[weighed], weights[weighed])
        values = values.reindex(np.arange(len(rows) // n), fill_value=0.0)
        means.append(values.to_numpy().reshape(-1, subsets).mean(axis=1))
    return pd.Series(np.concatenate(means) if means else [], index=ids, dtype=float)
