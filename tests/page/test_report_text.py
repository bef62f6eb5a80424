"""Sentences that claim no more than their intervals, numbers, and text cut without loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.figures.text import decimal, interval, percent, points, shorten, visible
from analysis.page.sections.opening.card import agreement_claim, doubt_claim, moved_claim
from analysis.page.sections.probes.card import probe_claim
from analysis.page.sections.traces.traces import cut
from analysis.page.sections.votes import gain_claim

SPANS = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: tuple(sorted(pair)))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "The majority vote beats a single trace by 10.0 points"),
        (-0.01, 0.2, "is not shown to beat a single trace"),
        (0.0, 0.2, "is not shown to beat a single trace"),
        (-0.2, -0.01, "is worse than a single trace by −10.0 points"),
    ],
)
def test_a_gain_is_claimed_only_where_its_interval_excludes_zero(
    low: float, high: float, said: str
) -> None:
    gain = {"estimate": 0.1, "low": low, "high": high, "n_questions": 40}
    assert said in gain_claim("majority", gain)


def test_a_probe_must_clear_chance_then_its_controls() -> None:
    assert "reaches down to chance" in probe_claim({"low": 0.50}, 0.49, {"length": 0.4})
    assert "reaches down to chance" in probe_claim({"low": 0.52}, 0.53, {"length": 0.4})
    assert "not shown to know more than the length" in probe_claim(
        {"low": 0.55}, 0.5, {"length": 0.56, "TF-IDF": 0.5}
    )
    assert "better than chance and than the length" in probe_claim(
        {"low": 0.6}, 0.5, {"length": 0.56}
    )
    undefined = {"low": None, "method": "undefined: all 8 traces are positive"}
    assert "all 8 traces are positive" in probe_claim(undefined, None, {})


@pytest.mark.parametrize(
    ("p", "low", "unshown"), [(0.01, 0.1, False), (0.2, 0.1, True), (0.01, -0.01, True)]
)
def test_an_agreement_that_the_null_explains_is_not_shown(
    p: float, low: float, unshown: bool
) -> None:
    finding = {"estimate": 0.2, "low": low, "null_mean": 0.0, "p": p}
    claim = agreement_claim(finding | {"measure": "ami", "subject": "answers × clusters"})
    assert claim.startswith("Answers and clusters")
    assert ("agreement beyond chance is not shown" in claim) == unshown
    assert ("more than chance" in claim) != unshown


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "helps suspicion"),
        (-0.01, 0.2, "not shown to help"),
        (-0.2, -0.01, "harms suspicion"),
        (None, None, "undefined"),
    ],
)
def test_a_doubt_helps_only_where_its_interval_excludes_zero(
    low: float | None, high: float | None, said: str
) -> None:
    finding = {"estimate": None if low is None else 0.1, "low": low, "high": high}
    assert said in doubt_claim(finding)


def test_states_moved_answers_only_where_they_do_so_more_often_than_the_control() -> None:
    share = {"estimate": 0.4, "low": 0.3, "high": 0.5, "null_mean": 0.1, "baseline": ""}
    beyond = {"baseline": "same_answer", "low": 0.1}
    said = moved_claim(share, beyond)
    assert "more often than the control does (0.40 of a question’s traces" in said
    assert said.endswith("95% interval 0.30 to 0.50; the control 0.10).")
    for less in (beyond | {"low": 0.0}, beyond | {"low": None}, share):
        assert "is not shown to move the answer" in moved_claim(share, less)
    assert "unknown" in moved_claim(share | {"estimate": None}, beyond)


def test_numbers() -> None:
    assert percent(0.4833) == "48.3%"
    assert percent(None) == decimal(None) == interval(None, 1.0, decimal) == "–"
    assert points(-0.0312) == "−3.1"
    assert decimal(-0.001) == "0.00"
    assert interval(-0.1, 0.25, decimal) == "−0.10 to 0.25"
    assert shorten("one\ntwo  three", 9) == "one two…"


@given(st.text())
def test_visible_text_commands_no_terminal(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown)


def test_visible_keeps_ordinary_text() -> None:
    assert visible("naïve 😀\tlines\r\nand\nmore") == "naïve 😀\tlines\nand\nmore"
    assert visible("\x1b[2J\x9b\u202e") == "\\x1b[2J\\x9b\\u202e"


@given(
    st.text(max_size=40),
    st.lists(SPANS, max_size=5),
    st.none() | SPANS,
    st.lists(SPANS, max_size=3),
)
def test_pieces_join_to_the_text_whatever_the_spans(
    text: str,
    steps: list[tuple[int, int]],
    answer: tuple[int, int] | None,
    equations: list[tuple[int, int]],
) -> None:
    assert "".join(piece for _, piece, *_ in cut(text, steps, answer, equations)) == text


@pytest.mark.slow
@given(st.text(max_size=40), st.lists(SPANS, max_size=8))
def test_a_piece_is_of_the_first_step_that_holds_it(
    text: str, steps: list[tuple[int, int]]
) -> None:
    start = 0
    for step, piece, _, _ in cut(text, steps, None):
        end = start + len(piece)
        around = [i for i, (low, high) in enumerate(steps) if low <= start and end <= high]
        assert step == next(iter(around), None)
        start = end


def test_pieces_know_their_step_and_the_answer() -> None:
    text = "😀 2 + 2 = 4.\nSo 4."
    assert cut(text, [(0, 12), (13, 18)], (16, 17)) == [
        (0, "😀 2 + 2 = 4.", False, None),
        (None, "\n", False, None),
        (1, "So ", False, None),
        (1, "4", True, None),
        (1, ".", False, None),
    ]


def test_a_piece_may_be_answer_and_equation_at_once() -> None:
    assert cut("2 + 2 = 5.", [(0, 10)], (8, 9), [(0, 9)]) == [
        (0, "2 + 2 = ", False, 0),
        (0, "5", True, 0),
        (0, ".", False, None),
    ]
