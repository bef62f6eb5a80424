"""A run and a question in the terminal, 80 columns wide."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import HOSTILE, planted_run
from rich.console import Console, RenderableType
from written import write_table

from analysis.commands.show import show
from analysis.page.comparison import align, compare
from analysis.page.evidence import gather
from analysis.page.sections.questions import question_rows
from analysis.show import MOST_TEXT, show_comparison, show_question, show_run
from cot.console import Output
from cot.errors import InputError
from cot.store.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    texts = {("q03", 1): HOSTILE, ("q03", 2): "[red]not markup[/red] [/] \x9b2J"}
    return planted_run(tmp_path_factory.mktemp("show") / "run", texts=texts)


def printed(renderable: RenderableType, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False).print(renderable)
    return stream.getvalue()


def said(renderable: RenderableType) -> str:
    """What is printed, without the line breaks."""
    return " ".join(printed(renderable).split())


def test_a_run_opens_with_its_suspicious_questions_then_findings_then_counts(planted: Run) -> None:
    text = printed(show_run(planted))
    lines = text.splitlines()
    assert lines[0] == "arithmetic · planted-135m"
    assert lines[2] == "Suspicious questions"
    worst = planted.table("agreement").sort_values("suspicion", ascending=False).iloc[0]
    assert lines[6].split()[:2] == [worst["question_id"], f"{worst['suspicion']:.2f}"]
    shown = said(show_run(planted))
    assert worst["why"] in shown
    assert "The majority vote beats a single trace by 15.9 points" in shown
    assert 0 < shown.index(worst["why"]) < shown.index("The majority vote beats")
    assert shown.index("The majority vote beats") < shown.index("96 8 a question")
    assert "stale" not in shown


def test_settings_are_shown_where_they_are_asked_for(planted: Run) -> None:
    assert "temperature" not in said(show_run(planted))
    assert "--settings" in said(show_run(planted))
    assert "temperature 0.7" in said(show_run(planted, settings=True))


def test_the_numbers_behind_findings_are_shown_where_they_are_asked_for(planted: Run) -> None:
    assert "--numbers" in said(show_run(planted))
    assert "95% interval questions traces left out" not in said(show_run(planted))
    shown = said(show_run(planted, numbers=True))
    assert "95% interval questions traces left out" in shown
    assert "Mean single trace 65.9% 55.9% to 75.9% 11 88 1" in shown
    assert "TF-IDF 0.61" in shown


def test_states_that_moved_an_answer_are_shown_with_its_question(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run")
    assert "states moved" not in said(show_question(run, "q03"))
    moved = run.table("agreement").assign(states_moved=0.25, n_patched=8)
    write_table(run, "agreement", moved, command="agree")
    assert "states moved the answer: 25.0% of 8 traces" in said(show_question(run, "q03"))
    assert {row.moved for row in question_rows(gather(run))} == {0.25}
    rows = run.table("findings_agree")
    share = {"measure": "states_moved", "subject": "patching", "estimate": 0.25}
    share |= {"low": 0.1, "high": 0.4, "null_mean": 0.05, "null_high": None, "p": None}
    more = [share, share | {"baseline": "same_answer", "low": 0.05}]
    without = {"measure": "auroc", "subject": "suspicion_without_knockout", "estimate": 0.6}
    gain = without | {"subject": "suspicion", "baseline": "suspicion_without_knockout"}
    more += [share | without, share | gain]
    some = pd.DataFrame([{**rows.iloc[0], "baseline": "", **row} for row in more])
    write_table(run, "findings_agree", pd.concat([rows, some], ignore_index=True), command="agree")
    shown = said(show_run(run, numbers=True))
    assert "Another answer’s state moves the answer more often than the control does" in shown
    assert "0.25 0.10 to 0.40" in shown
    assert "control 0.05" in shown
    assert "helps suspicion to rank wrong majorities" in shown
    assert "Suspicion without the doubt" in shown


def test_a_run_says_which_tables_are_missing_or_stale(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "votes"])
    answers = run.table("answers")
    write_table(run, "answers", answers.iloc[:-1], command="answers", parameters={}, inputs=[])
    text = " ".join(printed(show_run(run), width=250).split())
    assert "vote stale: answers changed after it was made" in text
    assert f"paths none: cot paths {run.path}" in text
    assert f"No question is ranked by suspicion yet: cot agree {run.path} does that." in text


def test_a_question_shows_votes_clusters_and_traces(planted: Run) -> None:
    lines = printed(show_question(planted, "q03")).splitlines()
    assert lines[0].strip() == "q03 · gold 14"
    cells = [line.split() for line in lines]
    assert ["13", "3", "37.5%", "✗", "wrong"] in cells
    assert ["14", "2", "25.0%", "✓", "right"] in cells


def test_each_trace_has_a_line_on_it_and_its_text_at_the_full_width(tmp_path: Path) -> None:
    words = " ".join(f"word{i}" for i in range(40))
    run = planted_run(tmp_path / "run", texts={("q02", 0): f"{words}\nSo 5 + 7 = 12."})
    lines = [line.rstrip() for line in printed(show_question(run, "q02")).splitlines()]
    head = next(i for i, line in enumerate(lines) if line.startswith("#0 · "))
    assert "· cluster " in lines[head]
    end = lines.index("So 5 + 7 = 12.")
    assert " ".join(lines[head + 1 : end]).split()[:40] == words.split()
    assert max(len(line) for line in lines[head + 1 : end]) > 70


def test_what_is_cut_from_a_long_text_is_said(tmp_path: Path) -> None:
    long = "a" * (MOST_TEXT + 1234)
    run = planted_run(tmp_path / "run", texts={("q02", 0): long})
    shown = printed(show_question(run, "q02"))
    assert shown.count("a" * 80) >= MOST_TEXT // 80
    assert "… 1,234 more characters" in shown


def test_at_80_columns_no_cell_is_cut(planted: Run) -> None:
    for view in (
        show_run(planted, settings=True, numbers=True),
        show_question(planted, "q03"),
        show_comparison(planted, "q02", 0, 7),
    ):
        narrow, wide = printed(view), printed(view, width=400)
        assert max(map(len, narrow.splitlines())) <= 80
        assert sorted(letters(narrow)) == sorted(letters(wide))


def letters(text: str) -> str:
    """Without white space and rules, which depend on the width."""
    return "".join(each for each in text if not each.isspace() and each != "─")


def test_a_question_without_tables_shows_its_traces(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=[])
    assert "(not read)" in printed(show_question(run, "q00"))


def test_model_output_is_inert(planted: Run) -> None:
    text = printed(show_question(planted, "q03"), width=250)
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred" in text
    assert "[red]not markup[/red] [/] \\x9b2J" in text


def test_an_unknown_question_suggests_close_ids(planted: Run) -> None:
    with pytest.raises(InputError, match=r"no question 'q3': did you mean 'q03'"):
        show_question(planted, "q3")


def test_two_traces_stand_side_by_side(planted: Run) -> None:
    lines = printed(show_comparison(planted, "q02", 0, 7), width=250).splitlines()
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
        for line in printed(show_comparison(planted, "q02", 0, 2), width=250).splitlines()
    ]


def test_compared_model_output_is_inert(planted: Run) -> None:
    text = printed(show_comparison(planted, "q03", 1, 2), width=250)
    assert not set("\x1b\x9b\u202e") & set(text)
    assert "\\x1b[31mred" in text
    assert "[red]not markup[/red] [/] \\x9b2J" in text


def test_traces_without_tables_can_be_compared(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=[])
    assert "(not read)" in printed(show_comparison(run, "q00", 0, 1))


@pytest.mark.parametrize(
    ("pair", "refused"),
    [
        ((0, 8), r"question 'q03' has no trace 8: choose from 0, 1, 2, 3, 4, 5, 6, 7"),
        ((-1, 0), "has no trace -1"),
        ((3, 3), "name two different traces"),
    ],
)
def test_only_traces_that_are_there_are_compared(
    planted: Run, pair: tuple[int, int], refused: str
) -> None:
    with pytest.raises(InputError, match=refused):
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
    whole = json.loads(capsys.readouterr().out)
    assert whole["model"] == "planted-135m"
    assert len(whole["suspicious"]) == 12


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
