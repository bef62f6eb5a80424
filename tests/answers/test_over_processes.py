"""Answers read over several processes, or without the shortcut, are the same table."""

import json
import sys

import pandas as pd
import pytest

import cot.answers.table
from analysis.answer_table import answers
from cot.importers import import_traces

ENDS = (
    *("The answer is 12.", "The answer is $1,234.50.", "#### 7", "\\boxed{3/4}", "So 5 + 7 = 12"),
    *("The answer is 12 or 13.", "Hard to say.", "**Answer:** 8", "if the answer is 5, no", ""),
    *("<think>The answer is 3.</think> The answer is 4.", "The answer is 50%.", "\nAnswer: 9\n"),
    *("The answer is 6.\n\nQ: 1 + 1?\nThe answer is 2.", "twelve", "The answer is 1/2 liters"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    lines = [
        {
            "question_id": f"q{q}",
            "question": f"How many are {q} + 7?",
            "gold": str(q + 7),
            "sample_index": n,
            "text": f"There are {q} rolls. {ENDS[(q + n) % len(ENDS)]}",
            "finish_reason": "length" if (q + n) % 5 == 0 else "stop",
            **({"answer": None} if n == 3 else {"answer": "12"} if n == 4 else {}),
            **({"correct": bool(q % 2)} if n == 5 else {}),
        }
        for q in range(16)
        for n in range(10)
    ]
    (folder / "f.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return import_traces(folder / "f.jsonl", folder / "run").run


@pytest.mark.slow
@pytest.mark.parametrize("format", ["number", "latex", "text", r"answer is (\d+)"])
def test_processes_and_the_shortcut_change_no_verdict(run, monkeypatch, format):
    monkeypatch.setattr("cot.answers.table.BLOCK", 25)
    monkeypatch.setattr("cot.processes.n_processes", lambda n: 1)
    alone = answers(run, format=format)
    assert alone["status"].nunique() >= 3
    monkeypatch.setattr("cot.processes.n_processes", lambda n: 2)
    pd.testing.assert_frame_equal(answers(run, format=format), alone)
    monkeypatch.setattr("cot.processes.n_processes", lambda n: 1)
    monkeypatch.setattr(sys.modules["cot.answers.extract"], "plain", lambda text: None)
    pd.testing.assert_frame_equal(answers(run, format=format), alone)


def test_a_judge_is_started_and_ended_as_before(run, monkeypatch):
    started = []

    class Counted(cot.answers.table.Judge):
        def __enter__(self):
            started.append(self)
            return super().__enter__()

    monkeypatch.setattr("cot.answers.table.BLOCK", 25)
    monkeypatch.setattr("cot.processes.n_processes", lambda n: 2)
    monkeypatch.setattr("cot.answers.table.Judge", Counted)
    answers(run, format="latex")
    (judge,) = started
    assert judge._worker is None, "the checker's process is ended"
