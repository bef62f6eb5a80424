"""Mutual information of two partitions of each question's traces, with a permutation null.

- `ami`: (MI - E[MI]) / (mean(H_a, H_b) - E[MI]) (Vinh, Epps & Bailey 2010): 1 for equal partitions,
  0 in expectation for independent ones.
- `ari`: adjusted Rand index (Hubert & Arabie 1985), the same correction on pairs of traces.
- `vi`: variation of information H_a + H_b - 2 MI, nats (Meilă 2007): 0 for equal partitions; not
  corrected for chance, so that it is read against its null only.
- `v_measure`: MI / mean(H_a, H_b) (Rosenberg & Hirschberg 2007); not corrected for chance.
- `a_given_b`, `b_given_a`: conditional entropies H_a - MI and H_b - MI, nats.

The null permutes one partition's labels within each question, which leaves H and E[MI] as they are,
so that only the table of joint counts is computed again.

A partition of one class is not compared: AMI of two such is 1 by convention, of one with anything
else 0. Such questions are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["Measure", "PairAgreement", "ami", "compare", "entropy", "joint_counts"]

PERMUTATIONS = 500
Labels = NDArray[np.int64]
Measure = Literal["ami", "ari", "vi", "v_measure", "a_given_b", "b_given_a"]
DISTANCES = ("vi", "a_given_b", "b_given_a")
"""Measures that are small where the partitions agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Partitions compared over a run."""

    values: NDArray[np.float64]
    """The measure on each question, NaN where it is left out, shape [question]."""
    null: NDArray[np.float64]
    """Its mean over the same questions under each permutation, shape [permutation]."""
    p: float | None
    """Share of permutations, the observed one among them, that reach the observed mean; None
    without questions."""


def ami(a: ArrayLike, b: ArrayLike) -> float:
    """AMI of two partitions; NaN where either has fewer than two classes."""
    first, second = _codes(a), _codes(b)
    if _constant(first) or _constant(second):
        return float("nan")
    terms = _Terms(first, second)
    return float(terms.measure(joint_counts(first[None], second), "ami")[0])


def compare(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    measure: Measure = "ami",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PairAgreement:
    """Compare two partitions of every question's traces, and with permuted ones.

    Args:
        pairs: for each question, its traces' labels in both partitions (a, b), shapes [trace].
        measure: see the module.
    """
    generator = np.random.default_rng(seed)
    values = np.full(len(pairs), np.nan)
    null = np.zeros(permutations)
    for index, (a, b) in enumerate(pairs):
        first, second = _codes(a), _codes(b)
        if _constant(first) or _constant(second):
            continue
        terms = _Terms(first, second)
        # only one side is permuted: the margins, and with them H and E[MI], stay as they are
        shuffled = generator.permuted(np.repeat(first[None], permutations, axis=0), axis=1)
        measured = terms.measure(joint_counts(np.vstack([first, shuffled]), second), measure)
        values[index] = measured[0]
        null += measured[1:]
    used = int((~np.isnan(values)).sum())
    if not used:
        return PairAgreement(values=values, null=np.full(permutations, np.nan), p=None)
    null /= used
    closer = -1 if measure in DISTANCES else 1
    # 1e-12: permutations that give the same table of counts differ by rounding
    reached = int((closer * (null - np.nanmean(values)) >= -1e-12).sum())
    return PairAgreement(values=values, null=null, p=(1 + reached) / (1 + permutations))


class _Terms:
    """What permuting labels leaves as it is: the normalisers and the expectations."""

    def __init__(self, a: Labels, b: Labels) -> None:
        from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

        table = contingency_matrix(a, b, sparse=True)
        self.expected = float(expected_mutual_information(table, len(a)))
        self.entropies = entropy(np.bincount(a)), entropy(np.bincount(b))
        self.normaliser = sum(self.entropies) / 2
        self.pairs = _pairs(np.bincount(a)).sum(), _pairs(np.bincount(b)).sum()

    def measure(self, joint: NDArray[np.int64], name: Measure) -> NDArray[np.float64]:
        """The measure of each table of joint counts, shape [table, a, b] -> [table]."""
        if name == "ari":
            chance = self.pairs[0] * self.pairs[1] / _pairs(joint[0].sum())
            together = _pairs(joint).sum(axis=(1, 2))
            return _adjusted(together, chance, sum(self.pairs) / 2)
        flat = entropy(joint.reshape(len(joint), -1))
        information = np.maximum(sum(self.entropies) - flat, 0.0)  # below 0 by rounding only
        if name == "ami":
            return _adjusted(information, self.expected, self.normaliser)
        if name == "v_measure":
            return np.asarray(information / self.normaliser)
        if name == "vi":
            return np.asarray(np.maximum(sum(self.entropies) - 2 * information, 0.0))
        return np.asarray(np.maximum(self.entropies[name == "b_given_a"] - information, 0.0))


def joint_counts(rows: Labels, b: Labels) -> NDArray[np.int64]:
    """How often each pair of labels meets, for each row, [row, trace], [trace] -> [row, a, b]."""
    n_a, n_b = int(rows.max()) + 1, int(b.max()) + 1
    cells = (np.arange(len(rows))[:, None] * n_a + rows) * n_b + b  # one bincount for all rows
    counts = np.bincount(cells.ravel(), minlength=len(rows) * n_a * n_b)
    return counts.reshape(len(rows), n_a, n_b)


def entropy(counts: ArrayLike) -> Any:
    """Entropy in nats of counts along the last axis."""
    given = np.asarray(counts, dtype=float)
    p = given / given.sum(axis=-1, keepdims=True)
    return -np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0), axis=-1)


def _adjusted(value: Any, expected: float, largest: float) -> NDArray[np.float64]:
    """(value - expected) / (largest - expected); 1 where there is no room between them, as for two
    partitions into single traces: whatever the labels, they are equal."""
    if largest - expected < 1e-9:
        return np.ones_like(value, dtype=float)
    return np.asarray((value - expected) / (largest - expected))


def _pairs(counts: Any) -> Any:
    return counts * (counts - 1) / 2


def _codes(labels: ArrayLike) -> Labels:
    codes: Labels = pd.factorize(np.asarray(labels))[0].astype(np.int64)
    return codes


def _constant(labels: Labels) -> bool:
    return len(labels) == 0 or int(labels.max()) == 0
