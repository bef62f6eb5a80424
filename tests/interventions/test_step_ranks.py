"""Measures of a step's importance, joined and ranked, on tables small enough to work by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from written import write_table

from analysis.interventions.importance import join_importance, statements, step_importance
from analysis.interventions.step_ranks import rank_findings, rank_scores, weighted_spearman
from tests.small import run_with_answers


def knockouts(rows):
    """Rows of `interventions`: (question, trace, step, effect, controls' effects)."""
    made = []
    for question, trace, step, effect, controls in rows:
        key = {"question_id": question, "sample_index": trace, "step": step, "method": "knockout"}
        made.append({**key, "control": "", "draw": 0, "effect": effect})
        for draw, value in enumerate(controls):
            made.append({**key, "control": "random_span", "draw": draw, "effect": value})
    return pd.DataFrame(made).astype({"step": "Int64"})


def steps_of(numbers):
    """Table `steps`: (question, trace) to its reasoning steps; an answer's step follows."""
    rows = [
        {
            "question_id": q,
            "sample_index": i,
            "step": k,
            "part": "answer" if k == n else "reasoning",
        }
        for (q, i), n in numbers.items()
        for k in range(n + 1)
    ]
    return pd.DataFrame(rows)


def importance(values):
    """Table `step_importance`: {question: [trace's (knockout, resampling) by step, ...]}."""
    rows = []
    for question, traces in values.items():
        for index, pairs in enumerate(traces):
            for step, (knockout, resampling) in enumerate(pairs):
                rows.append(
                    {"question_id": question, "sample_index": index, "step": step}
                    | {"knockout": knockout, "knockout_control": 0.0, "resampling": resampling}
                    | {"knockout_reworded": np.nan}
                    | {"early_answering": np.nan, "position": step / max(1, len(pairs) - 1)}
                )
    return pd.DataFrame(rows)


def pick(findings, subject, measure="spearman", baseline=""):
    (found,) = [
        each
        for each in findings
        if (each.subject, each.measure, each.baseline) == (subject, measure, baseline)
    ]
    return found


def test_the_measures_are_joined_step_by_step():
    interventions = knockouts(
        [("a", 0, 0, 0.5, [0.1, 0.3]), ("a", 0, 1, 2.0, [0.0]), ("a", 0, 2, 0.1, [])]
    )
    patched = interventions.iloc[:1].assign(method="patching", effect=99.0)
    interventions = pd.concat([patched, interventions], ignore_index=True)
    key = {"question_id": "a", "sample_index": 0}
    resampled = pd.DataFrame(
        [
            {**key, "greedy": False, "test": "resampling:n=4", "step": 1, "importance": 0.7},
            {**key, "greedy": False, "test": "resampling", "step": 1, "importance": 9.0},
            {**key, "greedy": True, "test": "resampling:n=4", "step": 0, "importance": 9.0},
        ]
    )
    answers = ["3", "3", "7", None]  # after 0, 1, 2, 3 steps
    readings = pd.DataFrame(
        [
            {**key, "greedy": False, "test": "early_answering", "step": k, "answer": answer}
            for k, answer in enumerate(answers)
        ]
    )
    table = join_importance(interventions, steps_of({("a", 0): 3}), resampled, readings)
    assert table["step"].to_list() == [0, 1, 2]
    assert table["knockout"].to_list() == [0.5, 2.0, 0.1]
    assert table["knockout_control"].to_list()[:2] == [0.2, 0.0]
    assert np.isnan(table["knockout_control"].iloc[2])
    assert table["position"].to_list() == [0.0, 0.5, 1.0]
    assert table["resampling"].fillna(-1).to_list() == [-1, 0.7, -1]
    # The answer stays over step 0 and changes over step 1; after step 2 there is none.
    assert table["early_answering"].fillna(-1).to_list() == [0, 1, -1]


def test_a_step_is_counted_among_those_of_the_reasoning():
    """Step 0 stands outside the reasoning, so that the tests' first step is step 1."""
    steps = pd.DataFrame(
        {
            "question_id": "a",
            "sample_index": 0,
            "step": [0, 1, 2],
            "part": ["answer", *["reasoning"] * 2],
        }
    )
    row = {"question_id": "a", "sample_index": 0, "greedy": False, "test": "resampling"}
    resampled = pd.DataFrame([{**row, "step": 0, "importance": 0.7}])
    table = join_importance(knockouts([("a", 0, 1, 0.5, [])]), steps, resampled, None)
    assert table[["step", "resampling", "position"]].to_numpy().tolist() == [[1, 0.7, 0.0]]


def test_a_step_that_was_knocked_out_twice_is_an_error():
    twice = knockouts([("a", 0, 0, 0.5, []), ("a", 0, 0, 0.6, [])])
    with pytest.raises(ValueError, match="twice"):
        join_importance(twice, steps_of({("a", 0): 1}), None, None)


def test_a_step_is_compared_with_the_same_one_in_other_words():
    """Trace 1 says trace 0's equation in other words, and trace 2 in the same words; trace 3 says
    another equation, and question b the same one of other things."""
    texts = {
        ("a", 0): "Tom has 3 + 4 = 7 now.",
        ("a", 1): "So 3+4 = 7.",
        ("a", 2): "Tom has  3 + 4 = 7 now.",
        ("a", 3): "Tom has 3 + 5 = 8 now.",
        ("b", 0): "So 3 + 4 = 7.",
    }
    keys = [{"question_id": q, "sample_index": i, "step": 0} for q, i in texts]
    spans = {"start": 0, "part": "reasoning"}
    steps = pd.DataFrame(
        [{**key, **spans, "end": len(t)} for key, t in zip(keys, texts.values(), strict=True)]
    )
    equations = ["3 + 4 = 7", "3+4 = 7", "3 + 4 = 7", "3 + 5 = 8", "3 + 4 = 7"]
    checks = pd.DataFrame(
        [{**key, "start": 3, "text": e} for key, e in zip(keys, equations, strict=True)]
    )
    traces = pd.DataFrame(keys).assign(text=list(texts.values()))
    stated = statements(checks, steps, traces)
    assert stated["equations"].to_list() == ["3+4=7", "3+4=7", "3+4=7", "3+5=8", "3+4=7"]
    effects = [1.0, 2.0, 4.0, 8.0, 16.0]
    knocked = knockouts(
        [(q, i, 0, effect, []) for (q, i), effect in zip(texts, effects, strict=True)]
    )
    table = join_importance(knocked, steps, None, None, stated)
    # trace 1 beside the mean of 0 and 2; each of these beside trace 1 alone
    assert table["knockout_reworded"].fillna(-1).to_list() == [2.0, 2.5, 2.0, -1, -1]
    without = join_importance(knocked, steps, None, None)
    assert without["knockout_reworded"].isna().all()


def test_steps_that_matter_for_what_they_say_rank_alike_in_other_words():
    table = importance({name: [[(k, 0.0) for k in (0.1, 2.0, 0.4)]] * 2 for name in "abcd"})
    same = table.assign(knockout_reworded=table["knockout"] * 0.9)
    other = table.assign(knockout_reworded=-table["knockout"])
    subject = "knockout_reworded × knockout"
    assert pick(rank_findings(same, seed=0), subject).estimate == pytest.approx(1)
    assert pick(rank_findings(other, seed=0), subject).estimate == pytest.approx(-1)


def test_faithfulness_tests_are_read_where_the_run_has_them(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("1", ["1"])})
    write_table(run, "steps", steps_of({("a", 0): 2}))
    interventions = knockouts([("a", 0, 0, 0.5, [0.1]), ("a", 0, 1, 2.0, [0.0])])
    without = step_importance(run, interventions)
    assert without[["resampling", "early_answering"]].isna().all(axis=None)
    row = {"question_id": "a", "sample_index": 0, "greedy": False, "test": "resampling"}
    resampled = pd.DataFrame([{**row, "step": 1, "importance": 0.7, "detail": json.dumps({})}])
    write_table(run, "faithfulness_steps", resampled.astype({"step": "Int64"}))
    assert step_importance(run, interventions)["resampling"].to_list()[1] == 0.7


def test_correlations_within_traces_by_hand():
    """Question a: rho 1 and .5 in two traces; b: -1; c: rho of ranks 1 2.5 2.5 against 1 2 3."""
    up = [(0.1, 0.0), (0.2, 1.0), (0.3, 2.0)]
    half = [(0.1, 1.0), (0.2, 0.0), (0.3, 2.0)]  # ranks 1 2 3 against 2 1 3: 1 - 6 * 2 / 24
    down = [(0.3, 0.0), (0.2, 1.0), (0.1, 2.0)]
    tied = [(0.1, 0.0), (0.2, 1.0), (0.2, 2.0)]
    short, flat = [(0.1, 0.0), (0.2, 1.0)], [(0.5, 0.0), (0.5, 1.0), (0.5, 2.0)]
    table = importance({"a": [up, half, short], "b": [down, flat], "c": [tied]})
    found = pick(rank_findings(table, 0), "knockout × resampling")
    of_tied = np.sqrt(0.75)  # 1.5 / sqrt(1.5 * 2)
    assert found.estimate == pytest.approx(((1 + 0.5) / 2 - 1 + of_tied) / 3)
    assert (found.n_questions, found.n_traces, found.n_excluded) == (3, 4, 2)
    assert found.low <= found.estimate <= found.high
    assert 0.1 < found.p <= 1


def test_the_place_alone_is_the_baseline_in_whichever_direction_it_fits():
    """Late steps are knocked out in vain and resampled in vain: the place explains all of it."""
    late = [(0.3, 2.0), (0.2, 1.0), (0.1, 0.0)]
    findings = rank_findings(importance({name: [late] for name in "abcd"}), 0)
    assert pick(findings, "knockout × resampling").estimate == pytest.approx(1)
    assert pick(findings, "position × resampling").estimate == pytest.approx(-1)
    beyond = pick(findings, "knockout × resampling", baseline="position")
    assert (beyond.estimate, beyond.low, beyond.high) == pytest.approx((0, 0, 0))
    assert beyond.p is None
    middle = [(0.1, 0.0), (0.3, 2.0), (0.2, 1.0)]  # ranks 1 3 2; of the place 1 2 3: rho .5
    findings = rank_findings(importance({name: [middle] for name in "abcd"}), 0)
    assert pick(findings, "knockout × resampling", baseline="position").estimate == pytest.approx(
        0.5
    )


def test_the_pooled_correlation_removes_the_traces_means():
    """Traces far apart, of two steps each: only their own differences count."""
    values = {
        "a": [[(5.0, 0.0), (6.0, 1.0)]],
        "b": [[(0.0, 8.0), (3.0, 9.5)]],
        "c": [[(2.0, 3.0), (1.0, 5.0)], [(1.0, 1.0)]],
    }
    table = importance(values)
    found = pick(rank_findings(table, 0), "knockout × resampling", "spearman_pooled")
    first, second = [-0.5, 0.5, -1.5, 1.5, 0.5, -0.5], [-0.5, 0.5, -0.75, 0.75, -1.0, 1.0]
    assert found.estimate == pytest.approx(spearmanr(first, second).statistic)
    assert (found.n_questions, found.n_traces, found.n_excluded) == (3, 3, 1)
    within = pick(rank_findings(table, 0), "knockout × resampling")
    assert (within.estimate, within.p, within.n_questions, within.n_excluded) == (None, None, 0, 4)


def test_fewer_than_three_questions_are_undefined_and_said():
    up = [(0.1, 0.0), (0.2, 1.0), (0.3, 2.0)]
    for found in rank_findings(importance({"a": [up], "b": [up]}), 0):
        assert (found.estimate, found.low, found.high, found.p) == (None, None, None, None)
        assert "fewer than 3 questions" in found.method
        assert found.n_questions == 2


def test_measures_that_the_table_lacks_are_not_among_the_findings():
    up = [(0.1, np.nan), (0.2, np.nan), (0.3, np.nan)]
    findings = rank_findings(importance({name: [up] for name in "abc"}), 0)
    assert {each.subject for each in findings} == {
        "position × knockout",
        "position × knockout_excess",
    }
    empty = importance({"a": [up]}).iloc[:0]
    assert rank_findings(empty, 0) == []


@pytest.mark.slow
def test_noise_is_not_called_a_correlation_and_a_planted_one_is():
    random = np.random.default_rng(1)
    noise, planted = {}, {}
    for question in map(str, range(20)):
        knockout, other = random.random((2, 3, 6))
        noise[question] = [
            list(zip(a, b, strict=True)) for a, b in zip(knockout, other, strict=True)
        ]
        planted[question] = [
            list(zip(a, a + b / 4, strict=True)) for a, b in zip(knockout, other, strict=True)
        ]
    for measure in ("spearman", "spearman_pooled"):
        found = pick(rank_findings(importance(noise), 0), "knockout × resampling", measure)
        assert found.low < 0 < found.high
        assert found.p > 0.05
        findings = rank_findings(importance(planted), 0)
        found = pick(findings, "knockout × resampling", measure)
        assert found.low > 0.5
        assert found.p == pytest.approx(1 / 501)
        assert pick(findings, "knockout × resampling", measure, "position").low > 0.3


def test_a_weighted_correlation_is_that_of_repeated_rows():
    random = np.random.default_rng(0)
    first, second = random.integers(5, size=12) * 1.0, random.random(12)
    weights = random.integers(4, size=(3, 12))
    expected = [
        spearmanr(np.repeat(first, each), np.repeat(second, each)).statistic for each in weights
    ]
    assert weighted_spearman(first, second, weights) == pytest.approx(expected)
    assert np.isnan(weighted_spearman(np.ones(12), second, weights)).all()


def test_the_order_of_rows_changes_nothing():
    random = np.random.default_rng(2)
    values = {q: [list(map(tuple, random.random((4, 2)))) for _ in range(2)] for q in "abcde"}
    table = importance(values)
    assert rank_findings(table.sample(frac=1, random_state=0), 0) == rank_findings(table, 0)


# -- any other score of steps ---------------------------------------------------------------------


def scored(table, values):
    return table[["question_id", "sample_index", "step"]].assign(score=values)


@pytest.mark.slow
def test_a_score_is_ranked_as_the_measure_that_it_equals():
    values = {name: [[(0.1, 0.0), (2.0, 0.9), (0.3, 0.4), (0.2, 0.1)]] for name in "abcd"}
    table = importance(values)
    own = rank_scores(scored(table, table["knockout"]), table, "gradient", seed=0)
    assert pick(own, "gradient × knockout").estimate == 1
    ours = pick(own, "gradient × resampling")
    measured = pick(rank_findings(table, seed=0), "knockout × resampling")
    assert (ours.estimate, ours.low, ours.p) == (measured.estimate, measured.low, measured.p)
    beyond = pick(own, "gradient × resampling", baseline="position")
    theirs = pick(rank_findings(table, seed=0), "knockout × resampling", baseline="position")
    assert beyond.estimate == theirs.estimate
    assert not [each for each in own if "early_answering" in each.subject]  # unknown of all steps


def test_a_score_of_steps_that_no_measure_knows_is_counted_as_excluded():
    table = importance({name: [[(0.1, 0.0), (2.0, 0.9), (0.3, 0.4)]] for name in "abcd"})
    scores = scored(table, -table["knockout"])
    more = scores.assign(sample_index=7)
    found = pick(
        rank_scores(pd.concat([scores, more]), table, "gradient", seed=0), "gradient × knockout"
    )
    assert (found.estimate, found.n_traces, found.n_excluded) == (-1, 4, 4)


def test_a_score_is_ranked_against_another_score_without_knock_outs():
    table = importance({name: [[(0.1, 1.0), (2.0, 2.0), (0.3, 3.0)]] for name in "abc"})
    beside = table[["question_id", "sample_index", "step", "position"]]
    beside = beside.assign(second_seed=-table["resampling"])
    found = rank_scores(
        scored(table, table["resampling"]), beside, "shapley", 0, against=["second_seed"]
    )
    assert pick(found, "shapley × second_seed").estimate == -1
    assert {each.subject for each in found} == {"shapley × second_seed"}
