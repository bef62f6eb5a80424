"""`cot lens`: what it prints, and what it takes for a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import save_model, small_run

from analysis.answer_table import answers as extract_answers
from analysis.steps import segment
from cot.cli import main


@pytest.mark.slow
def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_model(tmp_path / "model")
    run = small_run(tmp_path / "run", model, str(tmp_path / "model"))
    extract_answers(run)
    segment(run)
    capsys.readouterr()
    assert main(["lens", str(run.path), "--trace", "q1:1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert 0 <= said["internal_consistency"] <= 1
    assert 0 <= said["commitment_layer"] <= 3
    assert said["n_traces"] == 9
    found = {(finding["measure"], finding["baseline"]) for finding in said["findings"]}
    assert {("decided_at_prompt", "control"), ("decided_at_prompt", "guess")} <= found
    assert run.table("lens_tokens")["question_id"].unique().tolist() == ["q1"]
    assert main(["lens", str(run.path)]) == 0
    assert "mean commitment layer" in capsys.readouterr().out
    assert main(["lens", str(run.path), "--trace", "q1"]) == 2
    assert "write QUESTION:INDEX" in capsys.readouterr().err
