"""Every kind of probe keeps the contract, and the contract notices who doesn't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted_states import DIFF_MEANS, MLP, RIDGE

from analysis.probes import check_probe
from analysis.probes.estimators import LogisticProbe, MlpProbe, RidgeProbe
from analysis.probes.metrics import r_squared, r_squared_interval, spearman
from analysis.statistics import auroc
from cot.errors import InputError

HERE = "test_probe_kinds"


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["logistic", DIFF_MEANS, RIDGE, MLP, "logistic:n_components=4"])
def test_built_in_probes_keep_the_contract(spec: str) -> None:
    check_probe(spec)


class Forgetful(LogisticProbe):
    def fit(self, X: Any, y: Any, groups: Any) -> Any:
        super().fit(X, y, groups)
        self.validation_ = np.nan
        return self


class Fickle(RidgeProbe):
    def predict(self, X: Any) -> Any:
        return super().predict(X) + np.arange(len(X))


def takes_nothing() -> Any:
    return LogisticProbe()


@pytest.mark.parametrize(
    ("name", "message"), [("Forgetful", "no validation_"), ("Fickle", "the order of rows decides")]
)
def test_a_broken_promise_is_named(name: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_probe(f"{HERE}:{name}")


def test_a_probe_must_take_a_seed() -> None:
    with pytest.raises(InputError, match="takes seed"):
        check_probe(f"{HERE}:takes_nothing")


@pytest.mark.slow
def test_an_mlp_reads_what_no_direction_carries() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(400, 2))
    y, groups = X[:, 0] * X[:, 1] > 0, np.arange(400) // 8
    crooked = MlpProbe(alpha=0.01, epochs=150).fit(X, y, groups)
    assert auroc(y, crooked.predict_proba(X)[:, 1]) > 0.95
    straight = LogisticProbe().fit(X, y, groups)
    assert auroc(y, straight.predict_proba(X)[:, 1]) < 0.65


def test_r_squared_by_hand() -> None:
    assert r_squared([1, 2, 3], [1, 2, 3]) == 1
    assert r_squared([1, 2, 3], [2, 2, 2]) == 0
    assert r_squared([1, 3], [3, 1]) == -3
    assert np.isnan(r_squared([2, 2], [1, 2]))
    assert spearman([1, 2, 3], [3, 5, 9]) == pytest.approx(1)
    assert np.isnan(spearman([1, 2, 3], [2, 2, 2]))


def test_the_interval_of_r_squared_resamples_questions() -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=300)
    guess = y + random.normal(size=300)
    low, high = r_squared_interval(y, guess, np.arange(300))
    assert low < r_squared(y, guess) < high
    few = r_squared_interval(y, guess, np.arange(300) // 30)
    assert few[0] < few[1]
    assert np.isnan(r_squared_interval(np.ones(4), np.ones(4), np.arange(4))).all()
