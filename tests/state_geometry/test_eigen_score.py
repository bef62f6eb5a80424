"""EigenScore in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.state_geometry.eigen_score import eigen_score


def test_identical_states() -> None:
    state = np.array([3.0, -1, 4, 1, -5, 9])
    K, v = 7, state.var(ddof=1)  # eigenvalues: K v once, 0 else
    expected = (np.log(K * v + 1e-3) + (K - 1) * np.log(1e-3)) / K
    assert eigen_score(np.tile(state, (K, 1))) == pytest.approx(expected)
    assert eigen_score(np.tile(np.ones(6), (K, 1))) == pytest.approx(np.log(1e-3))


def test_orthogonal_states_of_one_length() -> None:
    rows = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1], [1, 1, -1, -1] / np.sqrt(2)])
    expected = np.log(2 / 3 + 1e-3)  # squared length 2, over d - 1
    assert eigen_score(rows) == pytest.approx(expected)
    assert eigen_score(rows + np.array([[1.0], [2], [3]])) == pytest.approx(expected)


def test_one_state_has_no_spread() -> None:
    assert np.isnan(eigen_score(np.ones((1, 4))))
