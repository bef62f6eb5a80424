"""A planted model: one layer knows what is right, another only how long the trace is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from planted_states import DIFF_MEANS, WIDTH, cell, given, noise, planted
from scipy.stats import norm

from analysis.probes import probe
from analysis.probes.crossfit import cross_fit, fit_space, question_folds
from analysis.probes.estimators import DiffMeansProbe
from analysis.statistics import auroc, within_question_auroc
from analysis.statistics.shuffled_labels import shuffled, shuffled_within

KNOWS, MEASURES, EMPTY = 2, 4, 6


def lengths_of(questions: Any) -> Mapping[tuple[str, int], int]:
    """Wrong traces are longer, mostly."""
    random = np.random.default_rng(3)
    return {
        (name, i): int(np.exp(random.normal(3.5 + 0.8 * (answer != "1"), 0.4)))
        for name, (_, answers) in questions.items()
        for i, answer in enumerate(answers)
    }


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    questions = given(20, 8)
    lengths = lengths_of(questions)

    def knows(name: str, right: NDArray[np.bool_], random: Any) -> NDArray[np.floating]:
        made = random.normal(size=(len(right), WIDTH))
        made[:, 7] += 5 * right
        return made

    def measures(name: str, right: NDArray[np.bool_], random: Any) -> NDArray[np.floating]:
        made = random.normal(size=(len(right), WIDTH))
        made[:, 9] += 6 * np.log([lengths[name, i] for i in range(len(right))])
        return made

    run = planted(
        tmp_path_factory.mktemp("planted"),
        questions,
        {KNOWS: knows, MEASURES: measures, EMPTY: noise},
        lengths=lengths,
    )
    table = probe(run, positions=["pre_answer"], kind=DIFF_MEANS, embedder="tfidf", folds=4)
    return table, run.table("findings_probe")


def test_the_sweep_finds_the_layer_that_knows(swept: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, findings = swept
    best = table[table["best"]].iloc[0]
    assert best["layer"] == KNOWS
    assert best["within_question_auroc"] > 0.97
    assert best["within_low"] > best["length_within"]
    estimates = findings.set_index("measure")["estimate"]
    assert estimates["within_question_auroc"] > 0.97
    assert (findings["control"] - 0.5).abs().max() < 0.15
    assert (findings["length"] < findings["low"]).all()
    assert best["selectivity"] == best["auroc"] - best["control"]


def test_length_exposes_the_layer_that_only_measures(
    swept: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    long = cell(swept[0], "pre_answer", MEASURES)
    assert long["within_question_auroc"] > 0.8
    assert long["length_within"] >= long["within_low"]
    assert long["length"] >= long["auroc"]
    empty = cell(swept[0], "pre_answer", EMPTY)
    assert empty["within_low"] < 0.5 < empty["within_high"]


def by_difficulty(n_questions: int = 24, n_traces: int = 6) -> tuple[Any, Any, Any]:
    """Questions of different difficulty, vectors that say the difficulty and who is right."""
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(n_questions), n_traces)
    share = np.linspace(0.05, 0.95, n_questions)[groups]
    y = random.random(len(groups)) < share
    X = random.normal(size=(len(groups), 8))
    X[:, 0] += 8 * share
    X[:, 1] += 2 * y
    return X, y, groups


@pytest.mark.slow
def test_shuffled_labels_are_worth_one_half_over_seeds() -> None:
    X, y, groups = by_difficulty()
    every = np.arange(len(y))
    found: dict[str, list[float]] = {"all": [], "within": [], "within pooled": []}
    for seed in range(50):
        fold = question_folds(y, groups, 4, seed)
        labels = [shuffled(y, seed), shuffled_within(y, groups, seed)]
        scores = cross_fit(DiffMeansProbe, X, every, labels, groups, fold, 4, seed).scores
        found["all"].append(auroc(labels[0], scores[0]))
        found["within"].append(within_question_auroc(labels[1], scores[1], groups, draws=1)[0])
        found["within pooled"].append(auroc(labels[1], scores[1]))
    for name in ("all", "within"):
        mean, error = np.mean(found[name]), np.std(found[name], ddof=1) / np.sqrt(50)
        assert abs(mean - 0.5) < norm.ppf(0.995) * error, name
    by_share = auroc(y, np.linspace(0.05, 0.95, 24)[groups])
    assert np.mean(found["within pooled"]) == pytest.approx(by_share, abs=0.06)


def test_difference_of_means_of_two_gaussians() -> None:
    random = np.random.default_rng(0)
    d, n, width = 1.5, 20_000, 5
    true = np.array([3.0, 0.0, -4.0, 0.0, 0.0]) / 5
    y = np.arange(n) % 2 == 0
    X = random.normal(size=(n, width)) + d * y[:, None] * true
    space = fit_space(X, None, 0)
    made = DiffMeansProbe().fit(space.place(X), y, np.arange(n) // 10)
    weight = made.layers_[0][0][:, 0] / space.scale
    # whitening each coordinate by its own spread turns the direction a little
    assert weight @ true / np.linalg.norm(weight) > 0.98
    unseen = random.normal(size=(n, width)) + d * y[:, None] * true
    scores = made.predict_proba(space.place(unseen))[:, 1]
    assert auroc(y, scores) == pytest.approx(norm.cdf(d / np.sqrt(2)), abs=0.01)
    assert scores[y].mean() == pytest.approx(1 - scores[~y].mean(), abs=0.01)
