"""What two runs with the same seeds have in common, against shares worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import Given, run_with_answers
from written import write_table

from analysis.voting import vote
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter
from experiments.paired_traces import compared, main, moved

BEFORE: Given = {
    "a": ("1", ["1", "1", "2", None]),
    "b": ("1", ["2", "2", "1", "1"]),
}
AFTER: Given = {
    "a": ("1", ["1", "2", "2", "1"]),  # 2 of 3 the same; 1 of 3 lost
    "b": ("1", ["1", "1", "1", "2"]),  # 1 of 4; 1 of 4 lost, 2 of 4 gained
}


def made(folder: Path, given: Given, shift: float) -> Run:
    """A run whose answer `1` comes from an addition and `2` from none; states 3 and 4 apart."""
    run = run_with_answers(folder, given)
    vote(run)
    answers = run.table("answers")
    dataflow = np.where(answers["answer"].fillna("").eq("1"), "add(a,b)", "")
    frame = answers[["question_id", "sample_index"]].assign(dataflow=dataflow)
    write_table(run, "paths", frame)
    with VectorWriter(run.path / "activations", model="m", revision="0") as writer:
        for place, name in enumerate(given):
            state = np.array([[3.0 * place, 4.0 * place + shift]])
            writer.add([Place(name, None, "prompt_end", None, -1)], {2: state})
    return run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, Run]:
    return made(tmp_path / "one", BEFORE, 0.0), made(tmp_path / "two", AFTER, 1.0)


def test_shares_are_means_over_questions(runs: tuple[Run, Run]) -> None:
    rows = {row["measure"]: row for row in compared(*(run.path for run in runs))}
    found = {name: row["estimate"] for name, row in rows.items()}
    assert found == pytest.approx(
        {
            "same text": (2 / 4 + 1 / 4) / 2,
            "same answer": (2 / 3 + 1 / 4) / 2,
            "same dataflow": 1,
            "lost": (1 / 3 + 1 / 4) / 2,
            "gained": (0 + 2 / 4) / 2,
            "same majority": 0.5,  # question a: 1 and a tie that its first trace decides
            "state, layer 2": 1 / 5,
        }
    )
    # of question a's 9 valid pairs of two seeds 4 have one answer, of b's 12 there are 7
    assert rows["same answer"]["other_seeds"] == pytest.approx((4 / 9 + 7 / 12) / 2)
    assert rows["state, layer 2"]["other_seeds"] is None
    assert {row["n_questions"] for row in rows.values()} == {2}


def test_a_run_is_the_same_as_itself(runs: tuple[Run, Run]) -> None:
    rows = {row["measure"]: row for row in compared(runs[0].path, runs[0].path)}
    assert [rows[name]["estimate"] for name in ("same text", "same answer", "same majority")] == [
        1.0,
        1.0,
        1.0,
    ]
    assert [rows[name]["estimate"] for name in ("lost", "gained", "state, layer 2")] == [0, 0, 0]


def test_a_state_that_is_another_questions_has_moved_by_one() -> None:
    random = np.random.default_rng(0)
    before = pd.DataFrame(random.normal(size=(2, 5)), index=["a", "b"])
    after = pd.DataFrame(before.to_numpy()[::-1], index=["a", "b"])
    assert moved(before, after).to_list() == pytest.approx([1.0, 1.0])


def test_runs_of_other_seeds_or_without_tables_are_refused(
    runs: tuple[Run, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(run.path) for run in runs] + ["--json"])
    assert len(json.loads(capsys.readouterr().out)["pairs"]) == 7
    bare = run_with_answers(tmp_path / "bare", BEFORE)
    with pytest.raises(SystemExit, match=r"error: .*answers"):
        main([str(runs[0].path), str(bare.path)])
    manifest = json.loads((bare.path / "run.json").read_text())
    manifest["identity"]["seed"] = 5
    (bare.path / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(SystemExit, match=r"has seed 5, and .* None"):
        main([str(runs[0].path), str(bare.path)])
