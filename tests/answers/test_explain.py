"""`cot answers --explain`: what was extracted from where; and a user's expression as format."""

import json

import pytest

from analysis.answer_table import answers as extract_answers
from analysis.declaration import declared
from cot.cli import main
from cot.errors import InputError
from tests.small import run_with_answers, trace_of

GIVEN = {
    "apples": ("#### 7", ["7", "7.0 of them", None, "seven and a half", "8 \x1b[31m"]),
    "pears": ("3", ["3"]),
}


@pytest.fixture
def run(tmp_path):
    return run_with_answers(tmp_path, GIVEN)


def explained(run, question_id, format="auto"):
    """What `--explain` prints as JSON."""
    made = declared(extract_answers)
    return made.views["explain"](run, question_id, **made.bind(format=format)).json


def test_each_trace_is_explained(run):
    found = explained(run, "apples")
    assert [found[name] for name in ("format", "gold", "gold_canonical")] == [
        "number",
        "#### 7",
        "7",
    ]
    first, second, third, fourth, _ = found["traces"]
    assert first == {
        "sample_index": 0,
        "status": "ok",
        "pattern": "cue",
        "text": "7",
        "canonical": "7",
        "class": "7",
        "correct": True,
        "context": "The answer is ⟦7⟧.",
        "candidates": [
            {
                "pattern": "cue",
                "status": "ok",
                "text": "7",
                "canonical": "7",
                "why": "chosen: the last of the surest",
            }
        ],
    }
    assert second["context"] == "The answer is ⟦7.0⟧ of them."
    assert (third["status"], third["text"], third["context"]) == ("missing", None, "I do not know.")
    assert (fourth["status"], fourth["text"]) == ("unparsed", "seven and a half")


def test_nothing_is_written_where_the_table_is_current(run):
    extract_answers(run, "number")
    path = run.path / "tables" / "answers.parquet"
    before = path.stat().st_mtime_ns
    assert explained(run, "apples")["format"] == "number"
    assert path.stat().st_mtime_ns == before
    assert explained(run, "pears", "text")["traces"][0]["canonical"] == "3"
    assert path.stat().st_mtime_ns > before


def test_each_candidate_says_why_it_was_not_chosen(tmp_path):
    text = (
        r"#### 3\nNo: the answer is not 3. It is 4. \boxed{5} <answer>6</answer> So 7. "
        "The answer is 8."
    )
    run = run_with_answers(tmp_path, {"a": ("6", [])})
    with run.lock(), run.writer() as writer:
        writer.add(trace_of("a", 0, text.replace(r"\n", "\n")))
    (trace,) = explained(run, "a", "number")["traces"]
    assert [(each["pattern"], each["text"], each["why"]) for each in trace["candidates"]] == [
        ("mark", "3", "a surer pattern states an answer"),
        ("cue", "3", "it says what the answer is not"),
        ("correction", "4", "a surer pattern states an answer"),
        ("box", "5", "a surer pattern states an answer"),
        ("tag", "6", "chosen: the last of the surest"),
        ("cue", "8", "a surer pattern states an answer"),
    ]


def test_an_unknown_question(run):
    with pytest.raises(InputError, match="no question 'aples': did you mean 'apples'"):
        explained(run, "aples")


@pytest.mark.slow
def test_the_command(run, capsys):
    assert main(["answers", str(run.path), "--explain", "apples"]) == 0
    shown = capsys.readouterr().out
    assert "⟦7.0⟧ of them" in shown
    assert "gold: #### 7 (canonical: 7)" in shown
    assert "\x1b" not in shown
    assert main(["answers", str(run.path), "--explain", "apples", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [trace["class"] for trace in told["traces"]] == ["7", "7", None, None, "8"]
    assert main(["answers", str(run.path), "--explain", "aples"]) == 2


def test_an_expression_as_format(run, capsys):
    assert main(["answers", str(run.path), "--format", r"answer is (\d)", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["correct"] == 3
    assert run.provenance("answers").parameters["format"] == r"answer is (\d)"
    assert main(["answers", str(run.path), "--format", "numbr"]) == 2
    assert "did you mean number" in capsys.readouterr().err


@pytest.mark.slow
def test_traces_that_take_the_expression_too_long_are_said(tmp_path, caplog):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "x" * 100])})
    table = extract_answers(run, r"(x|xx)+!{2}|answer is (?P<answer>\d)")
    assert table["status"].to_list() == ["ok", "unparsed"]
    assert "more than 0.5 s on 1 traces" in caplog.text
