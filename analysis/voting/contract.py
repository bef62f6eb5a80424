"""What every vote rule must do, as one check that you can call on your own.

def test_my_rule():
    check_vote_rule("my_package.rules:surest")
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.voting import outcomes
from analysis.voting.rule import Rule, load_rule

__all__ = ["ballots_for", "check_vote_rule"]


def check_vote_rule(spec: str, answers: pd.DataFrame | None = None, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that the rule breaks.

    Args:
        spec: the rule, as it is typed.
        answers: question_id, sample_index, answer, status, correct, group and the columns that the
            rule needs; made up from `seed` where not given.
    """
    rule = load_rule(spec)
    answers = ballots_for(rule, seed) if answers is None else answers
    before = answers.copy(deep=True)
    _weighs_each(answers, rule)
    votes = _vote(answers, rule)
    pd.testing.assert_frame_equal(answers, before)
    _is_free_of_order(answers, rule, votes, seed)
    _lets_no_missing_vote(answers, rule, votes)
    _lets_a_lone_ballot_win(answers, rule)
    _is_free_of_scale(answers, rule, votes)
    _keeps_questions_apart(answers, rule, votes)


def ballots_for(rule: Rule, seed: int, n_questions: int = 6, n_traces: int = 7) -> pd.DataFrame:
    """Made-up answers with the columns that a rule needs: some missing, some ties."""
    generator = np.random.default_rng(seed)
    n = n_questions * n_traces
    answers = pd.DataFrame(
        {
            "question_id": np.repeat([f"q{i}" for i in range(n_questions)], n_traces),
            "sample_index": np.tile(np.arange(n_traces), n_questions),
            "answer": generator.choice(["1", "2", "3"], size=n),
            "status": generator.choice(["ok", "missing"], size=n, p=[0.8, 0.2]),
        }
    )
    answers.loc[answers["status"] != "ok", "answer"] = None
    answers["correct"] = (answers["answer"] == "1").astype("boolean")
    answers["group"] = answers["question_id"]
    for name in rule.needs:
        answers[name] = _made_up(name, n, generator)
    return answers


def _made_up(name: str, n: int, generator: np.random.Generator) -> object:
    if name == "embedding" or name.startswith("state@"):
        return list(generator.normal(size=(n, 3)))
    if name in ("cluster", "n_reaching", "text_id"):
        return generator.integers(0, 3, size=n)
    if name == "chosen":
        return np.tile([1.0] + [0.0] * 6, n // 7)
    if name.endswith("logp"):
        return -generator.exponential(20, size=n)
    return generator.random(size=n)


def _vote(answers: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    return outcomes(answers, rule).set_index("question_id").sort_index()


def _weighs_each(answers: pd.DataFrame, rule: Rule) -> None:
    ballots = answers[answers["status"] == "ok"]
    weights = np.asarray(rule.weigh(ballots))
    assert weights.shape == (len(ballots),), f"{len(ballots)} ballots, weights {weights.shape}"
    known = weights[~np.isnan(weights)]
    assert np.isfinite(known).all(), "a weight is infinite"
    assert (known >= 0).all(), "a weight is negative"


def _is_free_of_order(answers: pd.DataFrame, rule: Rule, votes: pd.DataFrame, seed: int) -> None:
    shuffled = answers.sample(frac=1, random_state=seed)
    _assert_same(_vote(shuffled, rule), votes, "the order of the traces decides")


def _lets_no_missing_vote(answers: pd.DataFrame, rule: Rule, votes: pd.DataFrame) -> None:
    valid = answers[answers["status"] == "ok"]
    there = votes[~votes["abstained"] | votes.index.isin(valid["question_id"])]
    _assert_same(_vote(valid, rule), there, "a missing answer votes")


def _lets_a_lone_ballot_win(answers: pd.DataFrame, rule: Rule) -> None:
    alone = answers[answers["status"] == "ok"].drop_duplicates("question_id")
    weights = np.asarray(rule.weigh(alone))
    for (_, row), weight, (_, vote) in zip(
        alone.iterrows(), weights, outcomes(alone, rule).iterrows(), strict=True
    ):
        if not np.isnan(weight):
            assert vote["answer"] == row["answer"], "a lone ballot does not win"
            assert vote["share"] == 1.0


def _is_free_of_scale(answers: pd.DataFrame, rule: Rule, votes: pd.DataFrame) -> None:
    scaled = replace(rule, weigh=lambda ballots: np.asarray(rule.weigh(ballots)) * 1024.0)
    _assert_same(_vote(answers, scaled), votes, "the scale of the weights decides")


def _keeps_questions_apart(answers: pd.DataFrame, rule: Rule, votes: pd.DataFrame) -> None:
    if "fit=true" in rule.name:
        return  # fitted on other questions

    def apart(ballots: pd.DataFrame) -> NDArray[np.float64]:
        weights = np.empty(len(ballots))
        for rows in ballots.groupby("question_id").indices.values():
            weights[rows] = rule.weigh(ballots.iloc[rows])
        return weights

    alone = _vote(answers, replace(rule, weigh=apart))
    _assert_same(alone, votes, "another question's traces decide")


def _assert_same(found: pd.DataFrame, expected: pd.DataFrame, what: str) -> None:
    names = ["answer", "tied", "abstained", "n_ballots"]
    assert found[names].equals(expected[names]), what
    for name in ("share", "margin"):
        assert np.allclose(found[name], expected[name], equal_nan=True), what
