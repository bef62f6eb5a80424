"""Raters by hand: chance from each question's own traces, and what a rater adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.agreement.rater_agreement import alpha, chance, rater_pairs, raters_worth


def answers_of(given):
    rows = [(name, i, answer) for name, each in given.items() for i, answer in enumerate(each)]
    frame = pd.DataFrame(rows, columns=["question_id", "sample_index", "answer"])
    return frame.assign(status="ok")


def test_chance_is_that_two_random_traces_agree():
    found = chance(answers_of({"a": "1122", "b": "1111", "c": "1123"}))
    assert found.to_dict() == {"a": 0.5, "b": 1.0, "c": pytest.approx(6 / 16)}


def test_kappa_by_hand():
    """One agreement (chance .5), one disagreement (chance .375), one question with one answer."""
    named = pd.DataFrame(
        {"majority": ["1", "1", "1", None], "probe": ["1", "2", "1", "1"]}, index=list("acbd")
    )
    expected = pd.Series({"a": 0.5, "b": 1.0, "c": 0.375, "d": 0.5})
    row = rater_pairs(named, expected, seed=0).iloc[0]
    assert row["kappa"] == pytest.approx((0.5 - 0.375) / (0.5 + 0.625))
    assert row["agreement"] == pytest.approx(2 / 3)
    assert row["chance"] == pytest.approx((0.5 + 0.375 + 1) / 3)
    assert (row["n_questions"], row["n_same"]) == (3, 1)


def test_raters_that_draw_at_random_have_kappa_zero():
    generator = np.random.default_rng(0)
    traces = {
        f"q{i}": generator.choice(list("1234"), 10, p=[0.4, 0.3, 0.2, 0.1]) for i in range(400)
    }
    named = pd.DataFrame(
        {rater: {name: generator.choice(each) for name, each in traces.items()} for rater in "ab"}
    )
    row = rater_pairs(named, chance(answers_of(traces)), seed=0).iloc[0]
    assert row["low"] < 0 < row["high"]
    assert abs(row["kappa"]) < 0.1
    same = rater_pairs(named.assign(b=named["a"]), chance(answers_of(traces)), seed=0).iloc[0]
    assert same[["kappa", "low", "high"]].to_list() == [1, 1, 1]


def test_worth_counts_rescues_and_losses():
    correct = pd.DataFrame(
        {"majority": [True, True, False, False, pd.NA], "probe": [True, False, True, True, pd.NA]},
        dtype="boolean",
    )
    worth = raters_worth(correct, seed=0).set_index("rater")
    row = worth.loc["probe"]
    assert row[["accuracy", "difference"]].to_list() == [0.75, 0.25]
    assert row[["rescued", "n_wrong", "lost", "n_questions"]].to_list() == [2, 2, 1, 4]
    assert worth.loc["majority", "difference"] == 0


def test_alpha():
    equal = pd.DataFrame({"a": [True, False, True], "b": [True, False, True]})
    assert alpha(equal, 0)[0] == pytest.approx(1)
    # two raters, four units, one disagreement: Krippendorff 2011, two values:
    # alpha = 1 - (n - 1) * (o01) / (n0 * n1), with o01 = 1, n0 = 3, n1 = 5
    mixed = pd.DataFrame({"a": [1, 1, 0, 0], "b": [1, 1, 0, 1]}).astype(bool)
    value, low, high, n = alpha(mixed, 0)
    assert value == pytest.approx(1 - 7 * 1 / (3 * 5))
    assert low <= value <= high
    assert n == 4
    assert np.isnan(alpha(pd.DataFrame({"a": [True], "b": [True]}), 0)[0])
