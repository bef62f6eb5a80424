"""How similar two sets of vectors for the same rows are, whatever their rotation and scale.

- `cka`: debiased linear CKA, HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) with K = XXᵀ, L = YYᵀ and the
  unbiased HSIC of Song et al. 2012 (Nguyen et al., arXiv 2010.15327). The plain one is biased
  towards 1 where there are fewer rows than dimensions; this one is 0 in expectation for independent
  sets, and may be negative.
- `rsa`: Spearman correlation of the cosine distances of all pairs of rows (Kriegeskorte et al.
  2008), each set's mean taken off first, so that a common part does not make all distances alike.

Both compare pairs of rows, so that their interval is by *jackknife*: each question is left out in
turn. A bootstrap would draw a question beside itself, and that perfect pair inflates both.

    >>> X = np.random.default_rng(0).normal(size=(40, 8))
    >>> round(compare(pairs_of("cka", X), pairs_of("cka", 3 * X[:, ::-1] + 1)).value, 6)
    1.0

The table `similarity` compares layers over the same traces, and right with wrong traces over the
same questions: there a row is a question with both, the mean state of its right traces against that
of its wrong ones. Two controls stand beside: questions paired at random (the similarity of unlike
questions), and labels shuffled within questions (that of two random parts of a question's traces).
Only a value below the second shows that right and wrong differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.clusters.clusterers import cosine_distances
from analysis.statistics.jackknife import jackknife_interval
from analysis.statistics.shuffled_labels import shuffled_within
from cot.types import TRACE_KEY

__all__ = [
    "KINDS",
    "Kind",
    "Pairs",
    "Similarity",
    "compare",
    "compare_layers",
    "compare_right_wrong",
    "null_of",
    "pairs_of",
    "right_and_wrong",
]

Kind = Literal["cka", "rsa"]
KINDS: tuple[Kind, ...] = ("cka", "rsa")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """What is known of a set of vectors: a number for each pair of rows, and its sums over all rows
    and with each group of rows left out (G groups)."""

    kind: Kind
    """`cka` or `rsa`."""
    matrix: Floats
    """Inner products, or centred ranks of distances; symmetric, zero diagonal, shape [row, row]."""
    starts: NDArray[np.int64]
    """First row of each group, shape [G]."""
    sizes: Floats
    """Number of rows: all, then without each group, shape [1 + G]."""
    total: Floats
    """Sums over all pairs, likewise."""
    rows: Floats
    """Sums over each row's pairs, likewise; 0 for a row that is left out, shape [row, 1 + G]."""
    variance: Floats
    """Of the numbers, as `_covariance` has it, shape [1 + G]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Of two sets."""

    value: float
    """In [-1, 1]; NaN with too few rows, or where all rows of a set are alike."""
    low: float
    """95% jackknife interval over groups; NaN with fewer than three."""
    high: float
    """Likewise."""


def pairs_of(kind: Kind, X: NDArray[np.floating], groups: ArrayLike | None = None) -> Pairs:
    """Prepare a set for comparison.

    Args:
        kind: `cka` or `rsa`.
        X: shape [row, d].
        groups: each row's question, equal ones adjacent; None leaves nothing out, so that there
            is no interval.
    """
    from scipy.stats import rankdata

    n = len(X)
    centred = np.asarray(X, dtype=np.float64) - np.mean(X, axis=0, dtype=np.float64)
    if kind == "cka":
        # CKA does not depend on scale; squares of squares of states of 1e3 would lose digits
        largest = np.abs(centred).max(initial=0)
        scaled = centred / (largest if largest > 0 else 1.0)
        matrix = scaled @ scaled.T
        np.fill_diagonal(matrix, 0)  # the unbiased HSIC leaves a row's pair with itself out
    else:
        matrix = np.zeros((n, n))
        upper = np.triu_indices(n, 1)
        # float32 makes distances that differ by rounding ties; ranks below 1 keep sums small
        ranks = rankdata(cosine_distances(centred)[upper].astype(np.float32)) / max(
            len(upper[0]), 1
        )
        matrix[upper] = ranks - ranks.mean() if len(ranks) else ranks
        matrix += matrix.T
    rows, sizes = matrix.sum(axis=1, keepdims=True), np.array([n], dtype=np.float64)
    starts = np.zeros(0, dtype=np.int64)
    if groups is not None:
        codes = pd.factorize(np.asarray(groups))[0]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        # a row's sum without a group is its sum less that group's columns: G + 1 sums, one pass
        rows = np.hstack([rows, rows - np.add.reduceat(matrix, starts, axis=1)])
        rows[np.arange(n), 1 + codes] = 0
        sizes = np.append(sizes, n - np.bincount(codes))
    total = rows.sum(axis=0)
    made = Pairs(
        kind=kind, matrix=matrix, starts=starts, sizes=sizes, total=total, rows=rows, variance=total
    )
    return replace(made, variance=_covariance(made, made))


def compare(a: Pairs, b: Pairs) -> Similarity:
    """The similarity of two sets with the same rows and groups."""
    value, *left_out = _ratio(_covariance(a, b), a.variance, b.variance).tolist()
    low, high = jackknife_interval(value, left_out)
    return Similarity(value=value, low=max(low, -1.0), high=min(high, 1.0))


def null_of(a: Pairs, b: Pairs, *, permutations: int, seed: int) -> Floats:
    """Similarities with the rows of `b` in random order, shape [permutation]."""
    generator = np.random.default_rng(seed)
    one, other = _whole(a), _whole(b)
    null = np.empty(permutations)
    for index in range(permutations):
        order = generator.permutation(len(other.rows))
        mixed = replace(other, matrix=other.matrix[np.ix_(order, order)], rows=other.rows[order])
        null[index] = compare(one, mixed).value
    return null


def _whole(pairs: Pairs) -> Pairs:
    """Nothing is left out."""
    return replace(
        pairs,
        starts=pairs.starts[:0],
        sizes=pairs.sizes[:1],
        total=pairs.total[:1],
        rows=pairs.rows[:, :1],
        variance=pairs.variance[:1],
    )


def _covariance(a: Pairs, b: Pairs) -> Floats:
    """Of the two numbers of a pair of rows: over all rows, then without each group."""
    n = a.sizes
    by_row = np.einsum("ij,ij->i", a.matrix, b.matrix)
    joint = np.full(len(n), by_row.sum())
    for g, start in enumerate(a.starts):
        block = slice(start, a.starts[g + 1] if g + 1 < len(a.starts) else None)
        among = (a.matrix[block, block] * b.matrix[block, block]).sum()
        # the group's rows and its columns; pairs within the group are in both
        joint[1 + g] -= 2 * by_row[block].sum() - among
    with np.errstate(divide="ignore", invalid="ignore"):
        if a.kind == "rsa":
            m = n * (n - 1)
            covariance: Floats = joint / m - a.total * b.total / m**2
            return covariance
        crossed = (a.rows * b.rows).sum(axis=0)
        unbiased = joint + a.total * b.total / ((n - 1) * (n - 2)) - 2 * crossed / (n - 2)
        hsic: Floats = unbiased / (n * (n - 3))
        return np.where(n > 3, hsic, np.nan)


def _ratio(between: Floats, one: Floats, other: Floats) -> Floats:
    """The normalised covariance; NaN where a set has no variance."""
    # the unbiased HSIC of a set with itself may fall below 0: there is no similarity then
    scale = np.sqrt(np.maximum(one, 0) * np.maximum(other, 0))
    value: Floats = np.full(len(between), np.nan)
    np.divide(between, scale, out=value, where=scale > 1e-14)
    return np.clip(value, -1, 1)


# -- the table `similarity` ------------------------------------------------------------------------

FEWEST = 4
"""Rows; HSIC is undefined with fewer."""
MAX_QUESTIONS = 400
PAIRINGS = 200
SHUFFLES = 100


def compare_layers(
    rows: Mapping[int, tuple[pd.DataFrame, Floats]], position: str
) -> list[dict[str, Any]]:
    """CKA and RSA of each two layers at a position, over the traces that have a vector in all.

    Args:
        rows: layer to its traces and their vectors, see `read_rows`.
    """
    frames = [frame[TRACE_KEY] for frame, _ in rows.values()]
    common = reduce(lambda one, other: one.merge(other, on=TRACE_KEY, how="inner"), frames)
    vectors = {layer: X[_places(frame, common)] for layer, (frame, X) in rows.items()}
    counts = {"n": len(common), "n_traces": len(common)}
    found = []
    for kind in KINDS if len(common) >= FEWEST else ():
        made = {layer: pairs_of(kind, X, common["question_id"]) for layer, X in vectors.items()}
        for layer, other in combinations(rows, 2):
            place = {"what": "layers", "position": position, "layer": layer, "other": other}
            similarity = asdict(compare(made[layer], made[other]))
            found.append({"kind": kind, **place, **counts, **similarity})
    return found


def compare_right_wrong(
    traces: pd.DataFrame, X: Floats, layer: int, position: str, seed: int
) -> list[dict[str, Any]]:
    """CKA and RSA of right and wrong traces at one place, over at most `MAX_QUESTIONS` questions
    that have both.

    Args:
        traces: question_id and right (bool), a question's traces adjacent.
        X: their vectors, shape [trace, d].
        seed: of the controls and of the choice of questions.
    """
    mixed = traces.groupby("question_id", sort=False)["right"].transform("nunique") == 2
    several = traces.loc[mixed, "question_id"].unique()
    if len(several) > MAX_QUESTIONS:
        several = np.random.default_rng(seed).choice(several, MAX_QUESTIONS, replace=False)
    chosen = traces["question_id"].isin(several).to_numpy()
    right = traces["right"].to_numpy(bool)[chosen]
    groups = traces["question_id"].to_numpy()[chosen]
    place = {"what": "right_wrong", "position": position, "layer": layer, "other": layer}
    counts = {"n": len(several), "n_traces": len(groups)}
    if len(several) < FEWEST:
        return []
    found = right_and_wrong(X[chosen], right, groups, seed=seed)
    return [{"kind": kind, **place, **counts, **numbers} for kind, numbers in found.items()]


def right_and_wrong(
    X: Floats, right: NDArray[np.bool_], groups: NDArray[Any], *, seed: int
) -> dict[Kind, dict[str, float]]:
    """CKA and RSA of right and wrong traces' mean states, with their controls.

    Args:
        X: one row a trace, shape [trace, d].
        right: shape [trace].
        groups: each trace's question; all have right and wrong traces.
        seed: of the controls.

    Returns:
        for `cka` and `rsa`: value, low, high; null_mean, null_high (95th percentile) with questions
        paired at random, and p_paired: the share of pairings, the observed among them, with a value
        as high; shuffled_mean, shuffled_low (5th percentile) with labels shuffled within questions,
        and p: the share of shuffles, the observed labels among them, with a value as low.
    """
    codes = pd.factorize(groups)[0]
    sets = _means(X, right, codes)
    shuffled: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for index in range(SHUFFLES):
        mixed = _means(X, shuffled_within(right, groups, seed + index), codes)
        for kind, values in shuffled.items():
            one, other = (pairs_of(kind, means) for means in mixed)
            values.append(compare(one, other).value)
    found = {}
    for kind, values in shuffled.items():
        a, b = (pairs_of(kind, means, np.unique(codes)) for means in sets)
        similarity = compare(a, b)
        null = null_of(a, b, permutations=PAIRINGS, seed=seed)
        found[kind] = {
            **asdict(similarity),
            "null_mean": float(null.mean()),
            "null_high": float(np.quantile(null, 0.95)),
            "p_paired": (1 + int((null >= similarity.value).sum())) / (1 + PAIRINGS),
            "shuffled_mean": float(np.mean(values)),
            "shuffled_low": float(np.quantile(values, 0.05)),
            "p": (1 + int((np.array(values) <= similarity.value).sum())) / (1 + SHUFFLES),
        }
    return found


def _means(X: Floats, right: NDArray[np.bool_], codes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Each question's mean state of its right and of its wrong traces, shapes [question, d]."""
    from scipy.sparse import csr_matrix

    rows = np.r_[codes[right], codes[~right] + codes.max() + 1]
    places = np.r_[np.flatnonzero(right), np.flatnonzero(~right)]
    # one sparse product of averages: this is called for every shuffle
    means: Floats = csr_matrix((1 / np.bincount(rows)[rows], (rows, places))) @ X
    return means[: codes.max() + 1], means[codes.max() + 1 :]


def _places(frame: pd.DataFrame, wanted: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of the frame, in the order wanted."""
    index = pd.MultiIndex.from_frame(frame[TRACE_KEY])
    places: NDArray[np.int64] = index.get_indexer(pd.MultiIndex.from_frame(wanted[TRACE_KEY]))
    return places
