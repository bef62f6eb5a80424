"""Sections hold whole steps of one part, are neither tiny nor endless, and say what they do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import trace_of

from cot.steps import kinds_of, sections, segment
from cot.steps.sections import LONGEST, SHORTEST
from tests.work import instructions

LINE = "The side of the square is 4 cm and so on. "
"""42 characters."""
PIECES = st.sampled_from(
    [LINE, "\n\n", "\n", "Wait, no. ", "<think>", "</think>", "So 5 + 7 = 12. ", "x" * 900, "a "]
)


def starts(text):
    return [text[each.start : each.start + 12] for each in sections(text, segment(text))]


@given(st.lists(PIECES).map("".join))
def test_each_step_is_in_one_section_of_its_part(text):
    steps = segment(text)
    found = sections(text, steps)
    held = [i for each in found for i in range(each.first_step, each.last_step + 1)]
    assert held == list(range(len(steps)))
    for each in found:
        own = steps[each.first_step : each.last_step + 1]
        assert (each.start, each.end) == (own[0].start, own[-1].end)
        assert {step.part for step in own} == {each.part}
        sizes = [step.end - step.start for step in own]
        tail = 0  # a short end may have joined, behind the step with which the section was full
        while sizes and tail + sizes[-1] < SHORTEST:
            tail += sizes.pop()
        assert sum(sizes[:-1]) < LONGEST
    parts = [each.part for each in found]
    for each, before, after in zip(found, [None, *parts], [*parts[1:], None], strict=False):
        assert each.end - each.start >= SHORTEST or each.part not in (before, after)


def test_a_short_trace_is_one_section():
    assert len(starts("Mia has 5.\n\nShe buys 7 more, so 5 + 7 = 12.\n\nThe answer is 12.")) == 1
    assert starts(" \n") == []


def test_a_paragraph_begins_a_section_once_the_one_before_is_long_enough():
    text = LINE * 2 + "\n\nShort here. " + LINE * 4 + "\n\nNext it is. " + LINE * 6
    assert starts(text) == ["The side of ", "Next it is. "]


def test_a_change_of_plan_begins_a_section():
    text = LINE * 6 + "Wait, that is wrong. " + LINE * 6 + "So far it is 5. " + LINE * 6
    assert starts(text) == ["The side of ", "Wait, that i", "So far it is"]


def test_a_section_ends_without_paragraphs_too():
    assert len(starts(LINE * 200)) == pytest.approx(len(LINE) * 200 / LONGEST, abs=1)


def test_the_answer_is_no_part_of_a_section_of_reasoning():
    assert starts("<think>Is it five?</think>It is 5 now.") == ["<think>Is it", "It is 5 now."]


def test_a_section_is_of_the_kind_that_holds_most_characters():
    text = "So 5 + 7 = 12. " + "Maybe it is not so sure at all, I wonder. " * 2
    (section,) = sections(text, segment(text))
    assert section.kind == "uncertainty"


def test_a_section_that_opens_with_a_backtrack_is_one():
    text = "Wait, no. That is. " + "So 5 + 7 = 12, and that is what it is here. " * 2
    (section,) = sections(text, segment(text))
    assert section.kind == "backtrack"


@pytest.mark.parametrize(
    "piece", ["Wait, no more.\n", "\n\n5 + 7 = 12 it is.", "=1", "1-11", "so "]
)
def test_work_is_linear_in_steps(piece):
    once, twice = (piece * (n // len(piece)) for n in (4_000, 8_000))
    steps = {text: segment(text) for text in (once, twice)}
    assert instructions(lambda: sections(twice, steps[twice])) < 2.2 * instructions(
        lambda: sections(once, steps[once])
    )
    assert instructions(lambda: kinds_of([twice])) < 2.2 * instructions(lambda: kinds_of([once]))


def test_a_run_has_sections_and_says_how_much_is_of_each_kind(tmp_path):
    from analysis.declaration import declared
    from analysis.steps import segment as segment_run
    from cot.store.run import create_run
    from cot.types import Question

    run = create_run(tmp_path / "run", {"model": None})
    text = "<think>Mia has 5 books.\nSo 5 + 7 = 12.\nWait, no way here.</think>The answer is 12."
    with run.lock():
        run.add_questions([Question(id="q", text="5 + 7?")])
        with run.writer() as writer:
            writer.add(trace_of("q", 0, text))
    steps = segment_run(run)
    assert list(steps["kind"]) == ["setup", "calculation", "backtrack", "answer"]
    assert list(steps["section"]) == [0, 0, 0, 1]
    rows = run.table("sections")
    assert list(rows["part"]) == ["reasoning", "answer"]
    assert list(zip(rows["first_step"], rows["last_step"], strict=True)) == [(0, 2), (3, 3)]
    assert [text[a:b] for a, b in zip(rows["start"], rows["end"], strict=True)] == [
        text[: text.index("The")],
        "The answer is 12.",
    ]
    shown = declared(segment_run).show(run, steps).json
    assert (shown["n_steps"], shown["n_sections"], shown["n_answer_steps"]) == (4, 2, 1)
    assert shown["kinds"]["answer"] == 0.25
    assert sum(shown["kinds"].values()) == 1
