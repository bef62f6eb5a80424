"""What becomes of a false equation: it reaches the answer, is corrected, or leads nowhere."""

from __future__ import annotations

import pytest

from analysis.equations.checks import check_trace
from tests.work import instructions

WAIT = "Wait, that's not right."
REACHES = {
    "directly": ("5 + 7 = 13. The answer is 13.", "13"),
    "through a chain of equations": ("5 + 7 = 13. 13 * 2 = 26. 26 - 1 = 25.", "25"),
    "through a chain of sides": ("5 + 8 = 6 * 2 = 12. The answer is 12.", "12"),
    "into a result that is right by luck": ("5 + 7 = 13. 13 * 2 = 24.", "24"),
    "said again": ("5 + 7 = 13. 3 * 3 = 9. Yes, 7 + 5 = 13.", "13"),
    "as a fraction of two numbers": ("1/2 + 1/4 = 2/6. 2/6 * 12 = 4.", "4"),
    "rounded": ("0.13 * 0.77 = 0.10123. 0.101 * 1000 = 101.", "101"),
    "as a percentage": ("6 / 20 * 100 = 35%. 35 + 1 = 36.", "36"),
    "in an answer of more numbers": ("5 + 7 = 13. So (x, y) = (13, 2).", "(13, 2)"),
    "doubted but kept": (f"5 + 7 = 13. {WAIT} No, it is. 13 * 2 = 26.", "26"),
    "by what was computed before it was taken back": (
        "5 + 7 = 13. 13 * 2 = 26. Wait, 5 + 7 = 12. The answer is 26.",
        "26",
    ),
    "said again as one expression": ("9 - 4 = 5. 5 * 6 = 24. Answer: (9 - 4) * 6 = 24.", "24"),
    "though it was taken back": ("5 + 7 = 13. Wait, 5 + 7 = 12. There are 13 owls.", "13"),
    "only asked about": ("5 + 7 = 13. Is that wrong? I keep it. The answer is 13.", "13"),
}
CORRECTED = {
    "by the right result": ("5 + 7 = 13. Hmm. 5 + 7 = 12. 12 * 2 = 24.", "24"),
    "with operands in another order": ("5 + 7 = 13. But 7 + 5 = 12. 12 * 2 = 24.", "24"),
    "by another false result": ("5 + 7 = 13. No: 5 + 7 = 14. 14 * 2 = 28.", "28"),
    "after it was used": ("5 + 7 = 13. 13 * 2 = 26. Wait, 5 + 7 = 12. 12 * 2 = 24.", "24"),
    "by its value in words": ("4 * 17 = 78. Wait, no, it's 68. 68 + 1 = 69.", "69"),
    "in another way": (f"4 * 17 = 78. {WAIT} 40 + 28 = 68. 68 + 78 = 146.", "146"),
    "by words, and not used": (f"4 * 17 = 78. {WAIT} Let me think of 3 * 5 = 15.", "15"),
    "by a bare wait": ("4 * 17 = 78, wait, 3 * 5 = 15.", "15"),
    "though the answer has its value": (
        "5 + 7 = 13. Wait, 5 + 7 = 12. Then 12 + 1 = 13. The answer is 13.",
        "13",
    ),
    "by what computes the same from the same numbers": (
        "9 - 4 = 5. 5 * 6 = 24. Check: (9 - 4) * 6 = 30.",
        "30",
    ),
}
NEITHER = {
    "left alone": ("5 + 7 = 13. 3 * 3 = 9.", "9"),
    "used for what leads nowhere": ("5 + 7 = 13. 13 * 2 = 26. 3 * 3 = 9.", "9"),
    "the same value computed elsewhere": ("5 + 8 = 12. 6 * 2 = 12. 12 * 2 = 24.", "24"),
    "the right one before it": ("5 + 7 = 12. 5 + 7 = 13. 3 * 3 = 9.", "9"),
    "words that are of something else": ("5 + 7 = 13. " + "So be it. " * 40 + WAIT, "9"),
    "a rounding of two digits": ("0.13 * 0.77 = 0.10123. 0.1 * 100 = 10.", "10"),
    "through an unknown": ("5 + 7 = 13. x + 13 = 20. x = 7.", "7"),
}


def outcome(text: str, final: str | None) -> tuple[bool | None, bool | None]:
    row = next(row for row in check_trace(text, [], final).rows if row.verdict == "wrong")
    return row.reaches_answer, row.corrected


@pytest.mark.parametrize("case", REACHES)
def test_it_reaches_the_answer(case: str) -> None:
    assert outcome(*REACHES[case]) == (True, False)


@pytest.mark.parametrize("case", CORRECTED)
def test_it_is_corrected(case: str) -> None:
    assert outcome(*CORRECTED[case]) == (False, True)


@pytest.mark.parametrize("case", NEITHER)
def test_it_is_neither(case: str) -> None:
    assert outcome(*NEITHER[case]) == (False, False)


def test_an_answer_without_a_number_is_not_known_to_come_from_it() -> None:
    assert outcome("5 + 7 = 13.", "yes") == (None, False)
    assert outcome("5 + 7 = 13.", None) == (None, False)
    assert outcome("5 + 7 = 13. No, 5 + 7 = 12.", "yes") == (None, True)
    assert check_trace("5 + 7 = 13.", [], "yes").n_reaching is None
    assert check_trace("5 + 7 = 12.", [], "yes").n_reaching == 0


def test_a_choice_is_its_number() -> None:
    choices = ["12 owls", "13 owls"]
    found = [check_trace("5 + 7 = 13.", [], letter, choices=choices) for letter in "ABC"]
    assert [each.n_reaching for each in found] == [0, 1, None]


def test_equations_that_are_not_wrong_have_no_outcome() -> None:
    rows = check_trace("5 + 7 = 12. x + 5 = 12.", [], "12").rows
    assert [(row.reaches_answer, row.corrected) for row in rows] == [(None, None)] * 2


def test_counts_are_of_the_trace() -> None:
    text = "5 + 7 = 13. Wait, 5 + 7 = 12. 12 * 2 = 25. 3 * 3 = 8. The answer is 25."
    found = check_trace(text, [], "25")
    assert (found.n_wrong, found.n_corrected, found.n_reaching) == (3, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["5 + 7 = 13. ", "5 + 7 = 13. 5 + 7 = 14. ", "13 + 13 = 13. ", "2 * 2 = 5, wait, "]
)
def test_work_is_linear(unit: str) -> None:
    def work(n: int) -> int:
        return instructions(lambda: check_trace(unit * n, [], "13"))

    assert work(400) < 2.5 * work(200)
