"""A run of a quantised model is read back through the quantised model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import save_model

import cot
from analysis.hidden_states import capture
from cot.store.run import Run, open_run
from cot.store.vectors import read_about


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Two questions, three traces each, of a tiny model in 4 bits."""
    folder = tmp_path_factory.mktemp("quantized")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COT_CACHE", str(folder / "cache"))
        save_model(folder / "model")
        lines = [{"question": text, "answer": "5"} for text in ("2 + 3?", "1 + 4?")]
        (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)))
        (folder / "bare.md").write_text("+++\n+++\n## user\n{{ question }}\n")
        run = cot.sample(
            str(folder / "asked.jsonl"),
            out=folder / "run",
            model=str(folder / "model"),
            engine="transformers",
            quantize="int4",
            prompt=str(folder / "bare.md"),
            form="text",
            n=3,
            max_tokens=12,
        )
        capture(run, positions=["prompt_end", "mean"], device="cpu")
        yield run


def test_the_setting_is_in_the_runs_identity(run: Run) -> None:
    identity = json.loads((run.path / "run.json").read_text())["identity"]
    assert identity["quantize"] == "int4"
    assert "int4" not in identity["revision"]
    assert open_run(run.path).identity.quantize == "int4"
    with pytest.raises(cot.InputError, match="quantize was 'int4', now 'none'"):
        cot.sample(
            run.path.parent / "asked.jsonl",
            out=run.path,
            model=run.identity.model,
            engine="transformers",
            prompt=str(run.path.parent / "bare.md"),
            form="text",
            n=3,
            max_tokens=12,
        )


def test_states_are_those_of_the_quantised_model(run: Run) -> None:
    gaps = run.table("logprob_gaps")
    assert len(gaps) == 6
    assert gaps["max_logprob_gap"].max() < 1e-4
    assert read_about(run.path / "activations")["revision"] == f"{run.identity.revision}+int4"


def test_the_full_model_gives_the_same_tokens_other_log_probabilities(
    run: Run, tmp_path: Path
) -> None:
    """So that a capture which forgot to round would be seen."""
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("activations", "tables"))
    manifest = json.loads((copy / "run.json").read_text())
    del manifest["identity"]["quantize"]
    (copy / "run.json").write_text(json.dumps(manifest))
    full = open_run(copy)
    capture(full, positions=["prompt_end"], device="cpu")
    assert full.table("logprob_gaps")["max_logprob_gap"].min() > 0.01
