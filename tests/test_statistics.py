"""Against closed forms, scikit-learn, and cases small enough to count by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from analysis.statistics import (
    auroc,
    auroc_difference_interval,
    auroc_interval,
    auroc_per_question,
    mean_interval,
    resample,
    within_question_auroc,
)


def test_auroc_by_hand():
    # pairs (positive, negative): .8>.1, .8>.5, .5>.1, .5=.5 -> (3 + 1/2) / 4
    assert auroc([1, 1, 0, 0], [0.8, 0.5, 0.1, 0.5]) == pytest.approx(3.5 / 4)


def test_constant_score_is_chance_and_one_class_is_undefined():
    assert auroc([1, 0, 1], [2.0, 2.0, 2.0]) == 0.5
    assert np.isnan(auroc([1, 1], [0.1, 0.2]))
    assert np.isnan(auroc([], []))


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=40).filter(
        lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
    )
)
def test_auroc_equals_scikit_learn(rows):
    labels, scores = zip(*rows, strict=True)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_per_question_auroc_equals_each_question_alone():
    rng = np.random.default_rng(0)
    y, score, group = rng.random(300) < 0.4, rng.integers(0, 6, 300), rng.integers(0, 15, 300)
    values = auroc_per_question(y, score, group)
    for question, value in values.items():
        mine = group == question
        assert value == pytest.approx(roc_auc_score(y[mine], score[mine]))


def test_a_score_constant_within_questions_has_within_auroc_of_exactly_half():
    y, group = [1, 0, 1, 0, 0, 1], ["a", "a", "b", "b", "c", "c"]
    difficulty = {"a": 0.9, "b": 0.1, "c": 0.4}
    estimate, low, high, n = within_question_auroc(y, [difficulty[g] for g in group], group)
    assert (estimate, low, high, n) == (0.5, 0.5, 0.5, 3)


def test_questions_of_one_class_are_left_out():
    assert within_question_auroc([1, 1, 0, 0], [1, 2, 3, 4], ["a", "a", "b", "b"])[3] == 0


@pytest.mark.slow
def test_mean_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        low, high = mean_interval(rng.normal(0.3, 1, 60), seed=trial, draws=400)
        covered += low <= 0.3 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_mean_interval_matches_the_normal_approximation():
    values = np.random.default_rng(2).normal(0, 1, 2000)
    low, high = mean_interval(values)
    error = values.std() / np.sqrt(len(values))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_interval_resamples_questions_not_traces():
    # 20 questions of 50 equal traces: the interval is that of 20 values, not of 1000
    group = np.repeat(np.arange(20), 50)
    y = np.tile([0, 1], 500)
    score = np.repeat(np.random.default_rng(3).random(20), 50) * (2 * y - 1)
    low, high = auroc_interval(y, score, group)
    assert low <= auroc(y, score) <= high


def test_a_difference_of_aurocs_is_paired():
    """Two scores that rank the same have no difference, however uncertain each is; and the interval
    is that of the differences over the same draws."""
    rng = np.random.default_rng(4)
    y, score, group = rng.random(30) > 0.5, rng.random(30), np.arange(30)
    assert auroc_difference_interval(y, score, 2 * score + 1, group) == (0, 0)
    other = rng.random(30)
    drawn = []
    for counts in resample(30, seed=5):
        rows = np.repeat(group, counts)
        drawn.append(auroc(y[rows], score[rows]) - auroc(y[rows], other[rows]))
    expected = np.nanquantile(drawn, [0.025, 0.975])
    assert auroc_difference_interval(y, score, other, group, seed=5) == pytest.approx(expected)


def test_nan_is_refused_rather_than_averaged():
    with pytest.raises(ValueError, match="undefined"):
        mean_interval([0.0, np.nan])
    with pytest.raises(ValueError, match="NaN"):
        auroc([1, 0], [np.nan, 0.0])


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 5))
def test_every_draw_holds_as_many_questions_as_there_are(n, seed):
    counts = resample(n, draws=20, seed=seed)
    assert counts.shape == (20, n)
    assert (counts.sum(axis=1) == n).all()
