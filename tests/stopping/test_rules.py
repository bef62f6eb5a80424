"""Stopping rules against closed forms, hand-worked rows and their contract."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cot.errors import InputError
from cot.stopping import Decision, leader, make_rule
from cot.stopping.asc import AscBeta, AscDirichlet, beta_chance, dirichlet_chance
from cot.stopping.codes import ENDED, MISSING, as_codes, largest_counts, replay, tally
from cot.stopping.contract import ballots_from, check_on, check_stopping_rule
from cot.stopping.deepconf import DeepConfOnline
from cot.stopping.windows import Esc

RULES = ["fixed", "fixed:n=3", "asc_beta", "asc_beta:threshold=0.8", "asc_dirichlet"]
RULES += ["esc", "esc:window=2", "esc:window=1", "tests.plug_ins:three_in_a_row"]
ANSWERS = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=16)


def outcome(spec, answers):
    """(samples used, answer) of one question."""
    for n in range(1, len(answers) + 1):
        decision = make_rule(spec)(ballots_from(answers[:n]))
        if decision.stop:
            break
    return n, decision.answer


@pytest.mark.parametrize("spec", RULES)
def test_contract(spec):
    check_stopping_rule(make_rule(spec), cases=10)


@settings(max_examples=25)
@example("fixed:n=3", [None, None, None, "a"])
@given(st.sampled_from(RULES), ANSWERS)
def test_contract_on_any_answers(spec, answers):
    check_on(make_rule(spec), answers)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(RULES), st.lists(ANSWERS, min_size=1, max_size=5))
def test_the_matrix_decides_as_the_calls_do(spec, rows):
    rule = make_rule(spec)
    codes = as_codes(rows)
    together, by_calls = replay(rule, codes), replay(lambda ballots: rule(ballots), codes)
    np.testing.assert_array_equal(together.used, by_calls.used)
    np.testing.assert_array_equal(together.stopped, by_calls.stopped)
    np.testing.assert_array_equal(together.answer, by_calls.answer)


@pytest.mark.parametrize(
    "answer_of",
    [
        lambda given: None,
        lambda given: "7" if given else None,
        lambda given: given[-1] if given else None,  # a missing one votes
        lambda given: max((answer for answer in given if answer), default=None),  # reads labels
    ],
)
def test_the_contract_catches(answer_of):
    def broken(ballots):
        return Decision(stop=len(ballots) > 3, answer=answer_of([b.answer for b in ballots]))

    with pytest.raises(AssertionError):
        check_stopping_rule(broken)


def test_the_contract_catches_a_memory():
    asked = []

    def counting_calls(ballots):
        asked.append(ballots)
        return Decision(stop=len(asked) > 30, answer=leader(ballots))

    with pytest.raises(AssertionError, match="another decision"):
        check_stopping_rule(counting_calls)


def test_asc_beta_closed_forms():
    assert beta_chance([1, 2, 3, 4], 0).tolist() == [0.75, 0.875, 0.9375, 0.96875]
    assert beta_chance(5, 2) == pytest.approx(219 / 256, abs=1e-12)
    assert beta_chance(3, 3) == 0.5


def test_asc_beta_by_hand():
    assert outcome("asc_beta", ["x"] * 9) == (4, "x")
    assert outcome("asc_beta", ["x", None, "x", "x", None, "x", "y"]) == (6, "x")
    # 6 against 1: 247/256 = .965; 5 against 1: 120/128 = .9375
    assert outcome("asc_beta", ["y"] + ["x"] * 9) == (7, "x")
    assert outcome("asc_beta:threshold=0.9375", ["x"] * 9) == (3, "x")
    assert outcome("asc_beta", ["x", "y", "x", "y"]) == (4, "x"), "a tie falls to the first"


def test_dirichlet_equals_beta_for_two_answers_and_asks_more_for_others():
    np.testing.assert_allclose(
        dirichlet_chance([[5, 2, 0, 0, 0], [4, 0, 0, 0, 0]]), beta_chance([5, 4], [2, 0]), atol=1e-9
    )
    three = dirichlet_chance([[5, 2, 1, 1, 1], [1, 1, 1, 0, 0], [2, 2, 2, 2, 2], [900, 2, 1, 1, 1]])
    assert three[0] < beta_chance(5, 2)
    np.testing.assert_allclose(three[1:], [1 / 3, 1 / 5, 1], atol=1e-9)


def test_dirichlet_equals_drawing():
    counts = np.array([6, 2, 1, 1, 1])
    draws = np.random.default_rng(0).dirichlet(counts + 1, size=100_000)
    assert dirichlet_chance([counts])[0] == pytest.approx((draws.argmax(1) == 0).mean(), abs=5e-3)


def test_dirichlet_waits_longer_where_many_answers_compete():
    answers = ["x", "a", "b", "c", "d"] + ["x"] * 12
    assert outcome("asc_beta", answers)[0] < outcome("asc_dirichlet", answers)[0]
    assert outcome("asc_dirichlet", ["x"] * 9) == (4, "x")


def test_esc_by_hand():
    assert outcome("esc", list("abababbbbb")) == (10, "b"), "windows are disjoint"
    assert outcome("esc", list("aaaab") + list("bbbbb") + ["a"]) == (10, "b")
    assert outcome("esc", list("aaaabbbbbb")) == (10, "b"), "the window's answer"
    assert outcome("esc", ["a", "a", None, "a", "a", "a"]) == (6, "a"), "missing is not unanimous"
    assert outcome("esc", list("abbaabaaaa")) == (10, "a"), "no unanimous window: the vote over all"
    assert outcome("esc", list("aaab")) == (4, "a"), "a partial window never stops"
    rule = Esc()
    codes = as_codes([list("aaaabbbbbb")])
    assert replay(rule, codes).stopped.all()
    assert tally(as_codes([list("aaaaabbbb")]), np.array([9])).answer.tolist() == [0]


def test_fixed():
    assert outcome("fixed:n=2", ["a", "b", "b"]) == (2, "a")
    assert outcome("fixed", ["a", "b", "b"]) == (3, "b")
    assert outcome("fixed:n=2", [None, None, "b"]) == (2, None)


def test_largest_counts():
    counts = largest_counts(as_codes([["a", "b", None, "b", "c", "b"], ["x"]]), 3)
    assert counts[0].tolist() == [
        [1, 0, 0], [1, 1, 0], [1, 1, 0], [2, 1, 0], [2, 1, 1], [3, 1, 1],
    ]  # fmt: skip
    assert counts[1, -1].tolist() == [1, 0, 0]


@settings(deadline=None, max_examples=25)
@given(st.lists(ANSWERS, min_size=1, max_size=4))
def test_largest_counts_equal_sorting(rows):
    codes = as_codes(rows)
    found = largest_counts(codes, 5)
    for row, answers in enumerate(rows):
        for n in range(len(answers)):
            given = [a for a in answers[: n + 1] if a]
            counts = sorted((given.count(a) for a in set(given)), reverse=True)
            assert found[row, n].tolist() == (counts + [0] * 5)[:5]


def test_ragged_rows_and_none_at_all():
    replayed = replay(AscBeta(), as_codes([["a"] * 2, [], [None] * 3, ["a"] * 5]))
    assert replayed.used.tolist() == [2, 0, 3, 4]
    assert replayed.stopped.tolist() == [False, False, False, True]
    assert replayed.answer.tolist() == [0, MISSING, MISSING, 0]
    assert replay(Esc(), as_codes([[]])).used.tolist() == [0]
    assert as_codes([["a"], []]).tolist() == [[0], [ENDED]]


def test_a_tie_falls_to_the_answer_that_appears_first():
    vote = tally(np.array([[2, 0, 0, 2, 1], [1, 0, -1, -1, -2]], np.int16), np.array([4, 4]))
    assert vote.answer.tolist() == [2, 1]
    assert vote.tied.tolist() == [True, True]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("asc_beta:threshold=1.5", "threshold is 1.5: above 0.5 and below 1"),
        ("asc_dirichlet:threshold=0.5", "threshold is 0.5"),
        ("esc:window=0", "window is 0: at least 1"),
        ("fixed:n=0", "n is 0: a whole number of at least 1"),
        ("fixed:n=many", "n is 'many'"),
        ("cges:threshold=1", "threshold is 1: above 0 and below 1"),
        ("deepconf_online:p=0", "p is 0"),
        ("deepconf_online:consensus=2", "consensus is 2"),
        ("deepconf_online:warmup=0", "warmup is 0"),
        ("asc_bet", "unknown stopping rule 'asc_bet': choose from asc_beta, asc_dirichlet"),
        ("esc:windows=2", "it takes window"),
    ],
)
def test_bad_rules_are_named(spec, said):
    with pytest.raises(InputError, match=said):
        make_rule(spec)


# -- DeepConf online: confidence is minus the mean of the largest log-probabilities


def series(*confidences):
    return [-np.array(each, dtype=np.float32) for each in confidences]


def test_the_lowest_window_so_far():
    falling = DeepConfOnline(window=2).read(series([1, 5, 3, 2], [4], []))
    assert [each.tolist() for each in falling.falling] == [[3, 3, 2.5], [4], [0]]
    assert falling.lowest.tolist() == [2.5, 4, 0]
    assert falling.lengths.tolist() == [4, 1, 0]


def run_deepconf(rule, codes, confidences, order=None):
    order = np.arange(len(codes))[None] if order is None else np.array(order)
    coded = np.where(order >= 0, np.array(codes, np.int16)[order], ENDED)
    replayed, tokens = rule.replay_traces(coded, order, rule.read(series(*confidences)))
    return replayed.used.tolist(), replayed.answer.tolist(), tokens.tolist()


def test_deepconf_cuts_a_trace_where_it_falls_under_the_bar():
    # lowest windows of the warm-up: 2 and 4; p = 50 keeps the upper half: the bar is 3
    rule = DeepConfOnline(warmup=2, p=50, window=2, consensus=1.0)
    confidences = [[2, 2, 9], [4, 4], [5, 5, 1, 0, 9, 9], [5, 5]]
    # trace 2's windows: 5, 3, .5: cut after its fourth token; traces 0 and 2 don't vote
    assert run_deepconf(rule, [0, 1, 0, 1], confidences) == ([2], [1], [5])
    # without a consensus at once, it goes on: weights 4 against 5
    assert run_deepconf(rule, [0, MISSING, 0, 1], confidences) == ([4], [1], [3 + 2 + 4 + 2])


def test_deepconf_keeps_p_percent():
    confidences = [[c] for c in range(1, 11)]
    codes = [0] * 8 + [1] * 2
    rules = [DeepConfOnline(warmup=10, p=p, consensus=0.6) for p in (100, 10)]
    answers = [run_deepconf(rule, codes, confidences)[1] for rule in rules]
    assert answers == [[0], [1]], "36 against 19 with all; only the most confident with 10%"


def test_deepconf_weighs_by_confidence_in_any_order():
    rule = DeepConfOnline(warmup=1, p=100, consensus=0.99)
    used, answer, tokens = run_deepconf(rule, [0, 0, 1], [[1], [1], [3]], [[0, 1, 2], [2, 1, 0]])
    assert (used, answer, tokens) == ([1, 1], [0, 1], [1, 1]), "one trace agrees with itself"
    rule = DeepConfOnline(warmup=3, p=100, consensus=0.99)
    assert run_deepconf(rule, [0, 0, 1], [[1], [1], [3]]) == ([3], [1], [3]), "2 against 3"


def test_deepconf_rows_may_end():
    rule = DeepConfOnline(warmup=2, p=100)
    assert run_deepconf(rule, [0, 1], [[1], [3, 3]], [[0, 1], [1, -1]])[1:] == ([1, 1], [3, 2])


def test_deepconf_is_not_asked_online():
    with pytest.raises(InputError, match="cot stop"):
        make_rule("deepconf_online")(())


def test_dirichlet_is_asked_only_where_beta_is_certain():
    codes = np.random.default_rng(1).integers(-1, 5, size=(200, 30)).astype(np.int16)
    codes[:, ::2] = 0
    largest = largest_counts(codes, 5)
    chances = dirichlet_chance(largest.reshape(-1, 5)).reshape(200, 30)
    enough = chances >= 0.95 - 1e-9
    expected = np.where(enough.any(1), enough.argmax(1) + 1, 0)
    np.testing.assert_array_equal(AscDirichlet().stops_after(codes), expected)
