"""Estimates, intervals and tests of sums over questions: closed forms, and rates over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.calibration.metrics import (
    expected_calibration_error,
    prediction_rejection_ratio,
    reliability,
)
from analysis.comparison.measure import mean_of, share_of
from analysis.comparison.sums import (
    AUROC,
    ECE,
    PRR,
    RATIO,
    difference,
    estimate,
    estimate_interval,
)
from analysis.statistics import auroc, auroc_interval, mean_interval, ratio_interval
from analysis.statistics.corrections import holm

SEEDS = 200


def named(values):
    return mean_of(pd.Series(values))  # questions are numbers here: texts take longer


def items(seed, n_questions=12, per_question=4):
    """Right or wrong items and a confidence with ties."""
    rng = np.random.default_rng(seed)
    n = n_questions * per_question
    right = rng.random(n) < 0.6
    confidence = np.round(rng.random(n) * 0.7 + 0.3 * right, 1)
    questions = np.repeat([f"q{place}" for place in range(n_questions)], per_question)
    frame = pd.DataFrame({"right": right, "confidence": confidence, "n_bins": 10})
    return frame.set_index(pd.Index(questions, name="question_id"))


def test_a_mean_and_its_interval_are_those_of_the_other_tables():
    values = np.random.default_rng(0).random(30)
    assert estimate(RATIO, named(values)) == pytest.approx(values.mean())
    assert estimate_interval(RATIO, named(values), 3) == pytest.approx(
        mean_interval(values, seed=3)
    )


def test_a_share_of_traces_is_a_ratio_of_sums():
    traces = pd.DataFrame({"question_id": ["b", "b", "a"], "so": [1.0, 0.0, 1.0], "n": [4, 2, 2]})
    assert estimate(RATIO, share_of(traces, "so")) == pytest.approx(2 / 3)
    assert estimate(RATIO, share_of(traces, "so", "n")) == pytest.approx(2 / 8)
    assert estimate_interval(RATIO, share_of(traces, "so"), 1) == pytest.approx(
        ratio_interval([1, 1], [2, 1], seed=1)
    )


@pytest.mark.parametrize("seed", range(5))
def test_rankings_and_calibration_are_those_of_calibrate(seed):
    rows = items(seed)
    right, confidence = rows["right"].to_numpy(), rows["confidence"].to_numpy()
    assert estimate(AUROC, rows) == pytest.approx(auroc(right, confidence))
    assert estimate_interval(AUROC, rows, 0) == pytest.approx(
        auroc_interval(right, confidence, rows.index, seed=0)
    )
    assert estimate(PRR, rows) == pytest.approx(prediction_rejection_ratio(right, confidence))
    expected = expected_calibration_error(reliability(right, confidence))
    assert estimate(ECE, rows) == pytest.approx(expected)


@pytest.mark.parametrize("statistic", [AUROC, PRR])
def test_a_ranking_without_both_classes_is_not_defined(statistic):
    rows = items(0).assign(right=True)
    assert np.isnan(estimate(statistic, rows))
    assert np.isnan(difference(statistic, rows, items(1), swaps=10, seed=0).p)


def test_a_difference_by_hand():
    # right on 3 of 4 and on 1 of 4 questions; questions c and d differ, the same way
    one, other = named([1, 0, 1, 1]), named([1, 0, 0, 0])
    found = difference(RATIO, one, other, swaps=9999, seed=0)
    assert (found.one, found.other) == (0.75, 0.25)
    assert (found.low, found.high) == mean_interval([0, 0, 1, 1], seed=0)
    # of the four ways to swap c and d, two have a difference as large as 1/2
    assert found.p == pytest.approx(0.5, abs=0.02)


def test_the_exchange_test_gives_the_exact_p_of_few_questions():
    gaps = np.array([0.5, 0.25, 0.75, -0.125, 0.5, 0.25])
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(gaps))).reshape(len(gaps), -1)
    exact = (np.abs(gaps @ signs) >= abs(gaps.sum()) - 1e-9).mean()
    found = difference(RATIO, named(gaps + 1), named(np.ones(6)), swaps=20_000, seed=1)
    assert found.p == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(
    ("statistic", "rows"),
    [(RATIO, named([0.3, 1, 0])), (AUROC, items(0)), (PRR, items(0)), (ECE, items(0))],
)
def test_identical_runs_differ_by_0_with_p_1(statistic, rows):
    found = difference(statistic, rows, rows, swaps=99, seed=0)
    assert found.one == found.other
    assert (found.low, found.high, found.p) == (0, 0, 1)


@pytest.mark.parametrize("statistic", [RATIO, AUROC, PRR, ECE])
def test_the_other_way_round_only_the_sign_changes(statistic):
    one, other = items(3), items(4)
    if statistic is RATIO:
        one, other = (share_of(each.reset_index(), "right") for each in (one, other))
    forth = difference(statistic, one, other, swaps=99, seed=0)
    back = difference(statistic, other, one, swaps=99, seed=0)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p == back.p


def test_a_score_on_another_scale_ranks_as_well():
    rows = items(5)
    scaled = rows.assign(confidence=rows["confidence"] * 1e6 - 7)
    found = difference(AUROC, rows, scaled, swaps=99, seed=0)
    assert (found.low, found.high, found.p) == (0, 0, 1)


# -- rates over seeds ------------------------------------------------------------------------------
# The data has a new seed each time; draws and swaps have the same one, so that they are drawn once.


def planted_pairs(seed, n_questions, n_traces, gain):
    """Shares of right traces on the same questions in two runs; the second's chance is higher by
    `gain`."""
    rng = np.random.default_rng(seed)
    difficulty = rng.uniform(0.2, 0.6, n_questions)
    first, second = (rng.binomial(n_traces, difficulty + more) / n_traces for more in (0.0, gain))
    return named(first), named(second)


@pytest.mark.slow
def test_the_paired_interval_covers_0_and_the_test_rejects_at_their_rates():
    found = [
        difference(RATIO, *planted_pairs(seed, 40, 8, 0.0), swaps=199, seed=0)
        for seed in range(SEEDS)
    ]
    covers = np.mean([each.low <= 0 <= each.high for each in found])
    rejects = np.mean([each.p <= 0.05 for each in found])
    # 200 seeds at .95: four standard errors are .06
    assert covers == pytest.approx(0.95, abs=0.06)
    assert rejects <= 0.05 + 0.06


@pytest.mark.slow
def test_a_planted_gain_is_found_with_its_size():
    found = [
        difference(RATIO, *planted_pairs(seed, 40, 8, 0.3), swaps=199, seed=0)
        for seed in range(SEEDS)
    ]
    gains = [each.other - each.one for each in found]
    assert np.mean(gains) == pytest.approx(0.3, abs=0.02)
    assert np.mean([-each.high <= 0.3 <= -each.low for each in found]) >= 0.89
    assert np.mean([each.p <= 0.05 for each in found]) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("statistic", [AUROC, ECE])
def test_statistics_that_are_no_means_are_compared_at_their_rates(statistic):
    found = [
        difference(
            statistic,
            items(2 * seed, n_questions=40, per_question=2),
            items(2 * seed + 1, n_questions=40, per_question=2),
            swaps=199,
            seed=0,
        )
        for seed in range(SEEDS)
    ]
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.89
    assert np.mean([each.p <= 0.05 for each in found]) <= 0.05 + 0.06


@pytest.mark.slow
def test_holm_keeps_the_family_wise_rate():
    """Four comparisons of runs without a difference: any is found in at most 5% of the seeds."""
    some = []
    for seed in range(SEEDS):
        pairs = [planted_pairs(1000 * seed + k, 30, 4, 0.0) for k in range(4)]
        p = [difference(RATIO, *each, swaps=199, seed=0).p for each in pairs]
        some.append((min(p) <= 0.05, min(holm(p)) <= 0.05))
    uncorrected, corrected = np.mean(some, axis=0)
    assert corrected <= 0.05 + 0.06
    assert uncorrected > 0.1  # what the correction is for
