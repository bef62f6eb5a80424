"""Hand-worked votes, and what every rule must satisfy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis.answer_table import ballots_of
from analysis.findings import pick
from analysis.voting.tally import tally
from cot.errors import InputError
from tests.small import answers_of, run_with_answers

BALLOTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3)), min_size=1
)


def frame(rows):
    """question, answer rows -> ballots in order."""
    table = pd.DataFrame(rows, columns=["question_id", "answer"])
    return table.assign(sample_index=table.groupby("question_id").cumcount())


def test_by_hand():
    ballots = frame([("a", "7"), ("a", "8"), ("a", "8"), ("b", "1")])
    outcome = tally(ballots, np.ones(4)).set_index("question_id")
    assert outcome.loc["a"].to_dict() == {
        "answer": "8",
        "share": pytest.approx(2 / 3),
        "margin": pytest.approx(1 / 3),
        "tied": False,
        "n_ballots": 3,
    }
    assert outcome.loc["b", ["answer", "share", "margin"]].to_list() == ["1", 1.0, 1.0]


def test_a_tie_is_declared_and_falls_to_the_lowest_sample_index():
    ballots = pd.DataFrame(
        {"question_id": "a", "sample_index": [3, 1, 2, 0], "answer": ["x", "y", "x", "y"]}
    )
    outcome = tally(ballots, np.ones(4)).iloc[0]
    assert (outcome["answer"], outcome["tied"], outcome["margin"]) == ("y", True, 0.0)


def test_weights_that_differ_by_rounding_are_tied():
    ballots = frame([("a", "y")] + [("a", "x")] * 3)
    outcome = tally(ballots, np.array([0.3, 0.1, 0.1, 0.1])).iloc[0]
    assert outcome["tied"]
    assert outcome["answer"] == "y"


def test_weights_all_zero_count_as_equal():
    ballots = frame([("a", "x"), ("a", "y"), ("a", "y")])
    assert tally(ballots, np.zeros(3)).iloc[0]["answer"] == "y"


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_refused(bad):
    with pytest.raises(ValueError, match="finite and not negative"):
        tally(frame([("a", "x")]), np.array([bad]))


def test_no_ballots():
    assert tally(frame([]), np.zeros(0)).empty


@pytest.mark.slow
@settings(deadline=None)
@given(BALLOTS, st.randoms())
def test_order_free_and_scale_free(rows, random):
    ballots = frame([(question, answer) for question, answer, _ in rows])
    weights = np.array([float(weight) for *_, weight in rows])
    order = list(range(len(rows)))
    random.shuffle(order)
    plain = tally(ballots, weights).set_index("question_id").sort_index()
    mixed = tally(ballots.iloc[order], weights[order] * 7).set_index("question_id").sort_index()
    pd.testing.assert_frame_equal(plain, mixed)


@pytest.mark.slow
@settings(deadline=None)
@given(BALLOTS)
def test_equals_counting_by_hand(rows):
    ballots = frame([(question, answer) for question, answer, _ in rows])
    weights = np.array([1.0 + weight for *_, weight in rows])
    outcome = tally(ballots, weights).set_index("question_id")
    for question, mine in ballots.assign(weight=weights).groupby("question_id"):
        sums = mine.groupby("answer")["weight"].sum()
        top = set(sums[sums == sums.max()].index)
        winner = next(a for a in mine.sort_values("sample_index")["answer"] if a in top)
        assert outcome.loc[question, "answer"] == winner
        assert outcome.loc[question, "tied"] == (len(top) > 1)
        assert outcome.loc[question, "share"] == pytest.approx(sums.max() / sums.sum())


def test_vote_on_a_run(tmp_path):
    run = run_with_answers(
        tmp_path,
        {
            "a": ("7", ["7", "7", "8", None]),  # majority right; one trace without an answer
            "b": ("1", ["2", "1", "3", "2"]),  # majority wrong
            "c": ("5", [None, None, None, None]),  # abstains
            "d": (None, ["4", "4", "4", "4"]),  # no gold
        },
    )
    votes = analysis.vote(run).set_index("question_id")
    assert votes.loc["a", ["answer", "n_ballots", "n_excluded", "correct"]].to_list() == [
        "7", 3, 1, True,
    ]  # fmt: skip
    assert not votes.loc["b", "correct"]
    assert votes.loc["c", "abstained"]
    assert not votes.loc["c", "correct"]
    assert votes["expected_accuracy"].fillna(-1).to_list() == [1.0, 0.0, 0.0, -1]
    assert pd.isna(votes.loc["d", "correct"])
    findings = run.table("findings_vote")
    majority = pick(findings, "accuracy", "majority")
    assert majority["estimate"] == majority["random_tie"] == pytest.approx(1 / 3)
    single = pick(findings, "accuracy", "single")
    assert single["estimate"] == pytest.approx((2 / 4 + 1 / 4 + 0) / 3)
    counts = ["n_questions", "n_excluded", "abstained", "excluded"]
    assert majority[counts].to_list() == [3, 1, 1, 5]
    gain = pick(findings, "accuracy", "majority", "single")
    assert gain["estimate"] == pytest.approx(1 / 3 - 1 / 4)


def test_missing_answers_never_vote():
    answers = answers_of({"a": ("7", [None, "7", None])})
    assert ballots_of(answers)["sample_index"].to_list() == [1]


def test_unknown_rule_lists_the_valid_ones(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7"])})
    with pytest.raises(InputError, match=r"unknown vote rule 'mojority': choose from .*majority"):
        analysis.vote(run, rule=["mojority"])
