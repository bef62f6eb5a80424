"""Spans are exact for any text; styles that real models write split where a reader would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cot.steps import MINIMUM_LENGTH, kind_of, segment

PIECES = st.sampled_from(
    [
        "a",
        "5",
        ".",
        "!",
        "?",
        " ",
        "\n",
        "1.",
        "<think>",
        "</think>",
        "e.g.",
        "3.14",
        "é",
        "\u200b",
        "\r",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_spans_and_gaps_give_the_text_back(text):
    spans = segment(text)
    rebuilt, at = "", 0
    for span in spans:
        assert at <= span.start < span.end <= len(text)
        assert not text[at : span.start].strip(), "a gap holds white space only"
        rebuilt += text[at : span.start] + text[span.start : span.end]
        at = span.end
    assert not text[at:].strip()
    assert rebuilt + text[at:] == text


@given(st.text())
def test_only_a_lone_step_is_short(text):
    spans = segment(text)
    if len(spans) > 1:
        assert all(span.end - span.start >= MINIMUM_LENGTH for span in spans)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("  \n ", []),
        (" 12", ["12"]),
        ("It costs 3.50 dollars. So 2 * 3.50 = 7.", ["It costs 3.50 dollars.", "So 2 * 3.50 = 7."]),
        ("Mr. Smith has 4 apples. He eats 1.", ["Mr. Smith has 4 apples.", "He eats 1."]),
        (
            "1. Add the numbers.\n2. Divide by two.\n3. Done with it all.",
            ["1. Add the numbers.", "2. Divide by two.", "3. Done with it all."],
        ),
        ("- first, 5 + 7 = 12\n- then 12 - 2 = 10", ["- first, 5 + 7 = 12", "- then 12 - 2 = 10"]),
        ("First I add the two. Ok. Then I stop", ["First I add the two.", "Ok. Then I stop"]),
        ("She has twelve left! Is that so? Yes.", ["She has twelve left!", "Is that so? Yes."]),
        (
            "<think>Let me add them up.</think>The answer is 12.",
            ["<think>Let me add them up.</think>", "The answer is 12."],
        ),
        ("It is cut off in the mid", ["It is cut off in the mid"]),
    ],
)
def test_splits_where_a_reader_would(text, steps):
    assert [text[span.start : span.end] for span in segment(text)] == steps


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("Mia starts with 5 books.", "setup"),
        ("So 5 + 7 = 12.", "calculation"),
        ("That is 4 times 6.", "calculation"),
        ("The answer is 12.", "conclusion"),
        ("Wait, that is not right: 5 + 7 = 12.", "check"),
        ("Let us think.", "other"),
    ],
)
def test_kinds(step, kind):
    assert kind_of(step) == kind
