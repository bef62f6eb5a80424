"""The three-way coefficient on partitions that are planted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from analysis.agreement.coefficients import three_way

GENERATOR = np.random.default_rng(3)
SETS = [GENERATOR.integers(0, 3, 20) for _ in range(12)]


def fresh():
    return GENERATOR.integers(0, 3, 20)


def test_equal_partitions_have_one_and_the_null_none():
    found = three_way([(x, x + 4, [f"c{v}" for v in x]) for x in SETS], permutations=100)
    np.testing.assert_allclose(found.values, 1)
    assert abs(found.null.mean()) < 1e-9
    assert found.p == pytest.approx(1 / 101)


def test_independent_ones_have_none():
    found = three_way([(x, fresh(), fresh()) for x in SETS], permutations=100)
    assert abs(np.mean(found.values)) < 0.1
    assert found.p > 0.05


def test_two_that_agree_lie_near_one_half():
    found = three_way([(x, x, fresh()) for x in SETS], permutations=100)
    assert 0.3 < np.mean(found.values) < 0.6
    assert found.p == pytest.approx(1 / 101)


def test_by_hand():
    """A and B equal halves of four traces, C crosses them: T = log 2; H = log 2 each."""
    a, c = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = three_way([(a, a, c)], permutations=2000, seed=1)
    # of the 6 x 6 pairs of arrangements of B and C, T is 0, log 2 or 2 log 2
    splits = [
        np.isin(np.arange(4), pair).astype(int)
        for pair in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    ]
    log2 = np.log(2)
    expected = np.mean(
        [
            3 * log2 - mutual_info_score(code := 4 * a + 2 * b + x, code)
            for b in splits
            for x in splits
        ]
    )
    assert found.values[0] == pytest.approx((log2 - expected) / (2 * log2 - expected), abs=0.03)


def test_relabelling_and_row_order_change_nothing():
    a, b, c = SETS[:3]
    order = GENERATOR.permutation(20)
    plain = three_way([(a, b, c)], permutations=4000).values[0]
    mixed = three_way([((7 - a)[order], b[order], c[order] * 3)], permutations=4000).values[0]
    assert mixed == pytest.approx(plain, abs=0.01)


def test_one_class_is_left_out_and_singletons_are_equal():
    found = three_way([([0, 0], [0, 1], [0, 1]), ([0, 1, 2], [2, 0, 1], [1, 0, 2])])
    assert np.isnan(found.values[0])
    assert found.values[1] == 1.0
    assert three_way([([0, 0], [0, 1], [0, 1])]).p is None
