"""What holds of any answer: its canonical form reads as itself, and what stands around a statement
does not change what is read in it."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cot.answers import canonical, extract
from cot.answers.number import numbers_in
from tests.answers.test_oracles import CASES

CHOICES = ("zinc", "tin", "copper", "silver")
WORDS = (
    "the baker sells rolls and counts them again before noon while 3 children of 12 look on".split()
)
REASONING = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
THOUGHT = REASONING.map(lambda words: f"<think>{words} Is the answer 99? Or (D)? No.</think>")
BEFORE = THOUGHT | REASONING.map(lambda words: f"{words.capitalize()}.\n") | st.just("")
REMARKS = st.sampled_from(
    [
        "",
        "\nI hope this helps!",
        "\n\nI hope this answer is correct.",
        "\n\nLet me know if you have questions.",
        "\nPlease ask if anything is unclear.",
        "\n\nThis follows from what was given.",
        "<|im_end|>",
    ]
)
FORMS = {
    "number": st.fractions(max_denominator=1000).filter(lambda value: abs(value) < 10**9).map(str),
    "choice": st.sampled_from("ABCD"),
    "yesno": st.sampled_from(["yes", "no"]),
    "latex": st.sampled_from(
        [
            *("(1,2)", "[0,1)", r"\{1,2\}", r"\frac{\sqrt{2}}{2}", "x+1", "3x-2", "f'(x)", "12"),
            *(r"\sqrt{7}", r"(-\infty,3]", r"2\pi", "-4,1", r"x^2+1", "5/7"),
        ]
    ),
    "text": st.sampled_from(["oslo", "the blue whale", "j. k. rowling", "a car"]),
}
STATEMENTS = ("The answer is {}.", "**Answer:** {}", "<answer>{}</answer>", r"So \boxed{{{}}}.")


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMS)
@given(data=st.data())
def test_what_stands_around_a_statement_changes_nothing(format, data):
    form = data.draw(FORMS[format])
    statement = data.draw(st.sampled_from(STATEMENTS)).format(form)
    alone = extract(statement, format, CHOICES)
    text = data.draw(BEFORE) + statement + data.draw(REMARKS)
    within = extract(text, format, CHOICES)
    assert (within.status, within.canonical) == (alone.status, alone.canonical), text
    if within.start is not None:
        assert text[within.start : within.end] == within.text


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMS)
@given(data=st.data())
def test_a_canonical_form_reads_as_itself(format, data):
    form = canonical(data.draw(FORMS[format]), format, CHOICES)
    assert form is not None
    assert canonical(form, format, CHOICES) == form


def test_the_canonical_forms_of_the_tables_read_as_themselves():
    for case in CASES:
        if case.format in FORMS and case.text and not case.choices:
            form = extract(case.text, case.format).canonical
            if form is not None:
                assert canonical(form, case.format) == form, case.text


PIECES = st.lists(
    st.sampled_from(
        [*"0123456789", *".,-+*/^_%$=()[]{}!:x πe", "km", "th", "\\frac", "\\pi", "\\sqrt", " and "]
    ),
    min_size=1,
    max_size=14,
).map("".join)


@pytest.mark.slow
@settings(derandomize=True, max_examples=300)
@given(PIECES, st.sampled_from(["", "The answer is "]))
def test_no_number_is_a_part_of_a_longer_one(pieces, cue):
    text = f"{cue}{pieces}"
    answer = extract(text, "number")
    if answer.status != "ok" or answer.start is None or answer.end is None:
        return
    before, after = text[: answer.start], text[answer.end :]
    assert not re.search(r"\d\Z", before), text
    assert not re.search(r"\d[.,]\Z|[A-Za-z^]\Z|[A-Za-z0-9]_\Z", before) or "\\" in before, text
    assert not re.match(r"\d|[.,]\d|_[A-Za-z0-9{]|\^(?!\{?\\circ)|π|\\pi|\s?!\s?[)}$]", after), text


@given(PIECES)
def test_numbers_do_not_overlap(text):
    spans = [match.span() for match in numbers_in(text)]
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
