"""The curve against enumeration of all subsets, and exact at both ends."""

from itertools import combinations

import numpy as np
import pytest

import analysis
from analysis.curves import expected_accuracy
from cot.errors import InputError
from tests.small import run_with_answers


def enumerate_subsets(classes, gold, n):
    """Expected credit over all n-subsets: 1 / (number tied) if gold is among the most frequent."""
    credit = []
    for chosen in combinations(classes, n):
        counts = {c: chosen.count(c) for c in chosen if c >= 0}
        top = [c for c in counts if counts[c] == max(counts.values())]
        credit.append((gold in top) / len(top) if top else 0.0)
    return np.mean(credit)


@pytest.mark.parametrize(
    "classes",
    [(0, 0, 1, 1, 2, 0), (0, 1, 2, 3, -1, -1), (1, 1, 1, 0, 0, -1), (-1, -1, -1, 0, 0, 1)],
)
def test_equals_enumeration(classes):
    counts = [1, 2, 3, 4, 5]
    values = expected_accuracy(
        np.array(classes), np.ones(6), 0, counts, "random", 20_000, np.random.default_rng(0)
    )
    expected = [enumerate_subsets(classes, 0, n) for n in counts]
    assert values[0] == pytest.approx(expected[0], abs=1e-12)
    assert values == pytest.approx(expected, abs=0.015)


def test_ends_are_the_single_trace_and_the_vote(tmp_path):
    run = run_with_answers(
        tmp_path, {"a": ("7", ["8", "7", "7", "8"]), "b": ("1", ["1", "2", "1", None])}
    )
    points = analysis.curve(run, n=[1, 4]).set_index("n")
    findings = (analysis.vote(run), run.table("findings_vote").set_index("name"))[1]
    assert points.loc[1, "accuracy"] == findings.loc["single", "estimate"] == 0.5
    # a is a tie, which falls to the first trace's answer: wrong
    assert points.loc[4, "accuracy"] == findings.loc["majority", "estimate"] == 0.5


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
    one, again, other = (analysis.curve(run, n=[3], seed=seed)["accuracy"][0] for seed in (0, 0, 1))
    assert one == again != other


@pytest.mark.parametrize("n", [[0], [5], [-1, 2]])
def test_n_out_of_range(tmp_path, n):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    with pytest.raises(InputError, match="between 1 and 2"):
        analysis.curve(run, n=n)
