"""Does confidence predict correctness? The measures, each of labels and confidences.

Labels are right or wrong, shape [item]; confidence is higher where the item should be right. The
area under the ROC curve is in `analysis.statistics`. Where confidences are tied, the value is the
expectation over random orders of the tied items.

    >>> round(prediction_rejection_ratio([True, True, False, False], [4, 3, 2, 1]), 6)
    1.0
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "average_precision",
    "brier",
    "expected_calibration_error",
    "prediction_rejection_ratio",
    "reliability",
    "risks",
]

Floats = NDArray[np.float64]


def average_precision(labels: ArrayLike, confidence: ArrayLike) -> float:
    """Area under the precision-recall curve (AUPRC), without interpolation; ties enter together.

    A constant confidence gives the share of positives. NaN without positives.
    """
    from sklearn.metrics import average_precision_score

    y = np.asarray(labels, dtype=bool)
    return float(average_precision_score(y, confidence)) if y.any() else float("nan")


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and outcome (Brier 1950); NaN for no items."""
    from sklearn.metrics import brier_score_loss

    y = np.asarray(labels, dtype=bool)
    return float(brier_score_loss(y, probabilities)) if len(y) else float("nan")


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Mean probability (x), share right (y) and number (n) in each bin of equal width with any.

    Bins are ((b - 1) / bins, b / bins], the first with 0 (Guo et al. 2017, arXiv 1706.04599).
    scikit-learn's `calibration_curve` has no numbers a bin, which the ECE needs, and its edges are
    rounded: a vote share of 5/6 falls above the edge 5/6 of six bins.
    """
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    upper = np.ceil(np.round(p * bins, 9)).astype(int)  # 0.7 * 10 is above 7 in floating point
    place = np.clip(upper, 1, bins) - 1  # 0 belongs to the first bin
    n = np.bincount(place, minlength=bins)
    some = n > 0
    x, right = (np.bincount(place, values, bins)[some] / n[some] for values in (p, y))
    return pd.DataFrame({"x": x, "y": right, "n": n[some]})


def expected_calibration_error(curve: pd.DataFrame) -> float:
    """ECE: mean gap between probability and share right over the bins of `reliability`, weighted
    by their numbers (arXiv 1706.04599); NaN for no items."""
    if not len(curve):
        return float("nan")
    return float(((curve["x"] - curve["y"]).abs() * curve["n"]).sum() / curve["n"].sum())


def risks(labels: ArrayLike, confidence: ArrayLike) -> Floats:
    """Risk-coverage curve: share wrong among the k most confident items, for k = 1 to all.

    Its mean is the area under it, AURC (Geifman et al. 2019, arXiv 1805.08206). Shape [item].
    """
    right, taken = _cumulated(labels, confidence)
    k = np.arange(1, int(taken[-1]) + 1 if len(taken) else 1)
    # linear within a tie: the expectation over the orders of tied items
    expected: Floats = np.interp(k, np.r_[0, taken], np.r_[0.0, right])
    return 1 - expected / k


def prediction_rejection_ratio(labels: ArrayLike, confidence: ArrayLike) -> float:
    """PRR = (area - random) / (oracle - random), areas under the rejection curve.

    The curve is the share right among what is kept when 0 to all but one of the items are rejected,
    least confident first; the oracle rejects the wrong ones first, and random keeps the base rate.
    1 is the oracle's order, 0 no better than chance. NaN where all are right or all are wrong.
    As LM-Polygraph (arXiv 2311.07383), over the whole curve; ties there fall to the order of the
    rows. Malinin & Gales (arXiv 2002.07650) divide by all items, kept or not, which makes of it
    2 AUROC - 1 where items are right or wrong.
    """
    y = np.asarray(labels, dtype=bool)
    if not len(y) or y.all() or not y.any():
        return float("nan")
    k = np.arange(1, len(y) + 1)
    chance, oracle = y.mean(), (np.minimum(k, y.sum()) / k).mean()  # the oracle keeps right first
    return float((1 - risks(y, confidence).mean() - chance) / (oracle - chance))


def _cumulated(labels: ArrayLike, confidence: ArrayLike) -> tuple[Floats, NDArray[Any]]:
    """Right items, and items, down to each distinct confidence, highest first."""
    y = np.asarray(labels, dtype=float)
    distinct, level = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True)
    right = np.bincount(level, y, len(distinct))
    return np.cumsum(right), np.cumsum(np.bincount(level, minlength=len(distinct)))
