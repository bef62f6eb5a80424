"""`cot capture` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny_models import save_model, small_run

from analysis.answer_table import answers as extract_answers
from cot.cli import main
from cot.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    model = save_model(tmp_path / "model")
    run = small_run(tmp_path / "run", model, str(tmp_path / "model"))
    extract_answers(run)
    return run


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert main(["capture", *map(str, arguments), "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.slow
def test_what_a_capture_says(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (run.path, "--layers", "0.5,1.0", "--positions", "pre_answer")
    asked += ("--positions", "every 8 tokens")
    expected = said(capsys, *asked, "--dry-run")
    assert not (run.path / "activations").exists()
    done = said(capsys, *asked, "--max-gap", "1e-9")
    assert done["layers"] == [2, 3]
    assert done["n_vectors"] == expected["n_vectors"] == 2 * len(captured_rows(run))
    assert done["n_traces"] == expected["n_traces"] == 12
    assert 0 < done["n_flagged"] <= 12
    assert said(capsys, *asked)["n_flagged"] == 0


def captured_rows(run: Run) -> pd.DataFrame:
    rows = [run.activations(layer=3, position=name)[0] for name in ("pre_answer", "every 8 tokens")]
    return pd.concat(rows)


@pytest.mark.slow
def test_spans_of_a_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question_id": "q0", "sample_index": 0, "start": 0, "end": 5}]
    rows.append({**rows[0], "sample_index": 1, "name": "opening"})
    frame = pd.DataFrame(rows)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        asked = (run.path, "--layers", "1", "--positions", "pre_answer")
        assert said(capsys, *asked, "--spans", tmp_path / name)["n_vectors"] == 11
    assert len(run.activations(layer=1, position="opening")[0]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "spans are read from .jsonl, .json, .csv, .parquet files"),
        ("no.csv", None, "there is no such file"),
        ("a.csv", "question_id,start,end\nq0,0,5\n", "a.csv:2: there is no column 'sample_index'"),
        (
            "a.jsonl",
            '\n{"question_id": "q0", "sample_index": 0, "start": 0, "end": "?"}',
            "a.jsonl:2: end is '?': give a whole number",
        ),
        (
            "a.jsonl",
            '{"question_id": "q0", "sample_index": 7, "start": 0, "end": 1}',
            "a.jsonl:1: question_id 'q0', sample_index 7: there is no such trace",
        ),
    ],
)
def test_wrong_files_of_spans(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["capture", str(run.path), "--spans", str(tmp_path / name)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
