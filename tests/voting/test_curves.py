"""The curve against enumeration of all subsets, and exact at both ends."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis.curves.expected_accuracies import PASS, expected_accuracy
from analysis.findings import pick
from analysis.voting import load_rule
from cot.errors import InputError
from tests.small import run_with_answers

COMPARED = ["curve", "accuracy", PASS, "majority"]


def enumerate_subsets(classes, gold, n):
    """Expected accuracy over all n-subsets; a tie is broken at random."""
    values = []
    for chosen in combinations(classes, n):
        counts = {c: chosen.count(c) for c in chosen if c >= 0}
        top = [c for c in counts if counts[c] == max(counts.values())]
        values.append((gold in top) / len(top) if top else 0.0)
    return np.mean(values)


def traces(classes, gold=0):
    """One question's rows of an answers table; class -1 has no valid answer."""
    return pd.DataFrame(
        {
            "question_id": "a",
            "sample_index": range(len(classes)),
            "answer": [str(label) if label >= 0 else None for label in classes],
            "status": ["ok" if label >= 0 else "missing" for label in classes],
            "correct": [label == gold for label in classes],
        }
    )


def equal(ballots: pd.DataFrame, weight: float = 1.0):
    """Majority, without saying so: its curve is drawn by subsets."""
    return np.full(len(ballots), weight)


@pytest.mark.parametrize(
    "classes",
    [
        (0, 0, 1, 1, 2, 0),
        (0, 1, 2, 3, -1, -1),
        (1, 1, 1, 0, 0, -1),
        (-1, -1, -1, 0, 0, 1),
        (0, 0, 0, 1, 1, 2, 2, 3, -1),
        (1, 1, 2),
    ],
)
def test_equals_enumeration(classes):
    counts = list(range(1, len(classes)))
    expected = [enumerate_subsets(classes, 0, n) for n in counts]
    exact = expected_accuracy(traces(classes), load_rule("majority"), counts)
    assert exact.loc["a"].to_list() == pytest.approx(expected, abs=1e-12)
    rule = load_rule("tests.voting.test_curves:equal")
    drawn = expected_accuracy(traces(classes), rule, counts, subsets=5000)
    assert drawn.loc["a"].to_list() == pytest.approx(expected, abs=0.03)


@pytest.mark.slow
@given(st.lists(st.integers(-1, 3), min_size=2, max_size=7))
@settings(deadline=None)
def test_the_exact_curve_equals_enumeration(classes):
    counts = list(range(1, len(classes)))
    exact = expected_accuracy(traces(classes), load_rule("majority"), counts)
    expected = [enumerate_subsets(tuple(classes), 0, n) for n in counts]
    assert exact.loc["a"].to_list() == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_by_enumeration():
    classes = (0, 1, 0, -1, 2)
    values = expected_accuracy(traces(classes), PASS, [1, 2, 3, 4, 5]).loc["a"]
    for n in range(1, 6):
        share = np.mean([0 in chosen for chosen in combinations(classes, n)])
        assert values[n] == pytest.approx(share)
    assert values[2] == pytest.approx(1 - 3 / 10)  # C(3, 2) / C(5, 2)
    in_order = expected_accuracy(traces((1, 1, 0, 1)), PASS, [1, 2, 3], order="file").loc["a"]
    assert in_order.to_list() == [0.0, 0.0, 1.0]


def test_many_traces_are_drawn_in_subsets():
    many = traces([0] * 100 + [1] * 60)
    value = expected_accuracy(many, load_rule("majority"), [21])
    from scipy.stats import hypergeom

    assert value.loc["a", 21] == pytest.approx(hypergeom(160, 100, 21).sf(10), abs=0.08)


def test_ends_are_the_single_trace_and_the_vote(tmp_path):
    run = run_with_answers(
        tmp_path, {"a": ("7", ["8", "7", "7", "8"]), "b": ("1", ["1", "2", "1", None])}
    )
    points = analysis.curve(run, n=[1, 4]).set_index("n")
    analysis.vote(run)
    findings = run.table("findings_vote")
    assert points.loc[1, "accuracy"] == pick(findings, "accuracy", "single")["estimate"] == 0.5
    # a is a tie, which falls to the first trace's answer: wrong
    assert points.loc[4, "accuracy"] == pick(findings, "accuracy", "majority")["estimate"] == 0.5


def test_a_text_stands_for_a_list_of_one_rule(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["8", "7", "7", "8"])})
    assert analysis.curve(run, "majority", n=4).equals(analysis.curve(run, ["majority"], n=[4]))
    assert analysis.vote(run, "majority").equals(analysis.vote(run, ["majority"]))
    assert run.provenance("votes").parameters["rule"] == ["majority"]


@pytest.mark.parametrize("rule", ["mojority", ["majority", "mojority"]])
def test_an_unknown_rule_is_refused_with_the_valid_ones(tmp_path, rule):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    for analyse in (analysis.vote, analysis.curve):
        with pytest.raises(InputError, match=r"unknown vote rule .mojority"):
            analyse(run, rule)


def test_file_order_takes_the_first_n(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["8", "7", "7", "7"])})
    points = analysis.curve(run, n=[1, 2, 3], order="file").set_index("n")["accuracy"]
    assert points.to_list() == [0.0, 0.0, 1.0]


def test_a_question_with_fewer_traces_is_left_out_and_counted(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "7", "8"]), "b": ("1", ["2"])})
    points = analysis.curve(run, n=[1, 3]).set_index("n")
    assert points.loc[3, ["accuracy", "n_questions", "n_excluded"]].to_list() == [1.0, 1, 1]


def test_seed_decides_the_subsets(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8", "7", "9", "8", "7"])})
    rule = "tests.voting.test_curves:equal"
    one, again, other = (
        analysis.curve(run, [rule], n=[3], seed=seed)["accuracy"][0] for seed in (0, 0, 1)
    )
    assert one == again != other


def test_two_rules_are_compared_question_by_question(tmp_path):
    run = run_with_answers(
        tmp_path, {"a": ("7", ["8", "7", "7", "8"]), "b": ("1", ["1", "2", "1", None])}
    )
    analysis.curve(run, ["majority", PASS], n=[2, 4])
    gains = run.table("findings_curve")
    assert (gains[["analysis", "measure", "subject", "baseline"]] == COMPARED).all(axis=None)
    gains = gains.set_index("n")["estimate"]
    # b: {1,2} and {2,1} tie, {1,1}, {1,-} twice right, {2,-} wrong; a: 4 of 6 tie, one is right
    assert gains[2] == pytest.approx(
        ((5 / 6 - (1 + 4 / 2) / 6) + (5 / 6 - (1 + 2 + 2 / 2) / 6)) / 2
    )
    assert gains[4] == 0.5


@pytest.mark.slow
def test_two_runs_are_compared_on_the_questions_that_both_have(tmp_path):
    one = run_with_answers(
        tmp_path / "one", {"a": ("7", ["7", "7", "7"]), "b": ("1", ["2", "1", "2"])}
    )
    other = run_with_answers(
        tmp_path / "other", {"b": ("1", ["1", "1", "1"]), "c": ("5", ["5", "5", "5"])}
    )
    for run in (one, other):
        analysis.curve(run, ["majority"], n=[3])
    table = analysis.compare(one, [other.path], family=["curve"])
    row = table[(table["subject"] == "majority") & (table["n_samples"] == 3)].iloc[0]
    assert row[["value", "other", "estimate"]].to_list() == [1.0, 0.0, 1.0]
    assert row[["n_questions", "n_excluded"]].to_list() == [1, 2]


def test_a_rule_that_asks_about_all_traces_has_no_curve(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8", "7"])})
    with pytest.raises(InputError, match="has no curve"):
        analysis.curve(run, ["universal"])


@pytest.mark.parametrize("n", [[0], [5], [-1, 2]])
def test_n_out_of_range(tmp_path, n):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    with pytest.raises(InputError, match="between 1 and 2"):
        analysis.curve(run, n=n)
