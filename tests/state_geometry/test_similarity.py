"""Debiased CKA and RSA against their definitions, and beside what chance gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from analysis.state_geometry.similarity import (
    KINDS,
    Kind,
    compare,
    null_of,
    pairs_of,
    right_and_wrong,
)
from analysis.statistics.jackknife import jackknife_interval

Floats = NDArray[np.float64]


def random_sets(n: int = 60) -> tuple[Floats, Floats, NDArray[Any]]:
    """Two related sets of vectors, in questions of unequal size."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n, 30))
    Y = X @ random.normal(size=(30, 20)) + 2 * random.normal(size=(n, 20))
    return X, Y, np.sort(random.integers(0, 15, n))


def cka_by_definition(X: Floats, Y: Floats) -> float:
    """Song et al. 2012, equation 4, term by term."""
    n, ones = len(X), np.ones(len(X))

    def hsic(K: Floats, L: Floats) -> float:
        K, L = K * (1 - np.eye(n)), L * (1 - np.eye(n))
        means = (ones @ K @ ones) * (ones @ L @ ones) / ((n - 1) * (n - 2))
        return float(np.trace(K @ L) + means - 2 / (n - 2) * (ones @ K @ L @ ones))

    K, L = X @ X.T, Y @ Y.T
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def test_cka_is_its_definition_and_so_is_its_interval() -> None:
    X, Y, groups = random_sets()
    found = compare(pairs_of("cka", X, groups), pairs_of("cka", Y, groups))
    value = cka_by_definition(X, Y)
    without = [cka_by_definition(X[groups != g], Y[groups != g]) for g in np.unique(groups)]
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx(jackknife_interval(value, without))


def test_rsa_is_spearman_of_cosine_distances() -> None:
    X, Y, groups = random_sets()
    found = compare(pairs_of("rsa", X, groups), pairs_of("rsa", Y, groups))
    vectors = [pdist(each - each.mean(axis=0), "cosine") for each in (X, Y)]
    assert found.value == pytest.approx(spearmanr(*vectors).statistic, abs=1e-5)
    assert -1 < found.low < found.value < found.high < 1


@pytest.mark.parametrize("kind", KINDS)
def test_itself_turned_moved_and_scaled_is_the_same(kind: Kind) -> None:
    X = random_sets()[0]
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(30, 30)))[0]
    for other in (X, 5 * X @ turn + 3):
        assert compare(pairs_of(kind, X), pairs_of(kind, other)).value == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_nothing_though_there_are_more_dimensions_than_rows(kind: Kind) -> None:
    random = np.random.default_rng(2)
    values = [
        compare(*(pairs_of(kind, random.normal(size=(30, 200))) for _ in range(2))).value
        for _ in range(40)
    ]
    assert abs(np.mean(values)) < 0.03
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_lies_about_nothing(kind: Kind) -> None:
    X, Y, groups = random_sets()
    a, b = pairs_of(kind, X, groups), pairs_of(kind, Y, groups)
    null = null_of(a, b, permutations=200, seed=0)
    assert abs(null.mean()) < 0.02
    assert null.max() < compare(a, b).value


@pytest.mark.parametrize("kind", KINDS)
def test_alike_rows_and_few_rows_are_undefined(kind: Kind) -> None:
    few = [pairs_of(kind, np.eye(3)[:n]) for n in (1, 2)]
    alike = pairs_of(kind, np.ones((8, 3)), np.arange(8))
    for each in (*few, alike):
        found = compare(each, each)
        assert np.isnan([found.value, found.low, found.high]).all()


def traces(n_questions: int, n_traces: int) -> tuple[Floats, NDArray[np.bool_], NDArray[Any]]:
    """Each question has a state of its own, and its traces scatter about it."""
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(n_questions), n_traces)
    right = np.tile(np.arange(n_traces) % 2 == 0, n_questions)
    own = random.normal(size=(n_questions, 12))
    return own[groups] + random.normal(size=(len(groups), 12)), right, groups


def test_right_and_wrong_that_differ_by_chance_only() -> None:
    X, right, groups = traces(30, 8)
    for numbers in right_and_wrong(X, right, groups, seed=0).values():
        assert numbers["value"] > 0.4
        assert numbers["p_paired"] < 0.01
        assert abs(numbers["value"] - numbers["shuffled_mean"]) < 0.1
        assert numbers["p"] > 0.05


def test_wrong_traces_that_go_astray() -> None:
    X, right, groups = traces(30, 8)
    astray = np.random.default_rng(4).normal(size=(30, 12)) * 2
    X = X + np.where(right, 0, 1)[:, None] * astray[groups]
    for numbers in right_and_wrong(X, right, groups, seed=0).values():
        assert numbers["value"] < numbers["shuffled_low"]
        assert numbers["p"] == pytest.approx(1 / 101)


def test_the_jackknife_of_a_mean_is_the_textbook_interval() -> None:
    values = np.random.default_rng(5).normal(size=12)
    without = (values.sum() - values) / 11
    reach = 2.200985 * values.std(ddof=1) / np.sqrt(12)
    found = jackknife_interval(values.mean(), without)
    assert found == pytest.approx((values.mean() - reach, values.mean() + reach))
    assert np.isnan(jackknife_interval(1.0, [1.0, 2.0])).all()
