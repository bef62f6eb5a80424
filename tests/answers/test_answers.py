"""A table of cases for every format and status, pairs, and hostile input."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cot.answers import FORMATS, canonical, canonical_gold, extract

CHOICES = ("12 apples", "a car", "3")

CASES = [
    # text, format, finish_reason, status, canonical
    ("5 + 7 = 12. The answer is 12.", "number", "stop", "ok", "12"),
    ("The answer is 13. No: the answer is 12.", "number", "stop", "ok", "12"),
    ("The answer is $1,234.50 a year.", "number", "stop", "ok", "2469/2"),
    ("The answer is 3/4 of a cup", "number", "stop", "ok", "3/4"),
    ("The answer is 2 1/2 cups.", "number", "stop", "ok", "5/2"),
    ("The answer is 50%.", "number", "stop", "ok", "1/2"),
    ("The answer is -4 degrees", "number", "stop", "ok", "-4"),
    ("The answer is −4", "number", "stop", "ok", "-4"),
    ("The answer is 1.5e3", "number", "stop", "ok", "1500"),
    ("The answer is 5 - 3 = 2.", "number", "stop", "ok", "2"),
    ("**Final answer:** 42 km", "number", "stop", "ok", "42"),
    ("The answer is\n\n42", "number", "stop", "ok", "42"),
    ("#### 18", "number", "stop", "ok", "18"),
    (r"so \boxed{\frac{1}{2}} hm \boxed{7}", "number", "stop", "ok", "7"),
    ("The answer to the question of the day is 9.", "number", "stop", "ok", "9"),
    ("So he has 12 books left.", "number", "stop", "ok", "12"),
    ("So he has 12 bo", "number", "length", "truncated", None),
    ("The answer is 12. Then he has 4 bo", "number", "length", "ok", "12"),
    ("I do not know.", "number", "stop", "missing", None),
    ("", "number", "stop", "missing", None),
    ("The answer is not possible.", "number", "stop", "unparsed", None),
    ("The answer is 10 - 3", "number", "stop", "unparsed", None),
    ("The answer is 5/0.", "number", "stop", "unparsed", None),
    ("<think>The answer is 3.</think>The answer is 4.", "number", "stop", "ok", "4"),
    ("<think>The answer is 3.", "number", "length", "truncated", None),
    ("The answer is 5.\n\nQuestion: 1 + 1?\nAnswer: The answer is 2.", "number", "stop", "ok", "5"),
    ("The answer is 5.\nQ: 1 + 1?\nA: The answer is 2.", "number", "stop", "ok", "5"),
    ("The answer is 5.<|im_end|> The answer is 6.", "number", "stop", "ok", "5"),
    ("The answer is (B).", "choice", "stop", "ok", "B"),
    ("The answer is B", "choice", "stop", "ok", "B"),
    ("the answer is b.", "choice", "stop", "ok", "B"),
    ("The answer is A car.", "choice", "stop", "ok", "B"),
    ("The answer is (B) a car.", "choice", "stop", "ok", "B"),
    ("The answer is 12 apples.", "choice", "stop", "ok", "A"),
    ("(A) is wrong, so it must be (C)", "choice", "stop", "ok", "C"),
    ("The answer is (E).", "choice", "stop", "unparsed", None),
    ("The answer is a bicycle", "choice", "stop", "unparsed", None),
    ("I am not sure", "choice", "stop", "missing", None),
    ("The answer is yes.", "yesno", "stop", "ok", "yes"),
    ("So no.", "yesno", "stop", "ok", "no"),
    ("The answer is False", "yesno", "stop", "ok", "no"),
    ("The answer is maybe", "yesno", "stop", "unparsed", None),
    ("The answer is The Blue  Whale!", "text", "stop", "ok", "the blue whale"),
    ("He thought.\nThe Nile", "text", "stop", "ok", "the nile"),
    ("He thought and thought", "text", "length", "truncated", None),
]


@pytest.mark.parametrize(("text", "format", "finish", "status", "form"), CASES)
def test_extract(text, format, finish, status, form):
    answer = extract(text, format, CHOICES if format == "choice" else None, finish)
    assert (answer.status, answer.canonical) == (status, form)
    if answer.start is not None:
        assert text[answer.start : answer.end] == answer.text


@pytest.mark.parametrize(
    ("one", "other", "format", "equal"),
    [
        ("1/2", "0.5", "number", True),
        ("50%", "0.5", "number", True),
        ("50%", "50", "number", False),
        ("$29.00", "29", "number", True),
        ("1,234", "1234", "number", True),
        ("1,23", "123", "number", False),
        ("3.10", "3.1", "number", True),
        ("-0", "0", "number", True),
        ("nk", "kn", "text", False),
        ("The Nile.", "the nile", "text", True),
        ("(B)", "b", "choice", True),
        ("True", "yes", "yesno", True),
    ],
)
def test_pairs(one, other, format, equal):
    assert (canonical(one, format) == canonical(other, format)) is equal


def test_gold_in_gsm8k_form():
    assert canonical_gold("He has 3 * 6 = <<3*6=18>>18.\n#### 1,018", "number") == "1018"


@given(st.fractions(max_denominator=10**6).filter(lambda value: abs(value) < 10**12))
def test_any_fraction_survives(value):
    assert canonical(str(value), "number") == str(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-1e9, max_value=1e9))
def test_any_decimal_equals_its_fraction(value):
    assert canonical(f"{value:,}", "number") == str(Fraction(value))


@given(st.text(), st.sampled_from(FORMATS), st.sampled_from(["stop", "length"]))
def test_any_text_gives_a_status_and_an_exact_span(text, format, finish):
    answer = extract(text, format, CHOICES, finish)
    assert answer.status in ("ok", "missing", "unparsed", "truncated")
    assert (answer.status == "ok") == (answer.canonical is not None)
    if answer.start is not None:
        assert text[answer.start : answer.end] == answer.text


HOSTILE = {
    "code": "The answer is __import__('os').system('touch owned')",
    "tower": "The answer is 9**9**9**9",
    "caret": "The answer is 9^9^9^9",
    "digits": "The answer is " + "9" * 10_000,
    "exponent": "The answer is 1e999999",
    "power": "The answer is 1e99",
    "parentheses": "The answer is " + "(" * 100_000 + ")" * 100_000,
    "right to left": "The answer is \u202e21\u202c",
    "zero width": "The answer is 1\u200b2",
    "long line": "x" * 1_000_000 + " The answer is 12",
    "many cues": "The answer is " * 70_000,
    "many numbers": "1, " * 300_000,
    "braces": r"\boxed{" * 100_000,
    "nul": "The answer is \x00 12",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("format", FORMATS)
def test_hostile_text_is_cheap_and_inert(name, format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    answer = extract(HOSTILE[name], format, CHOICES)
    assert time.process_time() - started < 2
    assert not list(tmp_path.iterdir())
    assert answer.canonical is None or len(answer.canonical) < 1000
    if format == "number" and name in ("digits", "exponent", "tower", "caret"):
        assert answer.status == "unparsed"
