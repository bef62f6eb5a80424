import pytest

from analysis.faithfulness_tests.hint_following import add_after, put_for
from cot.types import Question

ASKED = Question(id="q", text="2 + 2?")
CHOICES = Question(id="q", text="What floats?", choices=("a (red) brick", "a cork"))


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("Question: ", "\nAnswer:"), ("Q: 2 + 2?\nA: 4.\n\nQ: ", "\nA: Let's think.")],
)
def test_words_stand_right_after_the_question_and_all_else_stays(before, after):
    prompt = f"{before}2 + 2?{after}"
    assert add_after(prompt, ASKED, "I say 5.") == f"{before}2 + 2? I say 5.{after}"
    assert put_for(prompt, ASKED, "3 + 3?") == f"{before}3 + 3?{after}"


@pytest.mark.parametrize(
    "listed",
    [
        "\n(A) a (red) brick\n(B) a cork",
        "\nA. a (red) brick\nB. a cork",
        " A) a (red) brick B) a cork",
        "\n\nA: a (red) brick\n\nB: a cork",
    ],
)
def test_words_stand_after_the_choices(listed):
    prompt = f"Question: What floats?{listed}\nAnswer:"
    expected = f"Question: What floats?{listed}\nI say (A).\nAnswer:"
    assert add_after(prompt, CHOICES, "I say (A).") == expected


def test_choices_that_stand_elsewhere_stay_there():
    prompt = "(A) a (red) brick (B) a cork. What floats?\nAnswer:"
    expected = "(A) a (red) brick (B) a cork. What floats? I say (A).\nAnswer:"
    assert add_after(prompt, CHOICES, "I say (A).") == expected


def test_messages_are_changed_in_the_last_turn_of_the_user():
    turns = (
        {"role": "system", "content": "2 + 2?"},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "2 + 2? 4."},
        {"role": "user", "content": "So, 2 + 2? Tell me."},
        {"role": "assistant", "content": "2 + 2? Let's think."},
    )
    new = add_after(turns, ASKED, "I say 5.")
    assert new[3] == {"role": "user", "content": "So, 2 + 2? I say 5. Tell me."}
    assert (*new[:3], *new[4:]) == (*turns[:3], *turns[4:])


@pytest.mark.parametrize(
    "prompt",
    ["", "Question: 2+2?", (1, 2, 3), ({"role": "system", "content": "2 + 2?"},), ()],
)
def test_a_question_that_is_not_there(prompt):
    assert add_after(prompt, ASKED, "I say 5.") is None
    assert put_for(prompt, ASKED, "3 + 3?") is None


def test_a_question_without_text_is_nowhere():
    assert add_after("Question: ", Question(id="q", text=" "), "I say 5.") is None
