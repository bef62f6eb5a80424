"""A run and a question in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from planted import HOSTILE, planted_run
from rich.console import Console, RenderableType

from analysis.show import show_question, show_run
from cot.errors import InputError
from cot.run import Run


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
    run.write_table("answers", answers.iloc[:-1], command="answers", parameters={}, inputs=[])
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
