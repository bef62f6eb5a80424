"""Statistics of sums over questions: one way to an estimate, its interval and a paired test.

Every measure that is compared is a function f of a sum over questions,

    estimate = f(Σ_q φ_q),   φ_q: what question q adds, shape [number]

A mean over questions adds (value, 1) and divides; a share of traces adds (traces that are so,
traces); an AUROC adds the question's right and its wrong items at each level of the score; an ECE
adds the sums of each bin. So one code serves all of them:

- interval: 95%, percentiles of f over 1,000 draws of questions (`analysis.statistics.resample`);
- of a difference of two runs, the same draws for both: f(Σ φ of one) - f(Σ φ of the other);
- p of a difference: paired exchange test. Under the null that the two runs are alike, either's φ_q
  might be the other's: each question's pair is swapped or not, at random, and p is the share of
  these, the observed one among them, whose difference is as large as the observed one on either
  side (Fisher 1935; with the observed one, Phipson and Smyth 2010). Scores are replaced by their
  ranks within each run first, so that a swap moves how well items are ranked and not the scale of
  the scores (Venkatraman and Begg 1996).

    >>> one = pd.DataFrame({"above": [1.0, 1.0, 0.0], "below": 1.0}, index=["a", "b", "c"])
    >>> estimate(RATIO, one)
    0.6666666666666666
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.statistics import DRAWS, resample
from analysis.statistics.bootstrap import Interval, percentiles
from analysis.statistics.ranking import LEVELS, auroc_of_counts

__all__ = [
    "AUROC",
    "ECE",
    "PRR",
    "RATIO",
    "Difference",
    "Statistic",
    "difference",
    "estimate",
    "estimate_interval",
]

Floats = NDArray[np.float64]
EXACT = 2**62
"""All levels of a score are told apart."""
COARSE = 256
"""Levels of a score in the draws and swaps of a difference; its estimate tells all apart. Of more,
neighbours share one, which moved the ends of intervals by less than 5e-4 where it was tried."""
CELLS = 2**21
"""Numbers held at a time while draws and swaps are computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A function of sums over questions."""

    encode: Callable[[Sequence[pd.DataFrame], pd.Index[Any], int], list[Any]]
    """Rows of several runs, the questions, and how many levels of a score are told apart, to each
    run's φ, shape [question, number]; a numpy array or a sparse one. All runs' numbers mean the
    same."""
    value: Callable[[Floats], Floats]
    """f, of many sums at once: [draw, number] -> [draw]; NaN where it is not defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two runs' statistics over the same questions."""

    one: float
    """The first's."""
    other: float
    """The second's."""
    low: float
    """Lower end of the 95% interval of first - second."""
    high: float
    """Upper end."""
    p: float
    """Two-sided; NaN where the difference is not defined."""


def estimate(statistic: Statistic, rows: pd.DataFrame) -> float:
    """The statistic over all questions of the rows."""
    (features,) = statistic.encode([rows], rows.index.unique(), EXACT)
    return float(_of(statistic, features)[0])


def estimate_interval(statistic: Statistic, rows: pd.DataFrame, seed: int) -> Interval:
    """Its 95% interval over drawn questions; draws in which it is not defined are left out."""
    questions = rows.index.unique()
    (features,) = statistic.encode([rows], questions, LEVELS)
    if not len(questions):
        return (np.nan, np.nan)
    counts = resample(len(questions), seed=seed)
    drawn = np.concatenate([_of(statistic, features, some) for some in _parts(counts, features)])
    return percentiles(drawn[~np.isnan(drawn)])


def difference(
    statistic: Statistic,
    one: pd.DataFrame,
    other: pd.DataFrame,
    *,
    swaps: int,
    seed: int,
) -> Difference:
    """First less second, over the questions of both.

    Args:
        one, other: rows of the same questions, in any order.
        swaps: how many times the questions' pairs are swapped at random.
        seed: of draws and swaps.
    """
    questions = one.index.unique()
    first, second = statistic.encode([one, other], questions, COARSE)
    values = [float(_of(statistic, each)[0]) for each in (first, second)]
    observed = values[0] - values[1]
    if first.shape[1] >= COARSE:  # levels may have been merged
        values = [estimate(statistic, rows) for rows in (one, other)]
    if np.isnan(observed):
        return Difference(one=values[0], other=values[1], low=np.nan, high=np.nan, p=np.nan)
    counts = resample(len(questions), draws=DRAWS, seed=seed)
    drawn = np.concatenate(
        [
            _of(statistic, first, some) - _of(statistic, second, some)
            for some in _parts(counts, first)
        ]
    )
    low, high = percentiles(drawn[~np.isnan(drawn)])
    generator = np.random.default_rng(seed)
    whole = _sums(first) + _sums(second)
    apart = first - second
    rounding = 1e-10 * max(1.0, *map(abs, values))  # swaps that give the same sums differ by less
    reached, done = 0, 0
    while done < swaps:
        n = min(_at_once(len(questions), first), swaps - done)
        kept = generator.integers(0, 2, size=(n, len(questions)), dtype=np.int8)
        # of swapped pairs, the first sum has the second's: Σ second + Σ kept (first - second)
        mine = _sums(second) + _sums(apart, kept)
        gaps = statistic.value(mine) - statistic.value(whole - mine)
        # a swap that leaves nothing defined counts as reaching it: p is then too large, not small
        far = np.abs(gaps) >= abs(observed) - rounding
        reached += int((far | np.isnan(gaps)).sum())
        done += n
    p = (1 + reached) / (1 + swaps)
    return Difference(one=values[0], other=values[1], low=low, high=high, p=p)


def _of(statistic: Statistic, features: Any, weights: NDArray[Any] | None = None) -> Floats:
    return statistic.value(_sums(features, weights))


def _sums(features: Any, weights: NDArray[Any] | None = None) -> Floats:
    """Weighted sums over questions, [draw, question], [question, number] -> [draw, number]."""
    if weights is None:
        weights = np.ones((1, features.shape[0]))
    # transposed, as a sparse matrix stands on the left
    return np.asarray((features.T @ weights.T.astype(np.float64)).T, dtype=float)


def _at_once(n_questions: int, features: Any) -> int:
    return max(1, CELLS // max(n_questions, int(features.shape[1])))


def _parts(counts: NDArray[Any], features: Any) -> Iterator[NDArray[Any]]:
    step = _at_once(counts.shape[1], features)
    for begin in range(0, len(counts), step):
        yield counts[begin : begin + step]


# -- statistics ------------------------------------------------------------------------------------


def _ratio_sums(tables: Sequence[pd.DataFrame], questions: pd.Index[Any], levels: int) -> list[Any]:
    aligned = (table if table.index.equals(questions) else table.loc[questions] for table in tables)
    # column by column: to choose both at once takes pandas longer than all that is computed
    return [
        np.column_stack([table[name].to_numpy(dtype=float) for name in ("above", "below")])
        for table in aligned
    ]


def _ratio(sums: Floats) -> Floats:
    found: Floats = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=found, where=sums[:, 1] > 0)
    return found


RATIO = Statistic(encode=_ratio_sums, value=_ratio)
"""Σ above / Σ below; a mean over questions where `below` is 1. One row a question."""


def _ranked_sums(
    tables: Sequence[pd.DataFrame], questions: pd.Index[Any], levels: int
) -> list[Any]:
    """Right items at each level of confidence, then wrong ones; levels are ranks within the run."""
    from scipy.sparse import csr_array

    # ties are equal: the middle rank, as a share of the run's items
    ranks = [table["confidence"].rank(pct=True).to_numpy() for table in tables]
    distinct, level = np.unique(np.concatenate(ranks), return_inverse=True)
    size = len(distinct)
    if size > levels:  # neighbours share a level; equal scores always do
        of = np.bincount(level)
        level = ((np.cumsum(of) - of) * levels // len(level))[level]
        size = int(level.max()) + 1
    found, begin = [], 0
    for table in tables:
        mine = level[begin : begin + len(table)]
        begin += len(table)
        column = mine + size * (~table["right"].to_numpy(dtype=bool))
        place = (questions.get_indexer(table.index), column)
        shape = (len(questions), 2 * size)
        found.append(csr_array((np.ones(len(table)), place), shape=shape))
    return found


def _auroc(sums: Floats) -> Floats:
    size = sums.shape[1] // 2
    return auroc_of_counts(sums[:, :size].T, sums[:, size:].T)


def _prr(sums: Floats) -> Floats:
    """See `analysis.calibration.metrics.prediction_rejection_ratio`; here from counts at levels.

    Between two levels the right items kept rise in a straight line: with r of k items right above
    a level, and s the share right at it, the next j-th is right(k + j) / (k + j) in expectation, so
    that a level adds (r - s k) (H(k + m) - H(k)) + s m, H the harmonic numbers.
    """
    size = sums.shape[1] // 2
    right = sums[:, :size][:, ::-1]  # the most confident first
    items = right + sums[:, size:][:, ::-1]
    kept = np.cumsum(items, axis=1)
    before = kept - items
    right_before = np.cumsum(right, axis=1) - right
    share = np.divide(right, items, out=np.zeros_like(right), where=items > 0)
    most = round(float(kept[:, -1].max(initial=0)))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, most + 1))])
    high, low = (harmonic[np.rint(each).astype(int)] for each in (kept, before))
    n, n_right = kept[:, -1], right.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = ((right_before - share * before) * (high - low) + share * items).sum(axis=1) / n
        last = np.rint(n).astype(int), np.rint(n_right).astype(int)
        oracle = (n_right + n_right * (harmonic[last[0]] - harmonic[last[1]])) / n
        chance = n_right / n
        found: Floats = (area - chance) / (oracle - chance)
    return np.where((n_right > 0) & (n_right < n), found, np.nan)


AUROC = Statistic(encode=_ranked_sums, value=_auroc)
"""Chance that a right item is more confident than a wrong one. Rows: right, confidence; one or more
a question."""
PRR = Statistic(encode=_ranked_sums, value=_prr)
"""Prediction-rejection ratio; rows as of `AUROC`."""


def _ece(sums: Floats) -> Floats:
    n_bins = sums.shape[1] // 2
    gaps, n = np.abs(sums[:, :n_bins]).sum(axis=1), sums[:, n_bins:].sum(axis=1)
    found: Floats = np.full(len(sums), np.nan)
    np.divide(gaps, n, out=found, where=n > 0)
    return found


def _binned_sums(
    tables: Sequence[pd.DataFrame], questions: pd.Index[Any], levels: int
) -> list[Any]:
    """Probability less outcome, summed in each bin; then the items in each."""
    found = []
    n_bins = int(max(table["n_bins"].max() for table in tables)) if len(tables[0]) else 1
    for table in tables:
        p, right = (table[name].to_numpy(dtype=float) for name in ("confidence", "right"))
        # bins as in `analysis.calibration.metrics.reliability`
        upper = np.ceil(np.round(p * n_bins, 9)).astype(int)
        cell = questions.get_indexer(table.index) * n_bins + np.clip(upper, 1, n_bins) - 1
        size = len(questions) * n_bins
        parts = [np.bincount(cell, weights, size) for weights in (p - right, np.ones(len(p)))]
        found.append(np.hstack([part.reshape(len(questions), n_bins) for part in parts]))
    return found


ECE = Statistic(encode=_binned_sums, value=_ece)
"""Expected calibration error, as `analysis.calibration.metrics` has it. Rows: right, confidence,
n_bins (the same in all)."""
