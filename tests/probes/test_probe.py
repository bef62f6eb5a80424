"""Probes on planted hidden states: what is there is found, what isn't there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_states import cell, direction, given, noise, planted
from written import write_table

import analysis.probes
from analysis.declaration import declared
from analysis.probes.crossfit import cross_fit, question_folds
from analysis.probes.estimators import LogisticProbe
from analysis.probes.probing import SHOWN
from analysis.probes.targets import Labels
from analysis.statistics import auroc, auroc_per_question, within_question_auroc
from analysis.statistics.shuffled_labels import shuffled, shuffled_within
from cot.errors import InputError
from cot.store.run import Run
from tests.small import run_with_answers


def probe(run: Run, **arguments: Any) -> pd.DataFrame:
    """Without the baseline that needs a model."""
    return analysis.probes.probe(run, **{"embedder": "tfidf", "folds": 2, **arguments})


@pytest.mark.slow
def test_a_planted_direction_is_found(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    table = probe(run, positions=["pre_answer"], folds=4)
    found = cell(table, "pre_answer")
    assert found["auroc"] > 0.95
    assert found["within_question_auroc"] > 0.95
    assert found["low"] <= found["auroc"] <= found["high"]
    assert found["best"]
    assert abs(found["control"] - 0.5) < 0.15
    assert abs(found["control_within"] - 0.5) < 0.15
    findings = run.table("findings_probe").set_index("measure")["estimate"]
    assert findings["within_question_auroc"] > 0.95
    scores = run.table("probe_scores")
    assert len(scores) == found["n_traces"]
    assert scores["score"].between(0, 1).all()


def test_a_verdict_on_the_direction_is_shown_where_there_is_one(tmp_path: Path) -> None:
    run = run_with_answers(tmp_path, {"a": ("1", ["1"])})
    names = [*declared(analysis.probes.probe).bind(), *SHOWN]
    table = pd.DataFrame([dict.fromkeys(names, 0.5)] * 2).assign(target="correct", tfidf=0.5)
    table = table.drop(columns="verdict").assign(best=[True, False])
    show = declared(analysis.probes.probe).show
    assert show is not None
    before = show(run, table)
    assert "verdict" not in before.tables[0][0]
    write_table(run, "answers", pd.DataFrame({"answer": ["1"]}))
    told = pd.DataFrame([{"target": "correct", "verdict": "causal"}])
    write_table(run, "probe_verdicts", told, inputs=["answers"])
    after = show(run, table)
    assert after.tables[0][0]["verdict"] == "causal"
    assert pd.isna(after.tables[0][1]["verdict"])
    assert after.json["probes"][0]["verdict"] == "causal"
    write_table(run, "answers", pd.DataFrame({"answer": ["2"]}))
    assert show(run, table) == before  # stale


@pytest.mark.slow
def test_prompt_end_cannot_tell_traces_of_a_question_apart(tmp_path: Path) -> None:
    found = cell(probe(planted(tmp_path, given(), direction)), "prompt_end")
    assert found["within_question_auroc"] == 0.5
    assert (found["within_low"], found["within_high"]) == (0.5, 0.5)
    assert found["n_within"] > 10


@pytest.mark.slow
def test_noise_is_nothing(tmp_path: Path) -> None:
    found = cell(probe(planted(tmp_path, given(24, 10), noise)), "pre_answer")
    for name in ("auroc", "within_question_auroc", "control", "control_within", "length"):
        assert abs(found[name] - 0.5) < 0.13, name


@pytest.mark.slow
def test_a_trace_beyond_the_gap_and_a_missing_answer_are_left_out(tmp_path: Path) -> None:
    questions = {**given(), "q00": ("1", ["1", "2", None, "1"]), "q01": (None, ["1", "2"])}
    run = planted(tmp_path, questions, direction, gaps={("q00", 0): 3.0})
    found = cell(probe(run), "pre_answer")
    n_traces = sum(len(answers) for _, answers in questions.values())
    assert found["n_traces"] == n_traces - 4
    assert found["n_excluded"] == 4


@pytest.mark.slow
def test_one_class_is_said_not_scored(tmp_path: Path) -> None:
    run = planted(tmp_path, given(share=2), direction)
    table = probe(run)
    assert table["auroc"].isna().all()
    assert table["method"].str.contains("all 128 rows are positive").all()
    assert not table["best"].any()
    assert run.table("findings_probe")["estimate"].isna().all()
    assert len(run.table("probe_scores")) == 0


def test_a_class_in_one_question_only_is_said() -> None:
    groups = np.repeat(["a", "b", "c"], 3)
    labels = Labels(target="correct", rows=pd.DataFrame())
    assert labels.undefined(groups == "a", groups) == "only one question has positives"
    assert labels.undefined(np.zeros(0, bool), groups[:0]) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "mood"}, "choose from correct"),
        ({"kind": "oracle"}, "choose from .*logistic"),
        ({"layers": [7]}, "there are layers 3 at prompt_end, pre_answer"),
        ({"positions": ["mean"]}, "'mean' was not captured"),
        ({"folds": 1}, "at least 2"),
    ],
)
def test_wrong_use_names_what_is_there(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    run = planted(tmp_path, given(4, 4), direction)
    with pytest.raises(InputError, match=message):
        probe(run, **arguments)


def leaky(n_questions: int = 40, n_traces: int = 6) -> tuple[Any, Any, Any]:
    """Labels constant in a question, and vectors that only say which question it is."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_questions), n_traces)
    y = (np.arange(n_questions) % 2 == 0)[groups]
    own = random.normal(size=(n_questions, 64))
    return own[groups] + 0.1 * random.normal(size=(len(groups), 64)), y, groups


@pytest.mark.slow
def test_whole_questions_keep_leakage_out() -> None:
    X, y, groups = leaky()
    every = np.arange(len(y))
    honest = cross_fit(LogisticProbe, X, every, [y], groups, question_folds(y, groups, 5), 5)
    assert abs(auroc(y, honest.scores[0]) - 0.5) < 0.2
    split = every % 5
    leaking = cross_fit(LogisticProbe, X, every, [y], every, split, 5)
    assert auroc(y, leaking.scores[0]) > 0.9


def test_a_fold_that_splits_a_question_is_refused() -> None:
    X, y, groups = leaky(6, 4)
    with pytest.raises(ValueError, match="several folds"):
        cross_fit(LogisticProbe, X, np.arange(24), [y], groups, np.arange(24) % 3, 3)


def test_folds_hold_whole_questions_and_both_classes() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    y = random.random(100) < 0.4
    fold = question_folds(y, groups, 5, seed=3)
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    assert all(len(set(fold[groups == group])) == 1 for group in range(20))
    assert all(0 < y[fold == number].sum() < (fold == number).sum() for number in range(5))
    assert question_folds(y[:10], groups[:10], 5).max() == 1
    assert (fold == question_folds(y, groups, 5, seed=3)).all()


def test_shuffles_keep_what_they_say() -> None:
    random = np.random.default_rng(0)
    groups = random.permutation(np.repeat(np.arange(30), 6))
    y = random.random(180) < groups / 30
    mixed, within = shuffled(y, 0), shuffled_within(y, groups, 0)
    assert mixed.sum() == y.sum()
    assert (within != y).any()
    for group in range(30):
        assert within[groups == group].sum() == y[groups == group].sum()
    assert auroc(within, groups) == pytest.approx(auroc(y, groups))
    assert abs(np.mean(auroc_per_question(within, y.astype(float), groups)) - 0.5) < 0.15


def test_traces_that_share_a_vector_share_a_score() -> None:
    X, y, groups = leaky(12, 5)
    y = np.arange(60) % 2 == 0
    fold = question_folds(y, groups, 4)
    fitted = cross_fit(LogisticProbe, X[::5], groups, [y], groups, fold, 4)
    assert within_question_auroc(y, fitted.scores[0], groups)[0] == 0.5
