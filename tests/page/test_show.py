"""A run and a question in the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from analysis.commands.report import show
from hypothesis import given
from hypothesis import strategies as st
from planted import HOSTILE, planted_run
from rich.console import Console, RenderableType
from written import write_table

from analysis.page.comparison import align, compare
from analysis.show import show_comparison, show_question, show_run
from cot.console import Output
from cot.errors import InputError
from cot.store.run import Run


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    texts = {("q03", 1): HOSTILE, ("q03", 2): "[red]not markup[/red] [/] \x9b2J"}
    return planted_run(tmp_path_factory.mktemp("show") / "run", texts=texts)


def printed(renderable: RenderableType) -> str:
    stream = io.StringIO()
    Console(file=stream, width=250, force_terminal=False).print(renderable)
    return stream.getvalue()


def test_a_run_shows_counts_settings_tables_and_findings(planted: Run) -> None:
    text = printed(show_run(planted))
    assert "arithmetic · planted-135m" in text
    assert "96 traces (8 a question), 1 truncated" in text
    assert "0.7" in text
    assert "The majority vote beats a single trace by 15.9 points" in text
    assert "stale" not in text


def test_a_run_says_which_tables_are_missing_or_stale(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "votes"])
    answers = run.table("answers")
    write_table(run, "answers", answers.iloc[:-1], command="answers", parameters={}, inputs=[])
    text = printed(show_run(run))
    assert "stale: answers changed after it was made" in text
    assert f"none: cot paths {run.path}" in text


def test_a_question_shows_votes_paths_and_traces(planted: Run) -> None:
    lines = printed(show_question(planted, "q03")).splitlines()
    assert lines[0].strip() == "q03 · gold 14"
    cells = [line.split() for line in lines]
    assert ["13", "3", "37.5%", "✗", "wrong"] in cells
    assert ["14", "2", "25.0%", "✓", "right"] in cells
    assert any(row[:6] == ["0", "0", "0.65", "14", "✓", "right"] for row in cells)


def test_a_question_without_tables_shows_its_traces(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=[])
    assert "(not read)" in printed(show_question(run, "q00"))


def test_model_output_is_inert(planted: Run) -> None:
    text = printed(show_question(planted, "q03"))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred" in text
    assert "[red]not markup[/red] [/] \\x9b2J" in text


def test_an_unknown_question_suggests_close_ids(planted: Run) -> None:
    with pytest.raises(InputError, match=r"no question 'q3': did you mean 'q03'"):
        show_question(planted, "q3")


def test_two_traces_stand_side_by_side(planted: Run) -> None:
    lines = printed(show_comparison(planted, "q02", 0, 7)).splitlines()
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert ["#0", "#7"] in rows
    assert ["answer", "12 ✓ right", "(truncated)"] in rows
    assert ["dataflow", "add(5,7)", "add(5,7)"] in rows
    assert ["equations", "0 of 1 wrong", "1 of 1 wrong"] in rows
    right, wrong = "She gets 7 more, so 5 + 7 = 12.", "She gets 7 more, so 5 + 7 = 10 ✗ is 12."
    assert [right, wrong] in rows  # one row, though the first trace has a step before it
    assert ["Ada starts with 5 pens."] in rows
    assert ["=", "Ada starts with 5 pens.", "Ada starts with 5 pens."] in [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in printed(show_comparison(planted, "q02", 0, 2)).splitlines()
    ]


def test_compared_model_output_is_inert(planted: Run) -> None:
    text = printed(show_comparison(planted, "q03", 1, 2))
    assert not set("\x1b\x9b\u202e") & set(text)
    assert "\\x1b[31mred" in text
    assert "[red]not markup[/red] [/] \\x9b2J" in text


def test_traces_without_tables_can_be_compared(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=[])
    assert "(not read)" in printed(show_comparison(run, "q00", 0, 1))


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ((0, 8), r"question 'q03' has no trace 8: choose from 0, 1, 2, 3, 4, 5, 6, 7"),
        ((-1, 0), "has no trace -1"),
        ((3, 3), "name two different traces"),
    ],
)
def test_only_traces_that_are_there_are_compared(
    planted: Run, pair: tuple[int, int], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        compare(planted, "q03", *pair)


def test_a_comparison_needs_a_question(planted: Run) -> None:
    with pytest.raises(InputError, match="--compare needs the question"):
        show(planted.path, compare=(0, 1))


def test_all_that_is_shown_is_json_too(planted: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(planted.path, "q02", compare=(0, 7), output=Output(json=True))
    compared = json.loads(capsys.readouterr().out)
    assert [trace["index"] for trace in compared["traces"]] == [0, 7]
    assert compared["rows"][0] == ["Ada starts with 5 pens.", None]
    assert compared["traces"][1]["computed"]["n_wrong"] == 1
    show(planted.path, "q02", output=Output(json=True))
    question = json.loads(capsys.readouterr().out)
    assert question["traces"][7]["text"] == "She gets 7 more, so 5 + 7 = 10. And then"
    show(planted.path, output=Output(json=True))
    assert json.loads(capsys.readouterr().out)["model"] == "planted-135m"


STEPS = st.lists(st.sampled_from(["5 + 7 = 12", "so 12", "then 12 * 2 = 24", "", "I begin"]))


@given(STEPS, STEPS)
def test_every_step_is_in_one_row_and_in_order(left: list[str], right: list[str]) -> None:
    rows = align(left, right)
    assert [i for i, _ in rows if i is not None] == list(range(len(left)))
    assert [j for _, j in rows if j is not None] == list(range(len(right)))
    assert all(row != (None, None) for row in rows)


@given(STEPS)
def test_a_trace_is_aligned_with_itself(steps: list[str]) -> None:
    assert align(steps, steps) == [(i, i) for i in range(len(steps))]
