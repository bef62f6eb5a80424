"""Latent answers, their agreement and the candidates, against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.logit_lens.inputs import find_candidates
from analysis.logit_lens.latent_answers import (
    agreement,
    answer_shares,
    calibrate,
    commitment,
    consistency,
    emergence,
    probabilities,
)

LATENT = np.array([[0, 1, 1, 2, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [0, 0, 1, 0, 0]])


def test_consistency_leaves_the_ends_out_unless_asked() -> None:
    np.testing.assert_allclose(consistency(LATENT), [2 / 3, 1, 0, 2 / 3])
    np.testing.assert_allclose(consistency(LATENT, ends=True), [3 / 5, 1, 1 / 5, 4 / 5])
    assert np.isnan(consistency(np.array([[0, 1]]))).all()


def test_commitment_is_the_layer_from_which_nothing_changes() -> None:
    assert commitment(LATENT).tolist() == [4, 0, 4, 3]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_commitment_by_its_definition(layers: list[int]) -> None:
    expected = next(k for k in range(len(layers)) if set(layers[k:]) == {layers[-1]})
    assert commitment(np.array([layers])).tolist() == [expected]


def test_emergence_is_the_step_from_which_the_answer_stays() -> None:
    for steps, expected in (([0, 1, 1], 1), ([1, 1], 0), ([1, 0], 2), ([], 0)):
        latent, numbers = np.array(steps, int), np.arange(len(steps))
        assert emergence(latent, 1, numbers, len(steps)) == expected
        # with every second step read: steps keep their numbers
        assert emergence(latent, 1, 2 * numbers, 2 * len(steps)) == 2 * expected


def test_agreement_with_oneself_and_with_another() -> None:
    latent = np.array([[0, 0], [1, 1], [0, 1]])
    shares = answer_shares(latent, 2)
    np.testing.assert_allclose(shares, [[1, 0], [0, 1], [0.5, 0.5]])
    own, other = agreement(shares, np.array([0, 1, 1]))
    assert own == pytest.approx((1 + 1 + 0.5) / 3)
    pairs = [0 + 0, 0 + 1, 0.5 + 0.5]  # each trace's looks against the other two's last words
    assert other == pytest.approx(sum(pairs) / 6)
    assert np.isnan(agreement(shares[:1], np.array([0]))[1])


def test_layers_that_know_only_the_question_agree_no_more_than_the_control() -> None:
    random = np.random.default_rng(0)
    own, other = agreement(
        answer_shares(random.integers(0, 3, (400, 30)), 3), random.integers(0, 3, 400)
    )
    assert own == pytest.approx(other, abs=0.02)
    assert other == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("n", [8, 9])
def test_of_two_candidates_quantiles_are_the_median_threshold(n: int) -> None:
    random = np.random.default_rng(n)
    yes = random.beta(5, 1, (n, 4))  # most layers favour yes, whatever is asked
    questions = [np.stack([part, 1 - part], axis=2) for part in np.split(yes, [3])]
    made = calibrate(questions, [((7,), (9,))] * 2)
    says_yes = np.concatenate(made).argmax(axis=2) == 0
    above = yes > np.median(yes, axis=0)
    at = yes == np.median(yes, axis=0)  # the middle one of nine: a tie, the first candidate's
    np.testing.assert_array_equal(says_yes, above | at)
    assert (yes > 0.5).mean() > 0.9


def test_calibration_takes_off_what_a_layer_always_says() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(600, 1, 3))
    plain = probabilities(logits).argmax(axis=2)
    biased = probabilities(logits + np.array([0, 0, 3.0]))
    assert (biased.argmax(axis=2) == 2).mean() > 0.85
    keys = [((1,), (2,), (3, 4))] * 2
    parts = calibrate(np.split(biased, 2), keys)
    made = np.concatenate(parts).argmax(axis=2)
    assert np.bincount(made.ravel(), minlength=3).min() > 150
    assert (made == plain).mean() > 0.75


def test_a_probability_counts_for_as_much_as_there_are_candidates() -> None:
    two = np.full((1, 1, 2), 0.5)
    nine = np.full((1, 1, 9), 0.06)
    nine[..., 0] = 0.52
    quantiles = calibrate([two, nine], [((1,), (2,)), tuple((k,) for k in range(1, 10))])
    assert quantiles[1][0, 0, 0] > quantiles[0][0, 0, 0]


def stated(pairs: list[tuple[str, int | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["answer", "token"]).astype({"token": "Int64"})
    return frame.assign(question_id="q")


def test_answers_that_begin_alike_are_one_candidate() -> None:
    made = find_candidates(stated([("12", 1), ("7", 7), ("14", 1), ("14", 1), ("70", 7)]))["q"]
    assert made.names == ("14", "7")
    assert made.tokens == ((1,), (7,))
    assert made.member == {"12": 0, "14": 0, "7": 1, "70": 1}
    assert not made.separable


def test_an_answer_that_begins_in_two_ways_joins_what_begins_with_either() -> None:
    made = find_candidates(stated([("a", 1), ("b", 2), ("c", 1), ("c", 2), ("d", 3)]))["q"]
    assert made.names == ("c", "d")
    assert made.tokens == ((1, 2), (3,))
    assert not made.separable
    apart = find_candidates(stated([("5", 5), ("5", 55), ("6", 6), ("9", None)]))["q"]
    assert apart.names == ("5", "6")
    assert apart.tokens == ((5, 55), (6,))
    assert apart.separable
    assert "9" not in apart.member
