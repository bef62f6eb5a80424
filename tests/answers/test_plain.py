"""The shortcut for plain statements of a number says what the pipeline says, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from cot.answers.extract import pipeline
from cot.answers.plain import plain
from tests.answers.test_answers import CASES
from tests.answers.test_oracles import CASES as ORACLES

STATED = [
    "The answer is 12.",
    "So the answer is $1,234.",
    "It costs 3. The final answer is 12 apples.",
    "Add.\n#### 1,234",
    "Add.\n**Answer:** 12",
    "Add.\nAnswer: -12.50",
    r"So it is $\boxed{12.5}$.",
    "Thus, the answer is 3 + 4 = 7.",
]
PIECES = st.sampled_from(
    [
        *STATED,
        *("The answer is", "the answer is", "If ", "if the answer is 3. The", "not ", "Q: "),
        *("Question: 3?\n", "**Answer:**", "#### ", "\n", " ", ". ", "12", "7", "$", "%", ","),
        *(" dozen", " apples", " or ", "-", "x", r"\boxed{5}", r"\boxed{", "}", " and "),
        *("<think>", "</think>", '"answer": ', "Wait, no, ", "It is 36.", "Problem 2"),
        *("Result: ", "Ergebnis: ", "times 3", "= ", "+ "),
    ]
)


def agree(text: str) -> bool:
    short = plain(text)
    return short is None or short == pipeline(text, "number", None, "stop", None)


def test_it_reads_what_it_is_made_for():
    assert [plain(f"Add. {text}") is not None for text in STATED] == [True] * 8


def test_it_agrees_on_the_tables():
    texts = [case[0] for case in CASES] + [case.text for case in ORACLES if case.text]
    assert [text for text in texts if not agree(text)] == []


@given(st.lists(PIECES).map("".join))
def test_it_agrees_on_whatever_is_put_together(text):
    assert agree(text)
    assert agree("Some words. " + text + "The answer is 12.")
