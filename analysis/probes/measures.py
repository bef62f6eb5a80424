"""The numbers of one cell: what a probe reached, beside its controls and its baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probes.baselines import BASELINES
from analysis.probes.metrics import (
    macro_auroc,
    macro_interval,
    macro_within,
    r_squared,
    r_squared_interval,
    spearman,
)
from analysis.probes.targets import Labels
from analysis.statistics import ratio_interval, within_question_auroc

__all__ = ["COUNTS", "NUMBERS", "SETS", "Part", "discrimination", "measure", "sharpness"]

SETS = ("y", "mixed", "mixed_within")
"""Columns of a row's labels: true, shuffled over all rows, shuffled within questions."""
AUROCS = ("auroc", "low", "high", "within_question_auroc", "within_low", "within_high")
CHOICE = ("accuracy", "accuracy_low", "accuracy_high", "chance")
NUMBER = ("r2", "r2_low", "r2_high", "spearman", "control_r2")
COUNTS = ("n_within", "n_wrong_majority")
NUMBERS = (
    *(*AUROCS, "n_within", "auprc", "brier", "on_wrong_majority", "n_wrong_majority"),
    *("control", "control_within", "selectivity"),
    *(f"{name}{suffix}" for name in BASELINES for suffix in ("", "_within")),
    *(*CHOICE, *NUMBER),
)
"""Columns of the table `probes` that `measure` gives, as far as the target has them."""
Floats = NDArray[np.float64]
Part = tuple[pd.DataFrame, Floats]


def discrimination(
    labels: Labels, y: NDArray[Any], scores: Floats, groups: NDArray[Any], seed: int
) -> dict[str, float]:
    """Pooled and within-question AUROC with their intervals, and the latter's questions.

    Args:
        y: shape [row]; scores: [task, row].
    """
    truths = labels.truths(y)
    low, high = macro_interval(truths, scores, groups, seed=seed)
    within, within_low, within_high, n_within = macro_within(truths, scores, groups, seed=seed)
    values = (macro_auroc(truths, scores), low, high, within, within_low, within_high)
    return {**dict(zip(AUROCS, values, strict=True)), "n_within": n_within}


def sharpness(
    labels: Labels, y: NDArray[Any], scores: Floats, groups: NDArray[Any], seed: int
) -> dict[str, float]:
    """What only numbers have (R² with its interval, Spearman), or only choices (accuracy, and
    that of always saying the most frequent one)."""
    if labels.kind == "number":
        low, high = r_squared_interval(y, scores[0], groups, seed=seed)
        values = {"r2": r_squared(y, scores[0]), "r2_low": low, "r2_high": high}
        return {**values, "spearman": spearman(y, scores[0])}
    if labels.kind == "choice":
        right = scores.argmax(axis=0) == y
        codes = pd.factorize(groups)[0]
        per = np.bincount(codes, right), np.bincount(codes)
        low, high = ratio_interval(*per, seed=seed)
        values = {"accuracy": float(right.mean()), "accuracy_low": low, "accuracy_high": high}
        return {**values, "chance": float(np.bincount(y.astype(int)).max() / len(y))}
    return {}


def measure(
    labels: Labels, parts: Sequence[Part], baselines: Mapping[str, Floats], seed: int
) -> dict[str, float]:
    """The numbers of cross-fitted scores: columns of the table `probes`.

    Args:
        parts: rows (question_id, `SETS`, and wrong_majority where it is known) and the scores
            [task, row] of the probes fitted to each of `SETS`.
        baselines: cross-fitted scores for the first part's rows, shape [task, row] each.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss

    (rows, scores), (mixed, mixed_scores), (within, within_scores) = parts
    y, groups = rows["y"].to_numpy(), rows["question_id"].to_numpy()
    truths = labels.truths(y)
    pairs = list(zip(truths, scores, strict=True))
    shuffled = mixed["mixed"].to_numpy()
    found = {
        **discrimination(labels, y, scores, groups, seed),
        **sharpness(labels, y, scores, groups, seed),
        # shuffled labels are scored against themselves, by the probes that were fitted to them
        "auprc": float(np.mean([average_precision_score(*pair) for pair in pairs])),
        "control": macro_auroc(labels.truths(shuffled), mixed_scores),
        "control_within": _within(
            labels.truths(within["mixed_within"].to_numpy()),
            within_scores,
            within["question_id"].to_numpy(),
        ),
    }
    found["selectivity"] = found["auroc"] - found["control"]
    for name, values in baselines.items():
        found[name] = macro_auroc(truths, values)
        found[f"{name}_within"] = _within(truths, values, groups)
    if labels.kind == "number":
        found["control_r2"] = r_squared(shuffled, mixed_scores[0])
    if labels.kind == "boolean":
        found["brier"] = float(brier_score_loss(y, scores[0]))
        if "wrong_majority" in rows:
            wrong = rows["wrong_majority"].fillna(False).to_numpy(bool)
            some, _, _, n = within_question_auroc(
                y[wrong], scores[0, wrong], groups[wrong], draws=1
            )
            found |= {"on_wrong_majority": some, "n_wrong_majority": n}
    return found


def _within(truths: Any, scores: Floats, groups: NDArray[Any]) -> float:
    return macro_within(truths, scores, groups, draws=1)[0]
