"""How far partitions of the same traces agree over a run, each beside what permuted labels give.

A question counts where every partition compared has two classes or more among the traces that all
of them know; the others are excluded and counted. Intervals: 95%, bootstrap over questions. Pairs
are compared by AMI, ARI and variation of information (`analysis.statistics.mutual_information`);
three at once by one number:

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

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.agreement.trace_labels import PARTITIONS
from analysis.statistics import mean_interval
from analysis.statistics.mutual_information import (
    PERMUTATIONS,
    Measure,
    PairAgreement,
    compare,
    entropy,
)

__all__ = ["MEASURES", "THREE_WAY", "coefficients", "sweep", "three_way"]

MEASURES: tuple[Measure, ...] = ("ami", "ari", "vi")
THREE_WAY = ("answers", "clusters", "hidden states")


def coefficients(
    groups: Mapping[str, pd.DataFrame], known: Sequence[str], seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every pair of partitions by every measure, and the three-way coefficient.

    Args:
        groups: question to its lined-up traces.
        known: the partitions that the run has.

    Returns:
        table: measure, subject, estimate, low, high, null_mean, null_low, null_high (95% of the
            permuted runs), p, n_questions, n_traces, n_excluded, seed.
        values: subject to AMI (or the three-way coefficient) of each question, NaN where excluded.
    """
    rows, values = [], {}
    for offset, pair in enumerate(combinations(known, 2)):
        name = " × ".join(pair)
        labels, n_traces = _labels(groups, pair)
        for measure in MEASURES:
            found = compare(labels, measure=measure, seed=seed + offset)
            rows.append({"measure": measure, "subject": name, **_row(found, n_traces, seed)})
            if measure == "ami":
                values[name] = found.values
    if set(THREE_WAY) <= set(known):
        name = " × ".join(THREE_WAY)
        labels, n_traces = _labels(groups, THREE_WAY)
        found = three_way(labels, seed=seed)
        rows.append({"measure": "three_way", "subject": name, **_row(found, n_traces, seed)})
        values[name] = found.values
    return pd.DataFrame(rows), values


def sweep(groups: Mapping[str, pd.DataFrame], clusters: pd.DataFrame, seed: int) -> pd.DataFrame:
    """AMI of answers, and of clusters of reasoning, with the hidden states of every captured place.

    Args:
        groups: question to its lined-up traces.
        clusters: table `hidden_clusters`.

    Returns:
        layer, position, and the columns of `coefficients`; many places are tried, so that
        the largest of them is no estimate of what a new run would show.
    """
    keys = ["question_id", "sample_index"]
    rows = []
    for (layer, position), here in clusters.groupby(["layer", "position"], sort=False):
        own = here.set_index(keys)["cluster"]
        placed = {}
        for name, traces in groups.items():
            index = pd.MultiIndex.from_frame(traces[keys])
            cluster = own.reindex(index).astype("Int64").to_numpy()
            placed[name] = traces.assign(hidden=pd.array(cluster, dtype="Int64"))
        for one in ("answers", "clusters"):
            labels, n_traces = _labels(placed, (one, "hidden states"))
            found = compare(labels, permutations=200, seed=seed)
            pair = {"measure": "ami", "subject": f"{one} × hidden states"}
            rows.append(
                {"layer": layer, "position": position, **pair, **_row(found, n_traces, seed)}
            )
    return pd.DataFrame(rows)


def _labels(groups: Mapping[str, pd.DataFrame], names: Sequence[str]) -> tuple[list[Any], int]:
    """Each question's labels in some partitions, over the traces that all of them know."""
    wanted = [PARTITIONS[name] for name in names]
    labels, n_traces = [], 0
    for traces in groups.values():
        both = traces.dropna(subset=wanted)
        n_traces += len(both)
        labels.append(tuple(both[column].to_numpy(object) for column in wanted))
    return labels, n_traces


def _row(found: PairAgreement, n_traces: int, seed: int) -> dict[str, Any]:
    known = found.values[~np.isnan(found.values)]
    low, high = mean_interval(known, seed=seed)
    none = not len(known)
    quantiles = (np.nan, np.nan) if none else np.quantile(found.null, [0.025, 0.975])
    return {
        "estimate": np.nan if none else known.mean(),
        "low": low,
        "high": high,
        "null_mean": np.nan if none else found.null.mean(),
        "null_low": quantiles[0],
        "null_high": quantiles[1],
        "p": np.nan if found.p is None else found.p,
        "n_questions": len(known),
        "n_traces": n_traces,
        "n_excluded": len(found.values) - len(known),
        "seed": seed,
    }


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
        # Row 0 is as observed, the others are permuted: one pass gives the value and its null. A
        # stays as it is, since only how the three lie to each other counts.
        rows = [
            np.vstack([labels, generator.permuted(np.tile(labels, (permutations, 1)), axis=1)])
            for labels in (b, c)
        ]
        sizes = [entropy(np.bincount(labels)) for labels in (a, b, c)]
        total = sum(sizes) - _joint_entropy(a, *rows)
        expected, largest = total[1:].mean(), 2 * sum(sizes) / 3
        room = largest - expected
        # Without room (every trace its own class in all three) any arrangement is as good: 1.
        adjusted = (total - expected) / room if room > 1e-9 else np.ones_like(total)
        values[index] = adjusted[0]
        null += adjusted[1:]
    used = int((~np.isnan(values)).sum())
    if not used:
        return PairAgreement(values=values, null=np.full(permutations, np.nan), p=None)
    null /= used
    # The tolerance counts permutations that give the observed partitions again, up to rounding; the
    # observed one counts among them, so that p is never 0 (Phipson and Smyth 2010).
    reached = int((null >= np.nanmean(values) - 1e-12).sum())
    return PairAgreement(values=values, null=null, p=(1 + reached) / (1 + permutations))


def _joint_entropy(
    a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64]
) -> NDArray[np.float64]:
    """H(A, B, C) for each row of b and c, [trace], [row, trace], [row, trace] -> [row]."""
    # Three labels become one whole number; the runs of a sorted row are then the sizes of classes,
    # without a table of all possible classes and without a loop over rows.
    codes = np.sort((a * (b.max() + 1) + b) * (c.max() + 1) + c, axis=1)
    starts = np.ones(codes.shape, bool)
    starts[:, 1:] = codes[:, 1:] != codes[:, :-1]
    counts = np.diff(np.append(np.flatnonzero(starts.ravel()), codes.size))
    owner = np.repeat(np.arange(len(codes)), starts.sum(axis=1))
    joint: NDArray[np.float64] = np.log(len(a)) - np.bincount(owner, counts * np.log(counts)) / len(
        a
    )
    return joint
