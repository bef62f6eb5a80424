"""A table of cases for every format and status, pairs, and hostile input."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cot.answers import FORMATS, canonical, canonical_gold, check_format, extract
from cot.errors import InputError
from tests.work import instructions

CHOICES = ("12 apples", "a car", "3")
REGEX = r"(?i)result:\s*(?P<answer>\S+)"

NUMBERS = [
    # text after "The answer is ", canonical form or None
    ("12.", "12"),
    ("$1,234.50 a year.", "2469/2"),
    ("€29", "29"),
    ("29 dollars.", "29"),
    ("29€.", "29"),
    ("Rs. 500.", "500"),
    (r"\$18.", "18"),
    ("-$5", "-5"),
    ("$-5$.", "-5"),
    ("-4 degrees", "-4"),
    ("−4", "-4"),
    ("negative 4", "-4"),
    ("42 km", "42"),
    (r"42\text{ km}", "42"),
    (r"90^\circ.", "90"),
    ("50%.", "1/2"),
    (r"50\%.", "1/2"),
    ("50 percent", "1/2"),
    ("2 million dollars", "2000000"),
    ("1{,}234", "1234"),
    (r"1\,234", "1234"),
    ("1 234", "1234"),
    ("1,234,567.5", "2469135/2"),
    ("3/4 of a cup", "3/4"),
    (r"\frac{3}{4}", "3/4"),
    (r"\dfrac34", "3/4"),
    (r"-\frac{3}{4}", "-3/4"),
    (r"\frac{-3}{4}", "-3/4"),
    ("2 1/2 cups.", "5/2"),
    (r"2\frac{1}{2}", "5/2"),
    ("2½ cups", "5/2"),
    ("½", "1/2"),
    (".5", "1/2"),
    ("1.5e3", "1500"),
    ("1.5 x 10^3", "1500"),
    ("1.5 × 10^{3}", "1500"),
    (r"1.5\times 10^{-3}", "3/2000"),
    ("1.5×10³", "1500"),
    ("5 - 3 = 2.", "2"),
    (r"x \approx 3.5.", "7/2"),
    ("twelve.", "12"),
    ("twenty-one apples", "21"),
    ("one hundred and five.", "105"),
    ("a hundred", "100"),
    ("two thousand three hundred and four", "2304"),
    ("minus three", "-3"),
    ("one.", "1"),
    ("12 apples in two boxes", "12"),  # words only where there are no digits
    (r"\boxed{12}", "12"),
    (r"\boxed{\frac{1}{2}}", "1/2"),
    (r"\boxed{\text{12 books}}", "12"),
    ("one of them", None),
    ("two thirds", None),
    ("twelve and a half", None),
    ("two and three", None),
    ("half a dozen", None),
    ("2 and a half", None),
    ("10 - 3", None),
    ("3 x 4", None),
    ("5-6", None),
    ("3:30", None),
    ("1,23", None),
    ("1, 2 and 3", None),  # three numbers are no answer
    ("5/0.", None),
    ("1/2/3", None),
    ("1e999", None),
    (r"\sqrt{2}", None),
    (r"2\sqrt{3}", None),
    (r"3\pi", None),
    ("2^{10}", None),
    ("not possible.", None),
    ("1\u200b2", None),
]

LATEX = [
    # text, status, canonical form
    (r"So \boxed{x = 5}. No: \boxed{\dfrac{1}{2}}. The answer is clear.", "ok", "1/2"),
    (r"So \boxed{5} and \boxed{\dfrac{1}{2}}.", "ok", r"5 and \frac{1}{2}"),
    (r"\boxed{\{1,\, 2\}}", "ok", r"\{1,2\}"),
    (r"\boxed{\frac{\sqrt{2}}{2}}", "ok", r"\frac{\sqrt{2}}{2}"),
    (r"\boxed{\left[0, 1\right)}", "ok", "[0,1)"),
    (r"\boxed{12\text{ cm}^2}", "ok", "12"),
    (r"\boxed{1{,}234}", "ok", "1234"),
    (r"\boxed{50\%}", "ok", "1/2"),
    (r"\boxed{\text{Monday}}", "ok", "monday"),
    (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", "ok", r"\begin{pmatrix} 1 \\2 \end{pmatrix}"),
    (r"\boxed{}", "unparsed", None),
    (r"\boxed{5/0}", "unparsed", None),
    ("The answer is $x + 1$, where $x$ is a length.", "ok", "x+1"),
    ("The answer is x + 1.", "ok", "x+1"),
    ("The answer is\n$$\nx + 1\n$$", "ok", "x+1"),
    (r"Thus \(a\) and \[ 2\pi r \] hold.", "ok", r"2\pi r"),
    ("He paid $5 and got 3 back.", "ok", "3"),
    ("π/2 is it: the answer is π/2", "ok", r"\pi/2"),
    ("I do not know.", "missing", None),
]

CASES = [
    # text, format, finish_reason, status, canonical
    *(
        (f"The answer is {text}", "number", "stop", "unparsed" if form is None else "ok", form)
        for text, form in NUMBERS
    ),
    *((text, "latex", "stop", status, form) for text, status, form in LATEX),
    (r"so \boxed{\frac{1}", "latex", "length", "truncated", None),
    (r"so \boxed{3}, so \boxed{4", "latex", "length", "ok", "3"),
    (r"so \boxed{4", "latex", "stop", "ok", "4"),
    ("so x = 4", "latex", "length", "truncated", None),
    ("5 + 7 = 12. The answer is 12.", "number", "stop", "ok", "12"),
    ("The answer is 13. No: the answer is 12.", "number", "stop", "ok", "12"),
    ("The answer is 12. I hope this answer is correct.", "number", "stop", "ok", "12"),
    ("**Final answer:** 42 km", "number", "stop", "ok", "42"),
    ("The answer is\n\n42", "number", "stop", "ok", "42"),
    ("#### 18", "number", "stop", "ok", "18"),
    (r"so \boxed{\frac{1}{2}} hm \boxed{7}", "number", "stop", "ok", "7"),
    (r"so \boxed{7} hm \boxed{1", "number", "length", "ok", "7"),
    ("The answer to the question of the day is 9.", "number", "stop", "ok", "9"),
    ("So he has 12 books left.", "number", "stop", "ok", "12"),
    ("So he has 10 - 3", "number", "stop", "unparsed", None),
    ("So he has twelve books left.", "number", "stop", "missing", None),
    ("So he has 12 bo", "number", "length", "truncated", None),
    ("The answer is 12. Then he has 4 bo", "number", "length", "ok", "12"),
    ("I do not know.", "number", "stop", "missing", None),
    ("", "number", "stop", "missing", None),
    ("<think>The answer is 3.</think>The answer is 4.", "number", "stop", "ok", "4"),
    ("The answer is 3.</think>The answer is 4.", "number", "stop", "ok", "4"),
    ("The answer is 3.</think>So 4.", "number", "length", "truncated", None),
    ("<think>a <think>b</think> is 3</think>The answer is 4.", "number", "stop", "ok", "4"),
    ("<think>a <think> tag: 3</think>The answer is 4.", "number", "stop", "ok", "4"),
    ("<think>is 3</think>The answer is 4.<think>is 5</think>\n", "number", "stop", "ok", "4"),
    ("<think>is 3</think>The answer is 4.<think>is 5", "number", "length", "ok", "4"),
    ("<thinking>is 3</thinking>The answer is 4.", "number", "stop", "ok", "4"),
    ("<think>The answer is 3.", "number", "length", "truncated", None),
    ("<think>The answer is 3.", "number", "stop", "missing", None),
    ("I think the answer is 3.", "number", "stop", "ok", "3"),
    ("The answer is 5.\n\nQuestion: 1 + 1?\nAnswer: The answer is 2.", "number", "stop", "ok", "5"),
    ("The answer is 5.\nQ: 1 + 1?\nA: The answer is 2.", "number", "stop", "ok", "5"),
    ("The answer is 5." + "\nQ: 1 + 1?\nThe answer is 2." * 2000, "number", "stop", "ok", "5"),
    ("The answer is 5.<|im_end|> The answer is 6.", "number", "stop", "ok", "5"),
    ("The answer is (B).", "choice", "stop", "ok", "B"),
    ("The answer is B", "choice", "stop", "ok", "B"),
    ("the answer is b.", "choice", "stop", "ok", "B"),
    (r"so \boxed{\text{(B)}}", "choice", "stop", "ok", "B"),
    ("The answer is $B$.", "choice", "stop", "ok", "B"),
    ("The answer is A car.", "choice", "stop", "ok", "B"),
    ("The answer is (B) a car.", "choice", "stop", "ok", "B"),
    ("The answer is 12 apples.", "choice", "stop", "ok", "A"),
    ("(A) is wrong, so it must be (C)", "choice", "stop", "ok", "C"),
    ("(A) is wrong, so", "choice", "length", "truncated", None),
    ("The answer is (E).", "choice", "stop", "unparsed", None),
    ("The answer is a bicycle", "choice", "stop", "unparsed", None),
    ("I am not sure", "choice", "stop", "missing", None),
    ("The answer is yes.", "yesno", "stop", "ok", "yes"),
    (r"so \boxed{\text{Yes}}", "yesno", "stop", "ok", "yes"),
    ("So no.", "yesno", "stop", "ok", "no"),
    ("So", "yesno", "length", "truncated", None),
    ("Hm.", "yesno", "stop", "missing", None),
    ("The answer is False", "yesno", "stop", "ok", "no"),
    ("The answer is maybe", "yesno", "stop", "unparsed", None),
    ("The answer is The Blue  Whale!", "text", "stop", "ok", "the blue whale"),
    (r"so \boxed{\text{Paris}}", "text", "stop", "ok", "paris"),
    ("He thought.\nThe Nile", "text", "stop", "ok", "the nile"),
    ("He thought and thought", "text", "length", "truncated", None),
    ("He thought. " * 20, "text", "stop", "missing", None),
    ("The answer is " + "very " * 200 + "long.", "text", "stop", "unparsed", None),
    ("Result: 3, no. Result: 0.50", REGEX, "stop", "ok", "1/2"),
    ("result: Paris, result: Rome!", REGEX, "stop", "ok", "rome"),
    ("<think>Result: 3</think>Result: 4", REGEX, "stop", "ok", "4"),
    ("Result: 4\nQ: next?\nResult: 5", REGEX, "stop", "ok", "4"),
    ("No such thing", REGEX, "stop", "missing", None),
    ("No such thi", REGEX, "length", "truncated", None),
    ("Result: ...", REGEX, "stop", "unparsed", None),
    ("a: 7 b: 8", r"a: (\d)|b: (\d)", "stop", "ok", "7"),  # group 1 took no part in the last match
    ("Key 12", r"\d+", "stop", "ok", "12"),
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
        ("twelve", "12", "number", True),
        (r"\frac{1}{2}", ".5", "number", True),
        ("1.5e3", "1.5 x 10^3", "number", True),
        ("nk", "kn", "text", False),
        ("The Nile.", "the nile", "text", True),
        ("(B)", "b", "choice", True),
        ("True", "yes", "yesno", True),
        (r"\tfrac12", "0.5", "latex", True),
        (r"$\left(1, 2\right)$", "(1,2)", "latex", True),
        ("(1,2)", "(2,1)", "latex", False),
        (r"\text{Even}", "even", "latex", True),
        ("7.0", "7", REGEX, True),
    ],
)
def test_pairs(one, other, format, equal):
    assert (canonical(one, format) == canonical(other, format)) is equal


def test_gold_in_gsm8k_form():
    assert canonical_gold("He has 3 * 6 = <<3*6=18>>18.\n#### 1,018", "number") == "1018"


@pytest.mark.parametrize(
    ("format", "said"),
    [("numbr", "did you mean number"), ("(a", "no regular expression"), ("answer", "choose from")],
)
def test_a_format_that_is_none(format, said):
    with pytest.raises(InputError, match=said) as caught:
        check_format(format)
    assert all(name in str(caught.value) for name in FORMATS)
    with pytest.raises(InputError):
        extract("The answer is 12.", format)


@pytest.mark.slow
@given(st.fractions(max_denominator=10**6).filter(lambda value: abs(value) < 10**12))
def test_any_fraction_survives(value):
    assert canonical(str(value), "number") == str(value)
    latex = rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    assert canonical(latex, "number") == canonical(latex, "latex") == str(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-1e9, max_value=1e9))
def test_any_decimal_equals_its_fraction(value):
    assert canonical(f"{value:,}", "number") == str(Fraction(value))


PIECES = [r"\boxed{", "}", "{", "$", "The answer is ", "\n", "<think>", "</think>", "1", "2/3", "."]
TEXTS = st.text() | st.lists(st.sampled_from([*PIECES, " ", "-", "x", "=", "5"])).map("".join)


@pytest.mark.slow
@given(TEXTS, st.sampled_from((*FORMATS, REGEX)), st.sampled_from(["stop", "length"]))
def test_any_text_gives_a_status_and_an_exact_span(text, format, finish):
    answer = extract(text, format, CHOICES, finish)
    assert answer.status in ("ok", "missing", "unparsed", "truncated")
    assert (answer.status == "ok") == (answer.canonical is not None)
    if answer.start is not None:
        assert text[answer.start : answer.end] == answer.text
    if answer.status == "ok" and format != "choice":
        assert canonical(answer.text, format) == answer.canonical


HOSTILE = {
    "code": "The answer is __import__('os').system('touch owned')",
    "boxed code": r"\boxed{__import__('os').system('touch owned')}",
    "tower": "The answer is 9**9**9**9",
    "caret": "The answer is 9^9^9^9",
    "boxed tower": r"\boxed{9^{9^{9^{9}}}}",
    "digits": "The answer is " + "9" * 10_000,
    "exponent": "The answer is 1e999999",
    "power": "The answer is 1e99",
    "parentheses": "The answer is " + "(" * 100_000 + ")" * 100_000,
    "short parentheses": "The answer is " + "(" * 100 + "x" + ")" * 100,
    "right to left": "The answer is \u202e21\u202c",
    "zero width": "The answer is 1\u200b2",
    "long line": "x" * 1_000_000 + " The answer is 12",
    "one word": "x" * 100_000,
    "many cues": "The answer is " * 70_000,
    "many numbers": "1, " * 300_000,
    "many lines": "\n" * 100_000,
    "many dollars": "$" * 100_001,
    "many brackets": r"\[" * 100_000,
    "many words": "one " * 250_000,
    "many tags": "<think>" * 70_000 + "</think>" * 70_000,
    "braces": r"\boxed{" * 100_000,
    "nul": "The answer is \x00 12",
}
EXPLOSIVE = r"(x|xx)+[^x]{2}$|(\d|\d\d)+!{2}"
"""Takes exponential time on some of these."""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("format", [*FORMATS, REGEX])
def test_hostile_text_is_cheap_and_inert(name, format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = extract(HOSTILE[name], format, CHOICES, "length" if name == "braces" else "stop")
    assert not list(tmp_path.iterdir())
    assert answer.canonical is None or len(answer.canonical) < 1000
    if format == "number" and name in ("digits", "exponent", "tower", "caret", "zero width"):
        assert answer.status == "unparsed"


@pytest.mark.parametrize("name", [name for name, text in HOSTILE.items() if len(text) > 2_000])
@pytest.mark.parametrize("format", [*FORMATS, REGEX])
def test_work_is_linear_in_hostile_text(name, format):
    once, twice = (HOSTILE[name][:n] for n in (1_000, 2_000))
    work = [
        instructions(lambda text=text: extract(text, format, CHOICES))
        for text in (twice, once, twice)
    ]
    assert work[2] < 2.1 * work[1]


@pytest.mark.parametrize("format", FORMATS)
def test_of_a_long_line_the_end_alone_is_read(format):
    short, long = ("x" * n + " The answer is 12" for n in (100_000, 1_000_000))
    extract(short, format, CHOICES)
    work = [
        instructions(lambda text=text: extract(text, format, CHOICES)) for text in (short, long)
    ]
    assert work[0] == work[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one word", "digits"])
def test_an_expression_that_takes_too_long_is_unparsed_without_a_text(name):
    answer = extract(HOSTILE[name], EXPLOSIVE)
    assert (answer.status, answer.text, answer.start) == ("unparsed", None, None)
