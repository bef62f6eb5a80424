"""Tables in a terminal of any width: no cell is cropped, and what is left out is named."""

import json
import re

import pytest

from cot.cli import main
from cot.console import UNSEEN_WIDTH, Output, emit

FINDING = {
    "measure": "accuracy",
    "subject": "cisc:T=2,confidence=confidence",
    "baseline": "single",
    "estimate": 0.0375,
    "low": -0.0125,
    "high": 0.0925,
    "p": None,
    "n_questions": 80,
    "n_traces": 1200,
    "n_excluded": 37,
}
FINDINGS = [FINDING, {**FINDING, "subject": "majority", "n_questions": 1000, "n_traces": 1000000}]
VOTES = [
    {
        "rule": rule,
        "accuracy": 0.5125,
        "low": 0.4,
        "high": 0.625,
        "by_lot": 0.51,
        "n_questions": 80,
        "ties": 3,
        "abstained": 0,
        "excluded": 112,
    }
    for rule in ("majority", "sum_prob_norm", "single")
]
SCORES = [
    {"signal": "mean_answer_entropy", **{f"measure_{n}": 1234.5 + n for n in range(20)}},
]


@pytest.fixture
def printed(monkeypatch, capsys):
    def show(rows, width, **named):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        emit(Output(), {}, rows=rows, **named)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)

    return show


def tables(text):
    """The header's names and each line's cells; the note apart."""
    body, _, note = text.partition("Columns that did not fit: ")
    lines = [line.split() for line in body.splitlines() if line.strip() and "─" not in line]
    return lines[0], lines[1:], note.partition(" (")[0].split(", ") if note else []


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("rows", [FINDINGS, VOTES, SCORES], ids=["findings", "votes", "scores"])
def test_every_cell_that_is_shown_is_whole_and_no_column_vanishes_unsaid(printed, rows, width):
    text = printed(rows, width)
    if "─" not in text:
        for row in rows:
            assert all(name in text for name in row), "a row in lines has all its columns"
            for line in text.splitlines():
                assert len(line) <= width or line.startswith("subject"), "a number in two lines"
        return
    for line in text.splitlines():
        assert len(line.rstrip()) <= width or "did not fit" in line
    names, lines, left_out = tables(text)
    assert sorted([*names, *left_out]) == sorted(rows[0])
    assert names[0] == next(iter(rows[0]))
    expected = [name for name in rows[0] if name not in left_out]
    assert names == expected
    for line, row in zip(lines, rows, strict=True):
        shown = dict(zip(names, line, strict=True))
        for name in ("n_questions", "n_traces", "n_excluded", "excluded", "ties"):
            if name in shown:
                assert shown[name] == str(row[name])
    assert {"estimate", "low", "high", "accuracy"} & set(rows[0]) <= set(names)


def test_at_80_columns_the_number_of_questions_is_not_cut(printed):
    names, lines, left_out = tables(printed(VOTES, 80))
    assert [line[names.index("n_questions")] for line in lines] == ["80"] * 3
    assert not left_out


def test_labels_are_never_left_out(printed):
    names, _, left_out = tables(printed(FINDINGS, 80))
    assert names[:6] == ["measure", "subject", "baseline", "estimate", "low", "high"]
    assert left_out == ["p", "n_questions", "n_traces", "n_excluded"][-len(left_out) :]


def test_rows_that_do_not_fit_are_lines_of_name_and_value(printed):
    text = printed(FINDINGS, 40)
    assert re.search(r"^n_questions +80$", text, re.M)
    assert re.search(r"^n_traces +1000000$", text, re.M)
    assert re.search(r"^p +–$", text, re.M)
    assert "did not fit" not in text


def test_long_texts_fold_and_lose_nothing(printed):
    text = printed([{"question": "q1", "text": "word " * 60, "n": 12345}], 80)
    assert text.count("word") == 60
    assert "12345" in text


def test_the_note_comes_last(printed):
    assert printed(FINDINGS, 80, note="so far").splitlines()[-1] == "so far"


def test_a_pipe_gets_a_fixed_width(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    emit(Output(), {}, rows=FINDINGS)
    lines = capsys.readouterr().out.splitlines()
    assert "n_excluded" in lines[0] or "n_excluded" in lines[1]
    assert max(map(len, lines)) <= UNSEEN_WIDTH


def test_json_is_one_object_whatever_the_width(capsys):
    emit(Output(json=True), {"rows": FINDINGS})
    assert json.loads(capsys.readouterr().out)["rows"][1]["n_traces"] == 1000000


def test_the_version_is_the_distribution_s(capsys):
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"consilience {version('consilience')}"
