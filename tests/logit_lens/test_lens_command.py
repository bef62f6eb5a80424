"""`cot lens`: what it prints, and what it takes for a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from analysis.commands.lens import lens
from tiny_models import save_model, small_run

from analysis.answer_table import answers as extract_answers
from analysis.steps import segment
from cot.console import Output
from cot.errors import InputError


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_model(tmp_path / "model")
    run = small_run(tmp_path / "run", model, str(tmp_path / "model"))
    extract_answers(run)
    segment(run)
    capsys.readouterr()
    lens(run.path, trace=("q1:1",), output=Output(json=True))
    said = json.loads(capsys.readouterr().out)
    assert 0 <= said["internal_consistency"] <= 1
    assert 0 <= said["commitment_layer"] <= 3
    assert said["n_traces"] == 9
    names = [finding["name"] for finding in said["findings"]]
    assert {"decided_at_prompt - control", "decided_at_prompt - guess"} <= set(names)
    assert run.table("lens_tokens")["question_id"].unique().tolist() == ["q1"]
    lens(run.path)
    assert "mean commitment layer" in capsys.readouterr().out
    with pytest.raises(InputError, match="write QUESTION:INDEX"):
        lens(run.path, trace=("q1",))
