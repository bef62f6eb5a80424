"""What a target's label is of each trace, step or question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_states import RIDGE, WIDTH, direction, given, planted, write_gaps
from small import run_with_answers, trace_of
from written import write_table

from analysis.answer_table import answers as extract_answers
from analysis.clusters import paths
from analysis.probes import probe
from analysis.probes.targets import find_labels
from cot.errors import InputError
from cot.store.run import Run, create_run, open_run
from cot.store.vectors import Place, VectorWriter
from cot.types import Question

GIVEN = {
    "a": ("1", ["2", "2", "1", None]),
    "b": ("1", ["1", "3", "1", "1"]),
    "c": (None, ["7", "8", "8", "9"]),
}


def captured(run: Run, n_traces: int = 4) -> Run:
    keys = [(name, i) for name in run.questions()["question_id"] for i in range(n_traces)]
    gaps = pd.DataFrame(keys, columns=["question_id", "sample_index"])
    write_gaps(run, gaps.assign(n_tokens=3, max_logprob_gap=0.0))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = captured(run_with_answers(tmp_path, GIVEN))
    extract_answers(made)
    return made


def y_of(run: Run, target: str) -> dict[Any, list[Any]]:
    rows = find_labels(run, target).rows
    return {name: group["y"].tolist() for name, group in rows.groupby("question_id")}


def test_correct_and_majority(run: Run) -> None:
    assert y_of(run, "correct") == {"a": [False, False, True], "b": [True, False, True, True]}
    assert y_of(run, "majority") == {
        "a": [True, True, False],
        "b": [True, False, True, True],
        "c": [False, True, True, False],
    }
    labels = find_labels(run, "correct")
    assert labels.excluded == {"without a valid answer": 1, "without gold": 4}
    wrong = labels.rows.groupby("question_id")["wrong_majority"].first()
    assert wrong["a"]
    assert not wrong["b"]


def test_path_is_the_largest(run: Run) -> None:
    table = paths(run, embedder="tfidf")
    changed = table.assign(cluster=[0, 1, 1, -1, 0, 0, 1, 1, -1, -1, -1, -1])
    write_table(run, "paths", changed, command="paths", parameters={}, inputs=["answers"])
    assert y_of(run, "cluster") == {
        "a": [False, True, True, False],
        "b": [True, True, False, False],
    }
    assert find_labels(run, "cluster").excluded == {"of questions without a cluster": 4}


def test_truncated_is_the_reason_of_the_end(run: Run) -> None:
    assert y_of(run, "truncated") == {name: [False] * 4 for name in "abc"}


def test_answer_entropy_is_of_each_question(run: Run) -> None:
    rows = find_labels(run, "answer_entropy").rows
    expected = [np.log(3) - 2 / 3 * np.log(2), None, 1.5 * np.log(2)]
    assert "sample_index" not in rows
    assert rows["y"].iloc[0] == pytest.approx(expected[0])
    assert rows["y"].iloc[2] == pytest.approx(expected[2])


def test_the_answer_is_masked_for_the_text_baselines(run: Run) -> None:
    texts = find_labels(run, "correct").rows["text"]
    assert set(texts) == {"The answer is [answer]."}


def with_meta(path: Path, values: list[Any], choices: tuple[str, ...] | None = None) -> Run:
    run = create_run(path / "run", {"model": None})
    with run.lock():
        run.add_questions(
            [Question(id=f"q{i}", text=f"{i}?", gold="A", choices=choices) for i in range(3)]
        )
        run.add_prompts({"0" * 64: ("Q:", None)})
        with run.writer() as writer:
            for i in range(3):
                for j, value in enumerate(values):
                    text = f"The answer is {'ABC'[(i + j) % 3]}."
                    meta = {} if value is None else {"own": value}
                    writer.add(replace(trace_of(f"q{i}", j, text), meta=meta))
    return captured(open_run(run.path), len(values))


def test_a_column_of_the_imported_meta(tmp_path: Path) -> None:
    labels = find_labels(with_meta(tmp_path, [True, False, None, "x"]), "meta:own")
    assert labels.kind == "boolean"
    assert labels.rows["y"].tolist() == [True, False] * 3
    assert labels.excluded == {"without own": 6}
    numbers = find_labels(with_meta(tmp_path / "n", [0.5, 2, 3, 1]), "meta:own")
    assert numbers.kind == "number"
    assert numbers.rows["y"].tolist() == [0.5, 2.0, 3.0, 1.0] * 3
    assert numbers.truths(np.array([0.5, 3.0]))[0].tolist() == [False, True]
    with pytest.raises(InputError, match=r"'hinted'.*their meta has own"):
        find_labels(with_meta(tmp_path / "h", [True]), "hinted")


def test_final_answer_is_among_the_choices(tmp_path: Path) -> None:
    run = with_meta(tmp_path, [None] * 4, choices=("1", "2", "3"))
    labels = find_labels(run, "final_answer")
    assert labels.choices == ("A", "B", "C")
    assert labels.rows["y"].tolist() == [(i + j) % 3 for i in range(3) for j in range(4)]
    assert [task.sum() for task in labels.tasks(labels.rows["y"].to_numpy())] == [4, 4, 4]


def test_final_answer_needs_choices(run: Run) -> None:
    with pytest.raises(InputError, match="needs questions with choices"):
        find_labels(run, "final_answer")
    with pytest.raises(InputError, match="gold_steps"):
        find_labels(run, "step_value")


def arithmetic(path: Path, n_questions: int = 14, n_traces: int = 3) -> Run:
    """Two calculations a trace, and states in which the gold value of each can be read."""
    random = np.random.default_rng(0)
    gold = random.integers(2, 90, (n_questions, 2))
    run = create_run(path / "run", {"model": None})
    text = "She has 5 + 7 = 12 apples. Then she buys 12 * 2 = 24. The answer is 24."
    with run.lock():
        run.add_questions(
            [
                Question(id=f"q{i}", text=f"{i}?", gold="24", meta={"gold_steps": own.tolist()})
                for i, own in enumerate(gold)
            ]
        )
        run.add_prompts({"0" * 64: ("Q:", None)})
        with run.writer() as writer:
            for i in range(n_questions):
                for j in range(n_traces):
                    writer.add(trace_of(f"q{i}", j, text))
    paths(run, embedder="tfidf")
    with VectorWriter(run.path / "activations", model="planted", revision="0") as writer:
        for i, own in enumerate(gold):
            for j in range(n_traces):
                states = random.normal(size=(3, WIDTH))
                states[:2, 4] += own / 3
                places = [Place(f"q{i}", j, "step_end", k, 5 * k) for k in range(3)]
                writer.add(places, {3: states})
    return captured(open_run(run.path), n_traces)


@pytest.mark.slow
def test_step_values_are_read_at_their_own_step(tmp_path: Path) -> None:
    run = arithmetic(tmp_path)
    rows = find_labels(run, "step_value").rows
    assert rows.groupby(["question_id", "sample_index"])["step"].apply(list).iloc[0] == [0, 1]
    table = probe(run, target=["step_value"], kind=RIDGE, embedder="tfidf", folds=3)
    found = table.iloc[0]
    assert found["r2"] > 0.8
    assert found["r2_low"] <= found["r2"] <= found["r2_high"]
    assert found["spearman"] > 0.9
    assert found["auroc"] > 0.9
    assert found["control_r2"] < 0.3
    assert found["n_traces"] == 14 * 3 * 2
    findings = run.table("findings_probe").set_index(["measure", "subject"])
    assert findings.loc[("r2", "step_value"), "estimate"] > 0.8
    scores = run.table("probe_scores")
    assert scores["step"].tolist()[:2] == [0, 1]


@pytest.mark.slow
def test_answer_entropy_is_probed_at_the_prompt(tmp_path: Path) -> None:
    run = planted(tmp_path, given(24, 6), direction)
    table = probe(run, target=["answer_entropy"], kind=RIDGE, embedder="tfidf", folds=3)
    assert set(table["position"]) == {"prompt_end"}
    assert table["n_traces"].tolist() == [24]
    assert table["r2"].notna().all()
    assert run.table("probe_scores")["sample_index"].isna().all()


def test_a_kind_must_suit_its_target(tmp_path: Path) -> None:
    run = planted(tmp_path, given(6, 4), direction)
    with pytest.raises(InputError, match="logistic does not suit answer_entropy"):
        probe(run, target=["answer_entropy"], kind="logistic", embedder="tfidf")
    with pytest.raises(InputError, match="does not suit correct"):
        probe(run, kind=RIDGE, embedder="tfidf")
