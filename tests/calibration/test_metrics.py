"""Measures by hand, against scikit-learn, and against every order of tied items."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.calibration.entropy import class_entropy, normalised_probabilities
from analysis.calibration.metrics import (
    average_precision,
    brier,
    expected_calibration_error,
    prediction_rejection_ratio,
    reliability,
    risks,
)
from analysis.statistics import auroc, pairs_per_question

ITEMS = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30)


def split(items):
    labels, confidence = zip(*items, strict=True)
    return np.array(labels), np.array(confidence, dtype=float)


def mixed(items):
    assume(0 < sum(label for label, _ in items) < len(items))
    return split(items)


def test_calibration_error_by_hand():
    # bins of .5: (.2, .4, .5) with one right of three; (.9, 1) with one right of two
    y, p = [False, True, False, True, False], [0.2, 0.4, 0.5, 0.9, 1.0]
    curve = reliability(y, p, bins=2)
    assert curve["n"].to_list() == [3, 2]
    assert curve["x"].to_list() == pytest.approx([1.1 / 3, 0.95])
    assert curve["y"].to_list() == pytest.approx([1 / 3, 1 / 2])
    gaps = [abs(1.1 / 3 - 1 / 3), abs(0.95 - 0.5)]
    assert expected_calibration_error(curve) == pytest.approx((3 * gaps[0] + 2 * gaps[1]) / 5)


def test_bins_are_closed_above_whatever_the_rounding():
    tenths = np.arange(11) / 10  # 0.7 * 10 is 7.000000000000001
    curve = reliability(np.ones(11), tenths, bins=10)
    assert curve["n"].to_list() == [2, *[1] * 9]
    assert curve["x"].to_list() == pytest.approx([0.05, *tenths[2:]])


@pytest.mark.parametrize("bins", [5, 6, 7, 10, 12, 49])
def test_a_share_on_an_edge_belongs_to_the_bin_below(bins):
    shares = np.arange(1, bins + 1) / bins
    curve = reliability(np.ones(bins), shares, bins=bins)
    assert curve["n"].to_list() == [1] * bins
    assert curve["x"].to_list() == shares.tolist()


def test_brier_is_the_mean_squared_difference():
    assert brier([True, False], [0.8, 0.4]) == pytest.approx((0.04 + 0.16) / 2)
    assert brier([False, False], [0.2, 0.4]) == pytest.approx((0.04 + 0.16) / 2)
    rng = np.random.default_rng(0)
    y, p = rng.random(50) < 0.5, rng.random(50)
    assert brier(y, p) == pytest.approx(np.square(p - y).mean(), abs=1e-12)


def test_average_precision_by_hand():
    # thresholds: 3 -> 1 of 1; 2 -> 2 of 3 (tie); 1 -> 2 of 4
    assert average_precision([1, 1, 0, 0], [3, 2, 2, 1]) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert np.isnan(average_precision([0, 0], [1, 2]))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(ITEMS)
def test_average_precision_is_the_precision_at_each_right_item_ties_together(items):
    y, confidence = mixed(items)
    precisions = [y[confidence >= each].mean() for each in confidence[y]]
    assert average_precision(y, confidence) == pytest.approx(np.mean(precisions), abs=1e-12)


def test_rejection_by_hand():
    # kept, most confident first: right, wrong, right, wrong
    y, confidence = [True, False, True, False], [4, 3, 2, 1]
    assert risks(y, confidence).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    area, chance = 1 - (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4, 1 / 2
    oracle = (1 + 1 + 2 / 3 + 1 / 2) / 4
    expected = (area - chance) / (oracle - chance)
    assert prediction_rejection_ratio(y, confidence) == pytest.approx(expected)
    assert prediction_rejection_ratio(y, [4, 2, 3, 1]) == pytest.approx(1)


def test_rejection_under_ties_by_hand():
    # first the right one; then a right and a wrong one in either order; then a wrong one
    found = risks([True, True, False, False], [3, 2, 2, 1])
    assert found.tolist() == pytest.approx([0, (0 + 1 / 2) / 2, 1 / 3, 1 / 2])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=2, max_size=6))
def test_rejection_is_the_mean_over_all_orders_of_tied_items(items):
    y, confidence = mixed(items)
    n = len(y)
    orders = [
        list(order)
        for order in permutations(range(n))
        if all(np.diff(confidence[list(order)]) <= 0)
    ]
    accuracies = [np.cumsum(y[order]) / np.arange(1, n + 1) for order in orders]
    mean = np.mean(accuracies, axis=0)
    assert risks(y, confidence) == pytest.approx(1 - mean)
    oracle = (np.cumsum(np.sort(y)[::-1]) / np.arange(1, n + 1)).mean()
    expected = (mean.mean() - y.mean()) / (oracle - y.mean())
    assert prediction_rejection_ratio(y, confidence) == pytest.approx(expected)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(ITEMS)
def test_a_constant_ranks_nothing(items):
    y, _ = mixed(items)
    same = np.full(len(y), 0.3)
    assert auroc(y, same) == 0.5
    assert average_precision(y, same) == pytest.approx(y.mean())
    assert prediction_rejection_ratio(y, same) == pytest.approx(0, abs=1e-12)
    assert risks(y, same) == pytest.approx(1 - y.mean())


@pytest.mark.parametrize("label", [True, False])
def test_one_class_is_no_ranking(label):
    y = np.full(3, label)
    assert np.isnan(auroc(y, [1, 2, 3]))
    assert np.isnan(prediction_rejection_ratio(y, [1, 2, 3]))


def test_nothing_at_all():
    assert np.isnan(brier([], []))
    assert np.isnan(average_precision([], []))
    assert np.isnan(prediction_rejection_ratio([], []))
    assert np.isnan(expected_calibration_error(reliability([], [])))
    assert len(risks([], [])) == 0


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(ITEMS, st.floats(0.1, 10), st.floats(-5, 5), st.randoms())
def test_ranking_is_free_of_scale_and_order(items, factor, offset, random):
    y, confidence = mixed(items)
    moved = np.exp(confidence * factor) + offset
    order = list(range(len(y)))
    random.shuffle(order)
    for measure in (auroc, average_precision, prediction_rejection_ratio):
        assert measure(y[order], moved[order]) == pytest.approx(measure(y, confidence))
    assert risks(y[order], moved[order]) == pytest.approx(risks(y, confidence))


@settings(max_examples=40, deadline=None)
@given(ITEMS)
def test_the_oracle_and_its_reverse_are_the_ends(items):
    y, confidence = mixed(items)
    value = prediction_rejection_ratio(y, confidence)
    worst = prediction_rejection_ratio(y, ~y)
    assert worst - 1e-12 <= value <= prediction_rejection_ratio(y, y) + 1e-12
    assert prediction_rejection_ratio(y, y) == pytest.approx(1)


def test_pooled_pairs_and_mean_questions_differ():
    # a: 1 right and 9 wrong, all 9 pairs won; b: 1 and 1, the pair lost
    y = [True] + [False] * 9 + [True, False]
    score = [1] + [0] * 9 + [0, 1]
    per = pairs_per_question(y, score, ["a"] * 10 + ["b"] * 2)
    assert per["wins"].sum() / per["pairs"].sum() == pytest.approx(9 / 10)
    assert (per["wins"] / per["pairs"]).mean() == pytest.approx(1 / 2)


def test_entropy_of_known_counts():
    question = [0, 0, 0, 0, 1, 1, 3, 3, 3, 3]
    answers = ["8", "8", "8", "7", "8", "8", "a", "b", "c", "d"]
    quarter = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    entropy = class_entropy(question, answers, 4)
    assert entropy[[0, 1, 3]].tolist() == pytest.approx([quarter, 0, np.log(4)])
    assert np.isnan(entropy[2])
    assert not np.signbit(entropy[1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.randoms())
def test_entropy_does_not_tell_orders_or_names_apart(labels, random):
    shuffled = [9 - label for label in labels]
    random.shuffle(shuffled)
    both = class_entropy([0] * len(labels) + [1] * len(labels), labels + shuffled, 2)
    assert both[0] == both[1]  # exactly, so that they tie
    assert 0 <= both[0] <= np.log(len(set(labels))) + 1e-12


def test_weighted_entropy_by_hand_and_far_below_zero():
    question, answers = [0, 0, 0, 1, 1], ["x", "x", "y", "x", "y"]
    logp = np.array([np.log(0.2), np.log(0.1), np.log(0.1), -1e4, -1e4])
    weights = normalised_probabilities(question, logp, 2)
    p = np.array([0.75, 0.25])
    expected = [-(p * np.log(p)).sum(), np.log(2)]
    assert class_entropy(question, answers, 2, weights).tolist() == pytest.approx(expected)
    missing = normalised_probabilities([0, 0], [np.nan, -1.0], 1)
    assert np.isnan(class_entropy([0, 0], ["x", "y"], 1, missing)).all()
