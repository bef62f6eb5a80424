"""A long trace in the terminal: outlined, read by section, searched."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from planted import planted_run
from rich.console import Console, RenderableType

from analysis.commands.show import show
from analysis.page.evidence import gather
from analysis.page.outline import find_words, outline, read_section, summary_of
from analysis.page.sections.traces.outline import AnswerPlaces, TraceSection
from analysis.page.sections.traces.questions import question_detail
from analysis.page.sections.traces.traces import Check, Trace, joined
from analysis.show import MOST_HITS, MOST_TEXT, show_found, show_question
from analysis.steps import segment
from cot.console import Output
from cot.errors import InputError
from cot.store.run import Run

LINES = [f"In line {i} I add {i} and {i} and get {2 * i}." for i in range(200)]
LONG = "\n\n".join(["<think>", *LINES, "\x1b[2J [red]", "</think>", "The answer is \\boxed{12}."])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("long") / "run"
    made = planted_run(folder, tables=["answers"], texts={("q02", 0): LONG})
    segment(made)
    return made


def printed(renderable: RenderableType, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False).print(renderable)
    return stream.getvalue()


def section(
    first: int, last: int, part: str = "reasoning", kind: str = "calculation"
) -> TraceSection:
    return TraceSection(
        part=part, kind=kind, first_step=first, last_step=last, n_tokens=10, logprob=-0.5
    )


TRACE = Trace(
    index=3,
    finish="stop",
    status="ok",
    answer="7",
    right=True,
    checks=[Check(wrong=True, value="7", used=None), Check(wrong=False, value="7", used=None)],
    kinds=["calculation", "check", "answer"],
    sections=[section(0, 1), section(2, 2, "answer", "answer")],
    places=AnswerPlaces(first=1, changed=2),
    pieces=[
        (0, "2 + 5 = 8.", False, 0),
        (None, "\n", False, None),
        (1, "No: ", False, None),
        (1, "2 + 5 = 7", False, 1),
        (None, "\n\n", False, None),
        (2, "So it is ", False, None),
        (2, "7", True, None),
    ],
)


def test_an_outline_counts_what_each_section_holds() -> None:
    first, second = outline(TRACE)
    assert (first.n_checked, first.n_wrong, first.answer) == (2, 1, "first appears")
    assert (second.n_checked, second.n_wrong, second.answer) == (0, 0, "last changed")
    assert first.begins == "2 + 5 = 8. No: 2 + 5 = 7"
    assert (second.section, second.part, second.n_tokens) == (1, "answer", 10)
    assert summary_of([first, second]) == (
        "2 sections, 20 tokens: 1 calculation, 1 answer; the answer first appears in section 0, "
        "last changed in section 1"
    )


def test_sections_together_are_the_text() -> None:
    parts = [joined(read_section(TRACE, i)) for i in range(2)]
    assert parts == ["2 + 5 = 8.\nNo: 2 + 5 = 7\n\n", "So it is 7"]
    assert "".join(parts) == joined(TRACE.pieces)
    with pytest.raises(InputError, match="--section 2: trace 3 has no such section; it has 0 to 1"):
        read_section(TRACE, 2)


def test_words_are_found_across_pieces_whatever_the_space_between_them() -> None:
    hits = list(find_words([TRACE], "7 so  IT"))
    assert [(hit.trace, hit.section, hit.found) for hit in hits] == [(3, 0, "7 So it")]
    assert hits[0].before.endswith("No: 2 + 5 = ")
    assert hits[0].after == " is 7"
    assert [hit.section for hit in find_words([TRACE], "7")] == [0, 1]
    assert list(find_words([TRACE], ".*")) == []
    with pytest.raises(InputError, match="--find takes the words"):
        list(find_words([TRACE], " "))


def test_a_question_says_how_its_long_trace_is_made_up(run: Run) -> None:
    text = " ".join(printed(show_question(run, "q02")).split())
    n = len(run.table("sections").query("question_id == 'q02' and sample_index == 0"))
    assert n > 3
    assert f"{n} sections" in text
    assert "--trace 0 outlines it" in text
    assert "line 150" not in text
    assert "She gets 7 more, so 5 + 7 = 12." in text  # a short trace stands as it is


def test_an_outline_has_a_line_a_section_and_hides_no_part(run: Run) -> None:
    shown = printed(show_question(run, "q02", trace=0))
    table = run.table("sections").query("question_id == 'q02' and sample_index == 0")
    lines = [line.split() for line in shown[shown.index(" begins") :].splitlines()]
    numbered = [words[0] for words in lines if len(words) > 5 and words[0].isdigit()]
    assert numbered == [str(i) for i in range(len(table))]
    assert "[answer]" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_section_is_read_whole_and_inert(run: Run) -> None:
    trace = (question_detail(gather(run), "q02").traces or [])[0]
    texts = [joined(read_section(trace, i)) for i in range(len(trace.sections))]
    assert "".join(texts) == LONG
    at = next(i for i, text in enumerate(texts) if "[red]" in text)
    shown = printed(show_question(run, "q02", 0, at))
    assert "\x1b" not in shown
    assert "\\x1b[2J [red]" in shown
    assert f"section {at} of {len(texts)}" in shown


def test_a_long_trace_without_sections_is_cut_and_that_is_said(tmp_path: Path) -> None:
    bare = planted_run(tmp_path / "run", tables=[], texts={("q02", 0): LONG})
    assert f"{len(LONG) - MOST_TEXT:,} more characters" in printed(show_question(bare, "q02"))
    whole = " ".join(printed(show_question(bare, "q02", trace=0)).split())
    assert LINES[-1] in whole


def test_what_is_found_is_counted_and_inert(run: Run) -> None:
    shown = " ".join(printed(show_found(run, "q02", "in LINE"), width=200).split())
    assert f"200 places in 1 of 8 traces; the first {MOST_HITS} are shown" in shown
    assert "\x1b" not in printed(show_found(run, "q02", "[red]"))
    assert "0 places in 0 of 1 traces" in printed(show_found(run, "q02", "in line", trace=1))
    with pytest.raises(InputError, match="'q02' has no trace 9: choose from 0, 1, 2"):
        show_found(run, "q02", "line", trace=9)


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"trace": 0}, "--trace: name a question"),
        ({"find": "x"}, "--find: name a question"),
    ],
)
def test_a_trace_needs_its_question(run: Run, given: dict[str, object], refused: str) -> None:
    with pytest.raises(InputError, match=refused):
        show(run.path, **given)  # type: ignore[arg-type]


def test_a_section_needs_its_trace(run: Run) -> None:
    with pytest.raises(InputError, match="--section needs --trace"):
        show(run.path, "q02", section=1)


def test_what_is_read_and_found_is_json_too(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run.path, "q02", trace=0, section=1, output=Output(json=True))
    read = json.loads(capsys.readouterr().out)
    assert (read["trace"], read["section"]) == (0, 1)
    assert read["text"] in LONG
    show(run.path, "q02", find="in line 17 i", output=Output(json=True))
    (hit,) = json.loads(capsys.readouterr().out)["found"]
    assert (hit["trace"], hit["found"]) == (0, "In line 17 I")
    show(run.path, "q02", trace=3, output=Output(json=True))
    assert [each["index"] for each in json.loads(capsys.readouterr().out)["traces"]] == [3]
