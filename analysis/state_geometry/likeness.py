"""The table `similarity`: are layers alike, and are right and wrong traces of a question?

Rows are aligned: the same traces in two layers, or the same questions. For right and wrong, a row
is a question with both: the mean state of its right traces against that of its wrong ones. Two
controls stand beside: questions paired at random (what no likeness gives), and labels shuffled
within questions (what two random parts of a question's traces give). Only a value below the second
says that right and wrong differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probes.controls import shuffled_within
from analysis.state_geometry.similarity import KINDS, Kind, compare, null_of, pairs_of
from cot.types import TRACE_KEY

__all__ = ["compare_layers", "compare_right_wrong", "right_and_wrong"]

FEWEST = 4
"""Rows; HSIC is undefined with fewer."""
MAX_QUESTIONS = 400
PAIRINGS = 200
SHUFFLES = 100
Floats = NDArray[np.float64]


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
            alike = asdict(compare(made[layer], made[other]))
            found.append({"kind": kind, **place, **counts, **alike})
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
        alike = compare(a, b)
        null = null_of(a, b, permutations=PAIRINGS, seed=seed)
        found[kind] = {
            **asdict(alike),
            "null_mean": float(null.mean()),
            "null_high": float(np.quantile(null, 0.95)),
            "p_paired": (1 + int((null >= alike.value).sum())) / (1 + PAIRINGS),
            "shuffled_mean": float(np.mean(values)),
            "shuffled_low": float(np.quantile(values, 0.05)),
            "p": (1 + int((np.array(values) <= alike.value).sum())) / (1 + SHUFFLES),
        }
    return found


def _means(X: Floats, right: NDArray[np.bool_], codes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Each question's mean state of its right and of its wrong traces, shapes [question, d]."""
    from scipy.sparse import csr_matrix

    rows = np.r_[codes[right], codes[~right] + codes.max() + 1]
    places = np.r_[np.flatnonzero(right), np.flatnonzero(~right)]
    means: Floats = csr_matrix((1 / np.bincount(rows)[rows], (rows, places))) @ X
    return means[: codes.max() + 1], means[codes.max() + 1 :]


def _places(frame: pd.DataFrame, wanted: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of the frame, in the order wanted."""
    index = pd.MultiIndex.from_frame(frame[TRACE_KEY])
    places: NDArray[np.int64] = index.get_indexer(pd.MultiIndex.from_frame(wanted[TRACE_KEY]))
    return places
