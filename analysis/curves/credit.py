"""What a vote over n of a question's N traces is expected to be worth.

- `majority_credit`: exact, over all C(N, n) subsets, where every trace weighs the same. With c_a
  the number of traces that say a, and g the right answer, the subsets in which g has k votes, every
  other answer at most k, and exactly t of them k, are counted by the coefficients of

      C(c_g, k) x^k · prod_{a ≠ g} (sum_{j<k} C(c_a, j) x^j + y C(c_a, k) x^k) · (1 + x)^m

  in x^n y^t (m: traces without a valid answer), each worth 1 / (1 + t). Their sum over k and t,
  divided by C(N, n), is the expected credit.
- `subset_credit`: the mean over seeded subsets, for any rule.
- `pass_at`: 1 - C(N - c, n) / C(N, n) (arXiv 2107.03374), c the number of right traces.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import comb

from analysis.voting import Rule
from analysis.voting.tally import expected_accuracy

__all__ = ["EXACT_UP_TO", "majority_credit", "pass_at", "subset_credit"]

EXACT_UP_TO = 128
"""Traces a question; beyond it the exact sum takes long, and subsets are drawn instead."""
ROWS = 200_000
"""Ballots that are weighed at once."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def pass_at(right: Ints, sizes: Ints, n: int) -> Floats:
    """Chance that at least one of n traces is right, shape [question]; n at most the sizes.

    Args:
        right: right traces of each question, shape [question].
        sizes: traces of each question, shape [question].
    """
    missed = np.ones(len(right))
    for i in range(n):
        missed *= np.maximum(sizes - right - i, 0) / (sizes - i)
    return 1 - missed


def majority_credit(right: Ints, others: Ints, sizes: Ints, n: int) -> Floats:
    """Expected credit of a majority vote over n traces, shape [question]; n at most the sizes.

    Args:
        right: traces with the right answer, shape [question].
        others: traces of each wrong answer, descending, padded with 0, shape [question, answer].
        sizes: traces of each question, those without a valid answer included, shape [question].
    """
    most = int(sizes.max(initial=n))
    choose: Floats = comb(np.arange(most + 1)[:, None], np.arange(most + 1)[None])
    subsets = np.zeros(len(right))
    for k in range(1, min(int(right.max(initial=0)), n) + 1):
        rows = np.flatnonzero(right >= k)
        rivals = others[rows] if 2 * k <= n else others[rows, :0]  # beyond half, none can reach k
        ways = _rivals_at_most(k, rivals, n - k, choose)
        credit = ways @ (1 / np.arange(1, ways.shape[2] + 1))  # [row, degree]
        free = sizes[rows] - right[rows] - np.where(rivals >= k, rivals, 0).sum(axis=1)
        others_drawn = choose[free[:, None], np.arange(n - k, -1, -1)]
        subsets[rows] += choose[right[rows], k] * (credit * others_drawn).sum(axis=1)
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


def subset_credit(traces: pd.DataFrame, rule: Rule, n: int, subsets: int, seed: int) -> pd.Series:
    """Mean credit over random n-subsets of each question's traces, indexed by question_id.

    Every subset is weighed anew, as a weight may depend on the other traces; a tie earns its
    expected credit.

    Args:
        traces: sorted by question; question_id, sample_index, answer, correct, votes (whether the
            trace is a valid ballot), and what the rule needs. Each question has at least n.
    """
    codes, ids = pd.factorize(traces["question_id"])
    starts = np.searchsorted(codes, np.arange(len(ids) + 1))
    votes = traces["votes"].to_numpy(dtype=bool)
    step = max(1, ROWS // (subsets * n))
    worth = []
    for begin in range(0, len(ids), step):
        drawn = []
        for question in range(begin, min(begin + step, len(ids))):
            generator = np.random.default_rng([seed, question])
            rows = np.arange(starts[question], starts[question + 1])
            shuffled = generator.permuted(np.repeat(rows[None], subsets, axis=0), axis=1)
            drawn.append(shuffled[:, :n])
        rows = np.concatenate(drawn).ravel()
        subset = np.repeat(np.arange(len(rows) // n), n)
        valid = votes[rows]
        ballots = traces.iloc[rows[valid]].assign(question_id=subset[valid])
        weights = np.asarray(rule.weigh(ballots), dtype=float)
        weighed = ~np.isnan(weights)
        earned = expected_accuracy(ballots[weighed], weights[weighed])
        earned = earned.reindex(np.arange(len(rows) // n), fill_value=0.0)
        worth.append(earned.to_numpy().reshape(-1, subsets).mean(axis=1))
    return pd.Series(np.concatenate(worth) if worth else [], index=ids, dtype=float)
