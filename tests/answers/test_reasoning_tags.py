"""Where a text reasons: tags of the user's own, and reasoning that the prompt opened."""

import pytest

from cot.answers.extract import extract
from cot.answers.reasoning import KNOWN, Thinking, answer_region, closing, opens_in_prompt
from cot.steps import segment
from cot.store.identity import Identity

PLAN = Thinking(tags=("<plan>", "</plan>"))
OPENED = Thinking(opened=True)


def shown(text, thinking):
    return text[slice(*answer_region(text, thinking))]


def test_tags_of_the_users_own_take_the_place_of_those_that_are_known():
    text = "<plan>The answer is 3.</plan>The answer is 4. <think>"
    assert shown(text, PLAN) == "The answer is 4. <think>"
    assert extract(text, "number", thinking=PLAN).canonical == "4"


def test_what_own_tags_leave_open_is_no_answer():
    text = "<plan>Perhaps the answer is 3."
    assert extract(text, "number").canonical == "3"
    assert extract(text, "number", thinking=PLAN).status == "missing"
    assert extract(text, "number", None, "length", thinking=PLAN).status == "truncated"
    assert closing(text, thinking=PLAN) == "</plan>"


def test_a_closing_tag_that_begins_with_the_opening_one_is_told_apart():
    bars = Thinking(tags=("||", "||end"))
    assert shown("||3 + 4||endIt is 7.", bars) == "It is 7."


def test_own_tags_are_taken_as_text_and_not_as_a_pattern():
    dots = Thinking(tags=("(.", ".)"))
    assert shown("a (. b .) c", dots) == "c"


@pytest.mark.parametrize(("finish", "status"), [("length", "truncated"), ("stop", "missing")])
def test_reasoning_that_the_prompt_opened_and_nothing_closed_states_no_answer(finish, status):
    text = "So far, the answer is 12."
    assert extract(text, "number", finish_reason=finish).canonical == "12"
    assert extract(text, "number", finish_reason=finish, thinking=OPENED).status == status


def test_what_follows_the_close_is_the_answer_wherever_it_was_opened():
    text = "The answer is 3?</think>The answer is 4."
    for thinking in (KNOWN, OPENED):
        assert extract(text, "number", thinking=thinking).canonical == "4"
    assert opens_in_prompt(text, OPENED)


def test_steps_know_own_tags_and_opened_reasoning():
    text = "<plan>3 and 4 make 7.</plan>The answer is 7."
    assert [span.part for span in segment(text, thinking=PLAN)] == ["reasoning", "answer"]
    assert [span.part for span in segment(text)] == ["reasoning"]
    again = "3 and 4 make 7.\n<think>Once more: 3 + 4.</think>\nThe answer is 7."
    parts = [span.part for span in segment(again, thinking=OPENED)]
    assert parts == ["reasoning", "reasoning", "answer"]
    assert [span.part for span in segment(again)] == ["answer", "reasoning", "answer"]


def test_a_runs_identity_says_how_its_texts_are_read():
    assert Thinking.of(Identity()) == KNOWN
    own = Identity(think_tags=("<plan>", "</plan>"), think_opened=True)
    assert Thinking.of(own) == Thinking(tags=("<plan>", "</plan>"), opened=True)
