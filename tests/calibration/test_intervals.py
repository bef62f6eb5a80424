"""Intervals over resampled questions: against plain resampling, in bounded memory."""

import numpy as np
import pytest

from analysis.statistics import auroc, auroc_interval, ranking, ratio_interval, resample


def data(n_questions=30, n=20, seed=0):
    rng = np.random.default_rng(seed)
    question = np.repeat(np.arange(n_questions), n)
    y = rng.random(len(question)) < np.repeat(rng.random(n_questions), n)
    return y, np.round(y + rng.normal(0, 1.5, len(y)), 1), question


def test_auroc_interval_is_that_of_resampled_questions():
    y, score, question = data()
    values = []
    for counts in resample(30, draws=50, seed=1):
        rows = np.repeat(np.arange(len(y)), counts[question])
        values.append(auroc(y[rows], score[rows]))
    found = auroc_interval(y, score, question, draws=50, seed=1)
    assert found == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_ratio_interval_is_that_of_resampled_questions():
    above, below = np.array([3.0, 0.0, 5.0]), np.array([4.0, 0.0, 9.0])
    counts = resample(3, draws=200, seed=2)
    sums = [(row @ above, row @ below) for row in counts]
    values = [one / other for one, other in sums if other]
    found = ratio_interval(above, below, draws=200, seed=2)
    assert found == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert np.isnan(ratio_interval([], [])).all()


@pytest.mark.slow
def test_merging_levels_and_chunking_draws_hardly_move_an_interval(monkeypatch):
    y, score, question = data(n=200)
    score = score + np.random.default_rng(3).random(len(y)) * 0.1
    whole = auroc_interval(y, score, question)
    monkeypatch.setattr(ranking, "CELLS", 1)
    assert auroc_interval(y, score, question) == whole
    monkeypatch.setattr(ranking, "LEVELS", 500)
    assert auroc_interval(y, score, question) == pytest.approx(whole, abs=1e-3)


def test_draws_are_shared_and_cannot_be_changed():
    counts = resample(4, draws=3, seed=5)
    assert resample(4, draws=3, seed=5) is counts
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 7
