"""Methods find the directions that states were made of, and keep the contract."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from planted_features import ACTIVE, N, matched, noise, states

from analysis.state_features import check_features
from analysis.state_features.contract import (
    Dictionary,
    Training,
    linear,
    nonnegative_values,
    unit_rows,
)
from analysis.state_features.linear import pca, random_features
from analysis.state_features.measuring import (
    at_same_rank,
    false_discovery,
    measure_features,
    permutation_p,
    trace_scores,
    unexplained,
)
from analysis.state_features.snmf import snmf
from analysis.state_features.token_counts import bag_of_tokens_r2, token_counts, top_tokens
from analysis.state_features.topk import topk
from cot.errors import InputError

QUICK = ("snmf:iterations=20,restarts=1", "topk:k=2,steps=60,restarts=1", "pca", "cav")


@pytest.mark.parametrize("spec", QUICK)
def test_built_in_methods_keep_the_contract(spec: str) -> None:
    check_features(spec)


@pytest.mark.parametrize("seed", range(3))
def test_semi_nmf_recovers_planted_features(seed: int) -> None:
    training = states(seed)
    made = snmf(training, n_features=N, seed=seed)
    assert matched(made.directions).min() > 0.9
    on = made.encode(training.vectors) > 0
    assert 0 < on.mean() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_topk_recovers_planted_features(seed: int) -> None:
    training = states(seed)
    made = topk(training, n_features=N, seed=seed, k=ACTIVE, steps=300)
    assert matched(made.directions).min() > 0.9
    values = made.encode(training.vectors)
    assert (values > 0).sum(axis=1).max() <= ACTIVE


def test_principal_components_and_random_directions_do_not_recover_them() -> None:
    training = states(0)
    assert matched(pca(training, n_features=N, seed=0).directions).min() < 0.9
    width = training.vectors.shape[1]
    assert matched(random_features(width, n_features=N, seed=0).directions).max() < 0.9


@pytest.mark.slow
def test_noise_gives_nothing_significant() -> None:
    """Over 50 seeds; a test at 5 % calls something in at most 6 of 50 seeds but for 1 in 80."""
    called = {"snmf": 0, "topk": 0}
    for seed in range(50):
        training, unseen = noise(seed, 120), noise(1000 + seed, 160)
        made = {
            "snmf": snmf(training, n_features=4, seed=seed, iterations=10, restarts=1),
            "topk": topk(training, n_features=4, seed=seed, k=2, steps=30, restarts=1),
        }
        y = np.random.default_rng(seed).random(80) < 0.5
        for name, each in made.items():
            _, scores = trace_scores(each.encode(unseen.vectors), unseen.traces)
            groups = unseen.questions[::2]
            p = permutation_p(scores, y, groups, seed)
            called[name] += bool((false_discovery(p) <= 0.05).any())
    assert max(called.values()) <= 6, called


def test_non_negative_values_solve_their_problem() -> None:
    """Two directions at 60°: a state along the second alone, and one that points away."""
    D = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    x = np.array([2 * D[0] + 3 * D[1], 3 * D[1], -D[0], [0.0, 1.0]])
    values = nonnegative_values(x, D)
    # the last state projects on the second direction, at the length √0.75
    expected = [[2, 3], [0, 3], [0, 0], [0, np.sqrt(0.75)]]
    assert np.allclose(values, expected, atol=1e-9)
    assert (values[2] == 0).all()
    # a penalty takes as much off a lone value
    assert nonnegative_values(x[1:2], D[1:], penalty=0.5)[0, 0] == pytest.approx(2.5)


def test_topk_keeps_the_largest_values() -> None:
    made = Dictionary(
        encoding="topk",
        directions=np.eye(3),
        offset=np.array([1.0, 0, 0]),
        encoder=np.eye(3),
        bias=np.array([0.0, 0, 1]),
        active=1,
    )
    assert made.encode(np.array([[4.0, 2, -5], [0, -1, -9]])).tolist() == [[3, 0, 0], [0, 0, 0]]
    assert made.decode(np.array([[3.0, 0, 0]])).tolist() == [[4, 0, 0]]


def test_what_is_not_reconstructed_is_a_share_of_each_question() -> None:
    made = linear(np.array([[1.0, 0.0]]), np.zeros(2))
    vectors = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
    shares = unexplained(made, vectors, ["a", "b", "c"])
    assert shares.to_dict() == {"a": pytest.approx(16 / 25), "b": 0.0}


def test_p_is_the_share_of_shuffles_that_tell_as_much() -> None:
    """One question, two right and two wrong: 2 of the 6 labellings rank as far from 0.5."""
    scores = np.array([[4.0, 1.0], [3.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    y, groups = np.array([True, True, False, False]), np.zeros(4)
    p = permutation_p(scores, y, groups, seed=0)
    assert p[0] == pytest.approx(1 / 3, abs=0.03)
    assert p[1] == 1.0
    assert np.isnan(permutation_p(scores, np.ones(4, bool), groups, 0)).all()


def test_the_auroc_is_within_questions() -> None:
    scores = np.array([[2.0], [1.0], [9.0], [8.0]])
    table = measure_features(
        scores, np.array([True, False, True, False]), np.array(list("aabb")), 0
    )
    assert table["within_question_auroc"].tolist() == [1.0]
    assert table["n_within"].tolist() == [2]


def test_controls_are_compared_at_the_same_rank() -> None:
    found = at_same_rank(np.array([0.6, 0.1, np.nan]), np.array([0.5, 0.2, 0.55]))
    assert np.allclose(found[:2], [0.55, 0.2])
    assert np.isnan(found[2])


def test_q_counts_the_features() -> None:
    assert false_discovery(np.array([0.01, np.nan, 0.04])).tolist()[::2] == [0.02, 0.04]


def test_values_that_are_token_counts_are_predicted_and_others_are_not() -> None:
    random = np.random.default_rng(0)
    tokens = [random.integers(0, 5, size=8) for _ in range(200)]
    ids, counts = token_counts(tokens)
    assert set(ids) == set(range(5))
    assert counts.sum(axis=1).tolist() == [8] * 200
    own = counts[:, ids.tolist().index(3)]
    values = np.stack([own, random.normal(size=200), np.ones(200)], axis=1)
    r2 = bag_of_tokens_r2(counts, values, np.repeat(np.arange(20), 10), seed=0)
    assert r2[0] > 0.99
    assert r2[1] < 0.05
    assert np.isnan(r2[2])
    assert top_tokens(ids, counts, values, 4)[0]["token"].iloc[0] == 3


def test_a_question_does_not_predict_itself() -> None:
    """Each question has a token and a value of its own: nothing carries over to other questions."""
    tokens = [np.array([i // 10] * 3) for i in range(200)]
    values = np.random.default_rng(0).normal(size=20).repeat(10)[:, None]
    _, counts = token_counts(tokens)
    assert bag_of_tokens_r2(counts, values, np.repeat(np.arange(20), 10), 0)[0] < 0.05


def test_rare_tokens_are_not_counted() -> None:
    ids, counts = token_counts([np.array([1, 2]), np.array([1]), np.array([1]), np.array([9])])
    assert ids.tolist() == [1]
    assert counts[:, 0].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("fit", [snmf, partial(topk, steps=30, restarts=1)])
def test_more_features_than_states_are_harmless(fit: object) -> None:
    few = Training(
        vectors=unit_rows(np.eye(4)).astype(np.float32),
        questions=np.zeros(4),
        traces=np.arange(4),
    )
    made = fit(few, n_features=8, seed=0)  # type: ignore[operator]
    assert np.isfinite(made.encode(few.vectors)).all()


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="topk: k is 0"):
        topk(states(0, 40), n_features=2, seed=0, k=0)
    with pytest.raises(InputError, match="snmf: iterations is 0"):
        snmf(states(0, 40), n_features=2, seed=0, iterations=0)
