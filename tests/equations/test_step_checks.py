"""What the equations of a whole trace show."""

from __future__ import annotations

import pytest

from analysis.equations.checks import check_trace
from cot.datasets.arithmetic import make
from cot.steps import segment


def test_rows_name_their_steps() -> None:
    text = "Mia starts with 5 books. She buys 7, so 5 + 7 = 13. Then 13 * 2 = 26. The answer is 26."
    found = check_trace(text, segment(text), "26")
    assert [(row.step, row.verdict, str(row.value)) for row in found.rows] == [
        (1, "wrong", "12"),
        (2, "right", "26"),
    ]
    assert [row.used_later for row in found.rows] == [True, True]
    assert (found.n_checked, found.n_wrong, found.wrong_used, found.follows) == (2, 1, True, True)


def test_a_wrong_result_that_is_not_used() -> None:
    text = "12 * 8 = 100. 12 + 10 = 22. 22 - 1 = 21. The answer is 21."
    found = check_trace(text, [], "21")
    assert [row.used_later for row in found.rows] == [False, True, True]
    assert (found.n_wrong, found.wrong_used) == (1, False)
    assert found.rows[0].step is None


@pytest.mark.parametrize(
    ("text", "final", "follows"),
    [
        ("5 + 7 = 12. The answer is 12.", "12", True),
        ("5 + 7 = 12. 12 * 2 = 24. The answer is 12.", "12", True),
        ("5 + 7 = 12. The answer is 13.", "13", False),
        ("1 / 2 = 0.5", "1/2", True),
        ("The answer is 12.", "12", None),
        ("5 + 7 = 12.", None, None),
        ("5 + 7 = 12. The answer is (B).", "B", None),
        ("", None, None),
    ],
)
def test_follows(text: str, final: str | None, follows: bool | None) -> None:
    assert check_trace(text, [], final).follows is follows


def test_gold_values() -> None:
    text = "5 + 7 = 12. 12 * 2 = 25. The answer is 25."
    assert check_trace(text, [], "25", [12, 24]).gold_found == 1
    assert check_trace(text, [], "25", ["12", "25"]).gold_found == 2
    assert check_trace(text, [], "25").gold_found == 0


@pytest.mark.parametrize("level", range(1, 7))
def test_worked_solutions_hold(level: int) -> None:
    for index in range(20):
        question = make(level, 0, index)
        text, gold = question.meta["solution"], question.meta["gold_steps"]
        found = check_trace(text, segment(text), question.gold, gold)
        assert (found.n_checked, found.n_wrong, found.follows) == (level, 0, True)
        assert found.gold_found == level


def test_a_recital_of_the_next_question_does_not_count() -> None:
    text = " 5 + 7 = 12. The answer is 12.\n\nQ: Leo has 3 coins.\nA: 3 + 1 = 5. The answer is 5."
    found = check_trace(text, segment(text), "12")
    assert [row.equation.text for row in found.rows] == ["5 + 7 = 12"]


def test_uncheckable_equations_are_not_counted() -> None:
    found = check_trace("x + 5 = 12, so 12 - 5 = 7.", [], "7")
    assert [row.verdict for row in found.rows] == ["uncheckable", "right"]
    assert (found.n_checked, found.n_wrong) == (1, 0)
