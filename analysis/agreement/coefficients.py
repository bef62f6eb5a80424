"""Coefficients of the partitions over a run, each beside what permuted labels give.

A question counts where every partition compared has two classes or more among the traces that all
of them know; the others are excluded and counted. Intervals: 95%, bootstrap over questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.agreement.partitions import PARTITIONS
from analysis.agreement.threeway import three_way
from analysis.statistics import mean_interval
from analysis.statistics.mutual_information import Measure, PairAgreement, compare

__all__ = ["MEASURES", "THREE_WAY", "coefficients", "sweep"]

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
