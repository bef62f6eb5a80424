"""Chain-of-embedding on ways whose lengths and angles are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.logit_lens.chain_of_embedding import chain_of_embedding


def test_a_straight_way_from_the_origin_does_not_turn() -> None:
    v = np.array([0.3, -1.2, 0.7])
    R, C = chain_of_embedding(np.outer([1.0, 2, 3, 4, 5], v))
    assert pytest.approx((1 / 4, 1 / 4)) == (R, C)
    R, C = chain_of_embedding(np.outer([1.0, 3, 2], v).astype(np.float32))
    assert pytest.approx((1.5, 1.5)) == (R, C)  # two forward, one back: (2 + 1) / 1, halved


def test_a_right_angle() -> None:
    # (1, 0) -> (1, 1) -> (0, 1): two steps of 1 over √2, two turns of 45° over 90°
    R, C = chain_of_embedding(np.array([[1.0, 0], [1, 1], [0, 1]]))
    assert pytest.approx(1 / np.sqrt(2) - 1 / 2) == R
    assert pytest.approx(1 / np.sqrt(2)) == C
    # (1, 0) -> (2, 0) -> (0, 2): M = 1/√5, 2√2/√5; A = 0, 1
    R, C = chain_of_embedding(np.array([[1.0, 0], [2, 0], [0, 2]]))
    M = np.array([1, 2 * np.sqrt(2)]) / np.sqrt(5)
    assert pytest.approx(M.mean() - 0.5) == R
    assert pytest.approx(np.hypot(M[0] + M[1] * np.cos(1), M[1] * np.sin(1)) / 2) == C


def test_scale_and_rotation_change_nothing() -> None:
    random = np.random.default_rng(0)
    states = random.normal(size=(8, 12))
    turn = np.linalg.qr(random.normal(size=(12, 12)))[0]
    assert chain_of_embedding(7 * states @ turn) == pytest.approx(chain_of_embedding(states))


def test_no_way_no_return_and_no_direction() -> None:
    still = np.ones((4, 3))
    assert chain_of_embedding(still) == (0, 0)
    for bad in ([[1.0, 0], [0, 1], [1, 0]], [[0.0, 0], [0, 1]], [[1.0, np.nan], [0, 1]]):
        assert np.isnan(chain_of_embedding(np.array(bad))).all()
    with pytest.raises(ValueError, match=r"L >= 1"):
        chain_of_embedding(np.ones((1, 3)))
