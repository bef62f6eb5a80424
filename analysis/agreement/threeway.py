"""How much three partitions of the same traces have in common: one number for all three.

With A, B, C the classes of a trace drawn at random from a question's, the total correlation
(Watanabe 1960)

    T = H(A) + H(B) + H(C) - H(A, B, C)

is what the three say of one another, in nats: 0 if and only if they are independent. With two
partitions it is their mutual information. Three equal partitions have T = 2 H, so that twice the
mean entropy is the normaliser, as the mean entropy is AMI's. Partitions of few traces have T > 0
by accident; the expectation under permutations of two of them is taken off, as AMI does:

    coefficient = (T - E[T]) / (2 · mean(H_A, H_B, H_C) - E[T])

It is 1 for equal partitions and 0 in expectation for independent ones. Where two agree wholly and
the third with neither, T = H, and the coefficient lies near one half (below, as E[T] is taken
off): it can't say which two. The pairs stand beside it for that. Ours; E[T] is the mean over the
permutations that make the null.

    >>> three_way([([0, 0, 1, 1], [5, 5, 3, 3], ["x", "x", "y", "y"])]).values
    array([1.])
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.mutual_information import PERMUTATIONS, PairAgreement, entropy

__all__ = ["three_way"]


def three_way(
    triples: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PairAgreement:
    """The coefficient of each question and its null; NaN where a partition has one class only.

    Args:
        triples: for each question, its traces' labels in the three partitions, shapes [trace].
        permutations: of the second and third partition, within the question.
    """
    generator = np.random.default_rng(seed)
    values = np.full(len(triples), np.nan)
    null = np.zeros(permutations)
    for index, triple in enumerate(triples):
        a, b, c = (pd.factorize(np.asarray(labels))[0].astype(np.int64) for labels in triple)
        if len(a) == 0 or min(labels.max() for labels in (a, b, c)) == 0:
            continue
        rows = [
            np.vstack([labels, generator.permuted(np.tile(labels, (permutations, 1)), axis=1)])
            for labels in (b, c)
        ]
        sizes = [entropy(np.bincount(labels)) for labels in (a, b, c)]
        total = sum(sizes) - _joint_entropy(a, *rows)
        expected, largest = total[1:].mean(), 2 * sum(sizes) / 3
        room = largest - expected
        adjusted = (total - expected) / room if room > 1e-9 else np.ones_like(total)
        values[index] = adjusted[0]
        null += adjusted[1:]
    used = int((~np.isnan(values)).sum())
    if not used:
        return PairAgreement(values=values, null=np.full(permutations, np.nan), p=None)
    null /= used
    reached = int((null >= np.nanmean(values) - 1e-12).sum())
    return PairAgreement(values=values, null=null, p=(1 + reached) / (1 + permutations))


def _joint_entropy(
    a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64]
) -> NDArray[np.float64]:
    """H(A, B, C) for each row of b and c, [trace], [row, trace], [row, trace] -> [row]."""
    codes = np.sort((a * (b.max() + 1) + b) * (c.max() + 1) + c, axis=1)
    starts = np.ones(codes.shape, bool)
    starts[:, 1:] = codes[:, 1:] != codes[:, :-1]
    counts = np.diff(np.append(np.flatnonzero(starts.ravel()), codes.size))
    owner = np.repeat(np.arange(len(codes)), starts.sum(axis=1))
    joint: NDArray[np.float64] = np.log(len(a)) - np.bincount(owner, counts * np.log(counts)) / len(
        a
    )
    return joint
