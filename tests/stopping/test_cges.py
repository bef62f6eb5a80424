"""CGES against Bayes' rule written out, hand-worked rows, and on runs with planted confidences."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis.answer_table import answers as extract_answers
from analysis.stopping.chances import chances
from cot.errors import InputError
from cot.importers import import_traces
from cot.stopping import make_rule
from cot.stopping.cges import Cges, posterior
from cot.stopping.codes import ENDED, MISSING
from tests.small import run_with_answers

SAMPLES = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, MISSING]), st.floats(0.02, 0.98)), min_size=1, max_size=9
)


def bayes(codes, chances):
    """The formula of the module, written out: class to probability, None the unseen answer."""
    given = [(code, c) for code, c in zip(codes, chances, strict=True) if code != MISSING]
    seen = list(dict.fromkeys(code for code, _ in given))
    joint = {
        answer: np.prod([c if code == answer else (1 - c) / len(seen) for code, c in given])
        for answer in [*seen, None]
    }
    return {answer: value / sum(joint.values()) for answer, value in joint.items()}


def replayed(rule, codes, chances, order=None):
    order = np.arange(len(codes))[None] if order is None else np.array(order)
    coded = np.where(order >= 0, np.array(codes, np.int16)[order], ENDED).astype(np.int16)
    found, tokens = rule.replay_traces(coded, order, np.array(chances, dtype=float))
    assert tokens is None
    return found.used.tolist(), found.stopped.tolist(), found.answer.tolist()


def test_two_answers_by_hand():
    found = posterior(np.log([[0.8 / 0.2, 0.6 / 0.4]]), np.array([[1, 1]]))
    np.testing.assert_allclose(found, [[2 / 3, 1 / 4]])
    assert bayes([0, 1], [0.8, 0.6]) == pytest.approx({0: 2 / 3, 1: 1 / 4, None: 1 / 12})


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.floats(0.3, 0.97))
def test_it_stops_where_bayes_rule_says(samples, threshold):
    codes, chances = zip(*samples, strict=True)
    used, stopped, answer = len(codes), False, MISSING
    for n in range(1, len(codes) + 1):
        given = {a: p for a, p in bayes(codes[:n], chances[:n]).items() if a is not None}
        answer = max(given, key=given.get, default=MISSING)
        if given and given[answer] >= threshold:
            used, stopped = n, True
            break
    found = replayed(Cges(threshold=threshold), codes, chances)
    assert found == ([used], [stopped], [answer])


def test_one_trace_is_as_sure_as_its_confidence():
    assert replayed(Cges(threshold=0.9), [0, 0], [0.9, 0.5]) == ([1], [True], [0])
    # two alike with .8: odds 16 to 1, 16/17 = .941
    assert replayed(Cges(threshold=0.94), [0, 0], [0.8, 0.8]) == ([2], [True], [0])
    assert replayed(Cges(threshold=0.95), [0, 0], [0.8, 0.8]) == ([2], [False], [0])


def test_a_sure_trace_outweighs_two_unsure_ones():
    # k = 2: "0" has 4 (.25)² = .25... of odds 1/3 each, "1" has 2 · 9
    used, stopped, answer = replayed(Cges(), [0, 0, 1], [0.25, 0.25, 0.9])
    assert (used, stopped, answer) == ([3], [False], [1])


def test_missing_answers_cost_a_sample_and_never_vote():
    chances = [np.nan, 0.97, 0.97]
    assert replayed(Cges(), [MISSING, 0, 0], chances) == ([2], [True], [0])
    assert replayed(Cges(), [MISSING, MISSING], [np.nan] * 2) == ([2], [False], [MISSING])


def test_equally_probable_answers_fall_to_the_one_that_appears_first():
    found = replayed(Cges(), [0, 1], [0.6, 0.6], [[0, 1], [1, 0]])
    assert found == ([2, 2], [False, False], [0, 1])


def test_without_a_stop_the_order_does_not_matter():
    codes, chances = [0, 1, 1, 2], [0.7, 0.55, 0.6, 0.4]
    orders = list(permutations(range(4)))
    used, stopped, answers = replayed(Cges(threshold=0.999), codes, chances, orders)
    assert set(answers) == {1}
    assert not any(stopped)
    assert set(used) == {4}


def test_rows_may_end_and_certainty_is_finite():
    found = replayed(Cges(), [0, 1], [1.0, 0.0], [[1, -1], [1, 0]])
    assert found == ([1, 2], [False, True], [1, 0])


def test_it_is_not_asked_online():
    with pytest.raises(InputError, match=r"calibrated confidence of each trace.*`cot stop`"):
        make_rule("cges")(())


# -- on runs


def confident_run(path, questions):
    """Imported traces with a number `c` each: question to (gold, [(answer, c)])."""
    lines = [
        {
            "question_id": name,
            "sample_index": index,
            "question": f"{name}?",
            "gold": gold,
            "text": f"The answer is {answer}." if answer else "I do not know.",
            **({} if c is None else {"c": c}),
        }
        for name, (gold, traces) in questions.items()
        for index, (answer, c) in enumerate(traces)
    ]
    (path / "traces.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return import_traces(path / "traces.jsonl", path / "run").run


def ten_questions(sure=3.0, unsure=-3.0, gold="7"):
    """In each, six sure traces of eight are right, and both unsure ones wrong."""
    traces = [("7", sure)] * 5 + [("8", sure)] + [("8", unsure)] * 2
    return {f"q{i}": (gold, traces) for i in range(10)}


def test_a_confidence_is_calibrated_on_other_questions(tmp_path):
    questions = ten_questions()
    questions["q0"] = ("7", [("8", 3.0)] * 8)
    run = confident_run(tmp_path, questions)
    answers = extract_answers(run)
    found = chances(run, answers, "c", fit=True)
    sure = answers["question_id"].ne("q0") & (np.arange(len(answers)) % 8 < 6)
    own = answers["question_id"].isin(["q0", "q5"])  # a fold: none of its traces is looked at
    np.testing.assert_allclose(found[sure & own], 5 / 6, atol=0.02)
    assert (found[~sure & ~answers["question_id"].eq("q0")] < 0.1).all()
    assert found[sure & ~own].max() < found[sure & own].min(), "q0 spoils the others"


def test_the_simulation_saves_samples_where_traces_are_sure(tmp_path):
    run = confident_run(tmp_path, ten_questions())
    table = analysis.stop(run, rule=["cges:confidence=c", "asc_beta"], order="file")
    mine = table[table["rule"] == "cges:confidence=c"]
    # 5/6 has odds of 5: two alike 25/26 = .96
    assert mine["n_used"].tolist() == [2] * 10
    assert mine["stopped"].all()
    assert mine["correct"].all()
    assert analysis.stop(run, rule=["cges:confidence=c"])["n_used"].tolist() == [2] * 10
    assert run.table("findings_stop")["saved"].iloc[0] > 0.5


def test_tokens_of_the_samples_used_are_counted(tmp_path):
    run = run_with_answers(tmp_path, {f"q{i}": ("7", ["7"] * 8) for i in range(5)})
    row = analysis.stop(run, rule=["cges"], order="file").iloc[0]
    # 32 right traces of 32 in the other questions: 33/34 at once
    assert row[["n_used", "tokens", "tokens_used", "answer"]].to_list() == [1, 24, 3, "7"]
    fixed = analysis.stop(run, rule=["cges:fit=false,threshold=0.7"], order="file").iloc[0]
    # exp(-1.75 / 3) = .558, odds 1.263: two alike 1.595 / 2.595 = .61, three .668, four .718
    assert fixed["n_used"] == 4


@pytest.mark.parametrize(
    ("spec", "questions", "said"),
    [
        ("cges:confidence=c", ten_questions(gold=None), "give them gold, or .* fit=false"),
        ("cges:confidence=c,fit=false", ten_questions(), "no probability .*-3 to 3.*fit=true"),
        ("cges:confidence=c", {"a": ("7", [("7", None), ("7", 1.0)])}, "1 of its 2 traces"),
        ("cges", ten_questions(), "no log-probabilities"),
    ],
)
def test_what_it_lacks_is_said(tmp_path, spec, questions, said):
    with pytest.raises(InputError, match=said):
        analysis.stop(confident_run(tmp_path, questions), rule=[spec])


def test_a_trace_without_an_answer_needs_no_confidence(tmp_path):
    questions = ten_questions()
    questions["q0"] = ("7", [(None, None), ("7", 3.0)])
    run = confident_run(tmp_path, questions)
    assert analysis.stop(run, rule=["cges:confidence=c"], order="file")["n_used"].iloc[0] == 2
