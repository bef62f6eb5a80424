"""Verdicts from elsewhere, several reference answers, patterns counted, reasoning that the prompt
opened: what `cot answers` does with a whole run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import analysis
from analysis.answer_table import answers as extract_answers
from analysis.findings import pick
from cot.answers.table import WRONG
from cot.cli import main
from cot.errors import InputError
from cot.store.run import Run, create_run, open_run
from cot.types import Question
from tests.small import run_with_answers, text_of, trace_of


def write(path, questions, traces) -> Run:
    """A run of questions and of (question_id, text, finish_reason, meta)."""
    run = create_run(path / "run", {"model": None})
    with run.lock():
        run.add_questions(questions)
        run.add_prompts({"0" * 64: ("Q: How many?\nA:", None)})
        with run.writer() as writer:
            for index, (name, text, finish, meta) in enumerate(traces):
                trace = trace_of(name, index, text)
                completion = replace(trace.completion, finish_reason=finish)
                writer.add(replace(trace, completion=completion, meta=meta))
    return open_run(run.path)


def test_a_verdict_that_came_with_a_trace_goes_before_gold(tmp_path):
    verdicts = [{"correct": True}, {"correct": False}, {"correct": None}, {}]
    run = write(
        tmp_path,
        [Question(id="q", text="How many?", gold="7")],
        [("q", text_of(str(n)), "stop", meta) for n, meta in enumerate(verdicts, 5)],
    )
    table = extract_answers(run)
    assert table["answer"].to_list() == ["5", "6", "7", "8"]
    assert table["correct"].isna().to_list() == [False, False, True, False]
    assert table["correct"].fillna(False).to_list() == [True, False, False, False]


def test_everything_after_goes_by_the_verdict(tmp_path):
    run = write(
        tmp_path,
        [Question(id=name, text=f"{name}?") for name in "ab"],
        [
            (name, text_of(answer), "stop", {"correct": answer == "7"})
            for name in "ab"
            for answer in "778"
        ],
    )
    votes = analysis.vote(run)
    assert votes["correct"].to_list() == [True, True]
    found = run.table("findings_vote")
    assert pick(found, "accuracy", "majority")["estimate"] == 1
    assert pick(found, "accuracy", "single")["estimate"] == pytest.approx(2 / 3)


def test_one_answer_judged_both_ways_is_two_classes_and_said(tmp_path, caplog):
    run = write(
        tmp_path,
        [Question(id="q", text="Make 24 of 4 4 6 8.")],
        [("q", text_of("24"), "stop", {"correct": right}) for right in (True, False, False)],
    )
    table = extract_answers(run)
    assert table["answer"].to_list() == ["24", "24" + WRONG, "24" + WRONG]
    assert "1 answers are judged right in one trace and wrong in another" in caplog.text
    assert analysis.vote(run)["correct"].to_list() == [False]


def test_any_of_several_reference_answers_is_right(tmp_path):
    questions = [
        Question(
            id="a", text="Who?", gold="United States", meta={"targets": ["United States", "USA"]}
        ),
        Question(id="b", text="Which?", gold="Nile"),
    ]
    said = [("a", "USA"), ("a", "the United States"), ("a", "Canada"), ("b", "The Nile")]
    run = write(tmp_path, questions, [(name, text_of(text), "stop", {}) for name, text in said])
    table = extract_answers(run)
    assert table["correct"].to_list() == [True, True, False, True]
    assert table["canonical"].to_list()[3] == "the nile"
    assert table["answer"].to_list()[3] == "nile"


CHECKER = """
import re

def last(question, text):
    found = re.findall(r"-?[0-9]+", text)
    if not found:
        return None, False
    return found[-1], int(found[-1]) == question.meta["wanted"]

def broken(question, text):
    raise RuntimeError("no such thing")
"""


@pytest.fixture
def checked(tmp_path, monkeypatch) -> Run:
    (tmp_path / "my_checker.py").write_text(CHECKER)
    monkeypatch.chdir(tmp_path)
    questions = [Question(id="q", text="How many?", gold="1", meta={"wanted": 7})]
    texts = ["7", "It is 7", "8", "none"]
    return write(tmp_path, questions, [("q", text, "stop", {}) for text in texts])


@pytest.mark.slow
def test_a_verifier_reads_and_judges(checked, capsys):
    assert main(["answers", str(checked.path), "--verifier", "my_checker:last", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["missing"], told["correct"]) == (3, 1, 2)
    assert told["patterns"] == {"verifier": 3}
    assert checked.provenance("answers").parameters["verifier"] == "my_checker:last"
    assert analysis.vote(checked)["correct"].to_list() == [True]
    table = checked.table("answers")
    assert table["answer"].to_list()[:3] == ["7", "7", "8"]


@pytest.mark.slow
def test_the_checker_of_the_docs(checked, capsys):
    docs = (Path(__file__).parents[2] / "docs/reading-answers.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", docs, re.S)
    (command,) = re.findall(r"\$ cot (answers .*)", docs)
    Path("checker.py").write_text(code)
    assert main([*command.replace("runs/mine", str(checked.path)).split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] == 3


@pytest.mark.slow
def test_a_verifier_that_always_fails_is_an_error(checked):
    with pytest.raises(InputError, match="no such thing"):
        extract_answers(checked, verifier="my_checker:broken")
    with pytest.raises(InputError, match="my_checker:nothing"):
        extract_answers(checked, verifier="my_checker:nothing")


def test_patterns_are_counted_and_a_weak_one_is_warned_of(tmp_path, caplog, capsys):
    run = run_with_answers(tmp_path, {"q": ("7", ["7"] * 8)})
    with run.lock(), run.writer() as writer:
        for index in (8, 9):
            writer.add(trace_of("q", index, "They have 7 left."))
    assert main(["answers", str(run.path), "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["patterns"] == {"cue": 8, "last_number": 2}
    assert (told["format"], told["why"]) == ("number", "every reference answer is a number")
    assert "2 of 10 answers (20 %) are the last number" in captured.err
    assert main(["answers", str(run.path)]) == 0
    assert "format: number (every reference answer is a number); read by pattern: cue 8, last" in (
        capsys.readouterr().out.replace("\n", " ")
    )


def test_a_few_weak_ones_are_no_warning(tmp_path, capsys):
    run = run_with_answers(tmp_path, {"q": ("7", ["7"] * 9)})
    with run.lock(), run.writer() as writer:
        writer.add(trace_of("q", 9, "They have 7 left."))
    assert main(["answers", str(run.path)]) == 0
    assert "last number" not in capsys.readouterr().err


def test_reasoning_that_the_prompt_opened_is_cut_inside_it(tmp_path):
    closed = [("q", f"Is it {n}? Yes.</think>The answer is {n}.", "stop", {}) for n in range(3)]
    cut = ("q", "The answer is 5, I think. Let me check", "length", {})
    questions = [Question(id="q", text="How many?", gold="1")]
    table = extract_answers(write(tmp_path, questions, [*closed, cut]))
    assert table["status"].to_list() == ["ok", "ok", "ok", "truncated"]
    other = tmp_path / "other"
    other.mkdir()
    plain = [("q", f"The answer is {n}.", "stop", {}) for n in range(3)]
    table = extract_answers(write(other, questions, [*plain, cut]))
    assert table["answer"].to_list()[3] == "5"


@pytest.mark.parametrize("gold", ["35", r"35\%", "35 percent"])
def test_on_a_question_for_a_percentage_the_sign_does_not_matter(tmp_path, gold):
    questions = [Question(id="q", text="What percentage of the seats is taken?", gold=gold)]
    texts = ["35", "35%", "0.35", "36"]
    run = write(tmp_path, questions, [("q", text_of(text), "stop", {}) for text in texts])
    table = extract_answers(run, "number")
    assert table["correct"].to_list() == [True, True, True, False]
    assert table["answer"].nunique() == 2


def test_elsewhere_a_percentage_is_a_share(tmp_path):
    questions = [Question(id="q", text="How likely is it?", gold="0.5")]
    texts = ["50%", "50", "1/2"]
    run = write(tmp_path, questions, [("q", text_of(text), "stop", {}) for text in texts])
    assert extract_answers(run)["correct"].to_list() == [True, False, True]
