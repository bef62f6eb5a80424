"""How much two partitions of each question's traces say of each other, with the null.

- `ami`: (MI - E[MI]) / (mean(H_a, H_b) - E[MI]) (Vinh, Epps & Bailey 2010): 1 for equal partitions,
  0 in expectation for independent ones.
- `v_measure`: MI / mean(H_a, H_b) (Rosenberg & Hirschberg 2007); not corrected for chance.
- `a_given_b`, `b_given_a`: conditional entropies H_a - MI and H_b - MI, nats.

The null permutes one partition's labels within each question, which leaves H and E[MI] as they are,
so that only MI is computed again.

A partition of one class says nothing: AMI of two such is 1 by convention, of one with anything else
0. Such questions are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["Measure", "PairAgreement", "ami", "compare"]

PERMUTATIONS = 500
Labels = NDArray[np.int64]
Measure = Literal["ami", "v_measure", "a_given_b", "b_given_a"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Two partitions compared over a run."""

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
    return float(terms.measure(_mutual_information(first[None], second), "ami")[0])


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
        shuffled = generator.permuted(np.repeat(first[None], permutations, axis=0), axis=1)
        information = _mutual_information(np.concatenate([first[None], shuffled]), second)
        measured = terms.measure(information, measure)
        values[index] = measured[0]
        null += measured[1:]
    used = int((~np.isnan(values)).sum())
    if not used:
        return PairAgreement(values=values, null=np.full(permutations, np.nan), p=None)
    null /= used
    closer = -1 if measure in ("a_given_b", "b_given_a") else 1  # little is left to be said
    reached = int((closer * (null - np.nanmean(values)) >= -1e-12).sum())
    return PairAgreement(values=values, null=null, p=(1 + reached) / (1 + permutations))


class _Terms:
    """What permuting labels leaves as it is: the normaliser and the expectation."""

    def __init__(self, a: Labels, b: Labels) -> None:
        from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

        table = contingency_matrix(a, b, sparse=True)
        self.expected = float(expected_mutual_information(table, len(a)))
        self.entropies = _entropy(a), _entropy(b)
        self.normaliser = sum(self.entropies) / 2

    def measure(self, information: NDArray[np.float64], name: Measure) -> NDArray[np.float64]:
        if name == "v_measure":
            return information / self.normaliser
        if name != "ami":
            return np.maximum(self.entropies[name == "b_given_a"] - information, 0.0)
        room = self.normaliser - self.expected
        if room < 1e-9:  # both all singletons: whatever the labels, the partitions are equal
            return np.ones_like(information)
        adjusted: NDArray[np.float64] = (information - self.expected) / room
        return adjusted


def _codes(labels: ArrayLike) -> Labels:
    codes: Labels = pd.factorize(np.asarray(labels))[0].astype(np.int64)
    return codes


def _constant(labels: Labels) -> bool:
    return len(labels) == 0 or int(labels.max()) == 0


def _entropy(labels: Labels) -> float:
    p = np.bincount(labels) / len(labels)
    return float(-(p * np.log(p)).sum())


def _mutual_information(rows: Labels, b: Labels) -> NDArray[np.float64]:
    """MI in nats of each row of labels with b, shapes [row, trace] and [trace] -> [row]."""
    n_a, n_b = int(rows.max()) + 1, int(b.max()) + 1
    cells = (np.arange(len(rows))[:, None] * n_a + rows) * n_b + b
    joint = np.bincount(cells.ravel(), minlength=len(rows) * n_a * n_b).reshape(len(rows), n_a, n_b)
    p = joint / len(b)
    chance = p.sum(axis=2, keepdims=True) * p.sum(axis=1, keepdims=True)
    ratio = np.divide(p, chance, out=np.ones_like(p), where=p > 0)
    information: NDArray[np.float64] = (p * np.log(ratio)).sum(axis=(1, 2))
    return information
