"""TwoNN on what has a known dimension, duplicates among it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from analysis.state_geometry.dimension import intrinsic_dimension
from cot.errors import InputError


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 5])
def test_a_cube_turned_into_many_dimensions(d: int) -> None:
    random = np.random.default_rng(0)
    cube = random.random((1000, d)) @ np.linalg.qr(random.normal(size=(40, d)))[0].T
    found = intrinsic_dimension(cube, np.repeat(np.arange(50), 20), draws=50)
    assert found.dimension == pytest.approx(d, rel=0.15)  # edges make it a little less
    assert found.low < found.dimension < found.high
    assert found.high - found.low < 0.25 * d
    assert (found.n, found.n_duplicates) == (1000, 0)


def test_duplicates_up_to_rounding_are_counted_and_change_nothing() -> None:
    random = np.random.default_rng(1)
    X = random.normal(size=(200, 16)).astype(np.float16)
    again = np.nextafter(X[:80], np.float16(np.inf))
    alone = intrinsic_dimension(X, np.arange(200), draws=5)
    found = intrinsic_dimension(np.vstack([X, again]), np.arange(280), draws=5)
    assert (found.n, found.n_duplicates) == (200, 80)
    assert found.dimension == pytest.approx(alone.dimension)


def test_few_points_have_no_dimension() -> None:
    found = intrinsic_dimension(np.eye(10), np.arange(10))
    assert np.isnan([found.dimension, found.low, found.high]).all()
    assert intrinsic_dimension(np.ones((30, 4)), np.arange(30)).n_duplicates == 29


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skdim", None)
    with pytest.raises(InputError, match=r"consilience\[interp\]"):
        intrinsic_dimension(np.eye(30), np.arange(30))
