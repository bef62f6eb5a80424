"""One pass for a capture and a lens gives what two passes give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_models import save_model, small_run

import analysis.hidden_states.shared_pass as shared_pass
from analysis.answer_table import answers as extract_answers
from analysis.catalogue import find
from analysis.experiments import run_experiment
from analysis.hidden_states import capture
from analysis.logit_lens import lens
from analysis.steps import segment
from cot.errors import InputError
from cot.store.run import Run, open_run

pytestmark = pytest.mark.slow

TABLES = ("logprob_gaps", "lens", "lens_traces", "lens_layers", "lens_tokens", "findings_lens")
ASKED: dict[str, Any] = {"layers": [1, 3], "positions": ["prompt_end", "step_end", "answer"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("model")
    return folder, save_model(folder)


def made(folder: Path, model: tuple[Path, Any]) -> Run:
    run = small_run(folder, model[1], str(model[0]))
    extract_answers(run)
    segment(run)
    return run


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, model: tuple[Path, Any]) -> Run:
    """A run that was captured and then read by the lens."""
    run = made(tmp_path_factory.mktemp("apart") / "run", model)
    capture(run, **ASKED)
    lens(run)
    return run


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many traces each model that was loaded ran."""
    counts: list[int] = []
    forward = shared_pass.HookTeacherForcing.forward

    def counting(self: Any, jobs: Any, layers: Any) -> Any:
        counts.append(sum(len(job.traces) for job in jobs))
        return forward(self, jobs, layers)

    monkeypatch.setattr(shared_pass.HookTeacherForcing, "forward", counting)
    return counts


def same(run: Run, other: Run) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(run.table(name), other.table(name), rtol=1e-3, atol=1e-5)
        assert run.stale(name) is None
    for position in ASKED["positions"]:
        for layer in ASKED["layers"]:
            rows, vectors = run.activations(layer=layer, position=position)
            others, expected = other.activations(layer=layer, position=position)
            pd.testing.assert_frame_equal(rows, others)
            np.testing.assert_allclose(vectors, expected, atol=2e-3)


def test_a_capture_and_a_lens_share_a_pass(
    tmp_path: Path, model: tuple[Path, Any], apart: Run, loads: list[int]
) -> None:
    run = made(tmp_path / "run", model)
    index = capture(run, also=["lens"], **ASKED)
    assert sum(loads) == 12  # the traces, once
    same(run, apart)
    assert run.provenance("lens_traces").parameters == apart.provenance("lens_traces").parameters
    assert run.provenance("lens_traces").command == "lens"
    assert "lens" not in run.provenance("logprob_gaps").inputs
    assert set(index["layer"]) == {1, 3}
    assert find("lens").is_current(run, {})
    lens(run)
    capture(run, **ASKED)
    assert sum(loads) == 12


def test_neighbours_in_an_experiment_share_a_pass(
    tmp_path: Path, model: tuple[Path, Any], apart: Run, loads: list[int]
) -> None:
    run = made(tmp_path / "run", model)
    file = tmp_path / "e.toml"
    names = ", ".join(f'"{name}"' for name in ASKED["positions"])
    file.write_text(
        'dataset = "arithmetic"\nout = "unused"\n[answers]\n'
        f"[capture]\nlayers = [1, 3]\npositions = [{names}]\n[lens]\n"
    )
    run_experiment(file, on=run.path)
    assert sum(loads) == 12
    same(open_run(run.path), apart)
    run_experiment(file, on=run.path)
    assert sum(loads) == 12


def test_what_one_of_them_has_already_is_not_asked_for_again(
    tmp_path: Path, model: tuple[Path, Any], apart: Run, loads: list[int]
) -> None:
    run = made(tmp_path / "run", model)
    capture(run, limit=2, **ASKED)
    capture(run, also=["lens"], **ASKED)
    # then the lens's three of each captured question, and all four of the third
    assert sum(loads) == 8 + 2 * 3 + 4
    same(run, apart)


def test_readers_that_want_the_model_otherwise_run_it_apart(
    tmp_path: Path, model: tuple[Path, Any], apart: Run, loads: list[int]
) -> None:
    run = made(tmp_path / "run", model)
    capture(run, also=["lens"], tokens_per_batch=64, **ASKED)
    assert len(loads) >= 2
    assert sum(loads) > 12
    same(run, apart)


def test_an_analysis_that_reads_no_pass_cannot_join(
    tmp_path: Path, model: tuple[Path, Any]
) -> None:
    run = made(tmp_path / "run", model)
    with pytest.raises(InputError, match="--also vote: it reads no teacher-forced pass; lens and"):
        capture(run, also=["vote"])
