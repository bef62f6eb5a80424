"""AUROC of several labels at once."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.probes.metrics import macro_auroc, macro_interval, macro_within
from analysis.statistics import auroc, auroc_interval, auroc_per_question, resample


def made(n_labels: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(15), 6)
    stated = random.integers(0, n_labels, len(groups))
    scores = random.integers(0, 6, (n_labels, len(groups))) + (
        np.arange(n_labels)[:, None] == stated
    )
    return [stated == label for label in range(n_labels)], scores.astype(float), groups


def test_the_interval_is_the_bootstrap_of_the_mean() -> None:
    truths, scores, groups = made(3)
    values = []
    for counts in resample(15, seed=4)[:1000]:
        rows = np.repeat(np.arange(len(groups)), counts[groups])
        values.append(macro_auroc([y[rows] for y in truths], scores[:, rows]))
    expected = np.nanquantile(values, [0.025, 0.975])
    assert macro_interval(truths, scores, groups, seed=4) == pytest.approx(tuple(expected))


def test_one_label_is_the_plain_auroc() -> None:
    truths, scores, groups = made(2)
    one = truths[:1], scores[:1]
    assert macro_auroc(*one) == auroc(truths[0], scores[0])
    assert macro_interval(*one, groups) == auroc_interval(truths[0], scores[0], groups)


def test_within_questions_averages_labels_that_vary() -> None:
    truths, scores, groups = made(3)
    value, low, high, n = macro_within(truths, scores, groups)
    each = [auroc_per_question(y, s, groups) for y, s in zip(truths, scores, strict=True)]
    assert value == pytest.approx(np.concatenate(each).mean())
    assert low < value < high
    assert n == 15
    assert macro_within(truths, np.zeros_like(scores), groups)[:3] == (0.5, 0.5, 0.5)
