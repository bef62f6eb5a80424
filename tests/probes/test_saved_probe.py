"""A fitted probe on disk, and what it says of another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_states import DIFF_MEANS, MLP, WIDTH, direction, given, planted

from analysis.probes import probe, sweep
from analysis.probes.stored_probes import load_stored
from cot.errors import InputError
from cot.store.run import Run

QUICK: dict[str, Any] = {"embedder": "tfidf", "folds": 2, "kind": DIFF_MEANS}


def probed(path: Path, **arguments: Any) -> Run:
    run = planted(path, given(), direction)
    probe(run, **{**QUICK, **arguments})
    return run


def others(path: Path, **arguments: Any) -> Run:
    """A run of other questions."""
    named = {f"other {name}": row for name, row in given(10, 6, seed=9).items()}
    return planted(path, named, direction, **arguments)


@pytest.mark.slow
def test_a_saved_probe_scores_another_run(tmp_path: Path) -> None:
    file = probed(tmp_path / "one").path / "probes" / "correct.safetensors"
    run = others(tmp_path / "two")
    table = probe(run, fitted=str(file))
    assert len(table) == 1
    assert table["auroc"].iloc[0] > 0.95
    assert "fitted on 128 rows of another run" in table["method"].iloc[0]
    scores = run.table("probe_scores")
    assert len(scores) == 60
    assert scores["score"].between(0, 1).all()
    assert run.table("findings_probe")["estimate"].iloc[0] == table["auroc"].iloc[0]
    again = probe(run, **run.provenance("probes").parameters)
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["logistic", MLP])
def test_the_weights_say_what_the_probe_says(tmp_path: Path, kind: str) -> None:
    from analysis.probes.crossfit import fit_space
    from analysis.probes.estimator import load_probe

    run = probed(tmp_path, kind=kind, positions=["pre_answer"])
    stored = load_stored(run.path / "probes" / "correct.json")
    assert stored.fit.position == "pre_answer"
    X = run.activations(layer=3, position="pre_answer")[1]
    y = run.table("answers")["correct"].to_numpy(bool)
    made = load_probe(kind)(seed=0)
    space = fit_space(X, made.n_components, 0)
    made.fit(space.place(X), y, np.arange(len(X)) // 8)
    expected = made.predict_proba(space.place(X))[:, 1]
    assert np.allclose(stored.score(X)[0], expected, atol=1e-4)


def test_questions_that_it_was_fitted_on_are_not_scored(tmp_path: Path) -> None:
    run = probed(tmp_path)
    with pytest.raises(InputError, match="fitted on all of these questions"):
        probe(run, fitted=str(run.path / "probes" / "correct.safetensors"))


@pytest.mark.slow
def test_another_model_is_refused(tmp_path: Path) -> None:
    file = probed(tmp_path / "one").path / "probes" / "correct.safetensors"
    run = others(tmp_path / "two", revision="1")
    with pytest.raises(InputError, match=r"of planted \(0\), but .* of planted \(1\)"):
        probe(run, fitted=str(file))


@pytest.mark.slow
def test_what_is_no_probe_is_refused(tmp_path: Path) -> None:
    file = probed(tmp_path / "one").path / "probes" / "correct.safetensors"
    run = others(tmp_path / "two")
    about = file.with_suffix(".json")
    fit = json.loads(about.read_text())
    about.write_text(json.dumps({**fit, "d_model": WIDTH + 1}))
    with pytest.raises(InputError, match="not of the width 25"):
        probe(run, fitted=str(file))
    about.write_text("{}")
    with pytest.raises(InputError, match="not a stored probe"):
        probe(run, fitted=str(file))
    about.write_text(json.dumps(fit))
    file.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="not a stored probe"):
        probe(run, fitted=str(file))
    about.unlink()
    with pytest.raises(InputError, match="no such file"):
        probe(run, fitted=str(file))


@pytest.mark.slow
def test_without_gold_there_are_scores_alone(tmp_path: Path) -> None:
    file = probed(tmp_path / "one").path / "probes" / "correct.safetensors"
    named = {f"other {name}": (None, row[1]) for name, row in given(4, 4).items()}
    run = planted(tmp_path / "two", named, direction)
    table = probe(run, fitted=str(file))
    assert table["auroc"].isna().all()
    assert "no gold" in table["method"].iloc[0]
    assert len(run.table("probe_scores")) == 16


@pytest.mark.slow
def test_several_targets_stand_in_one_table(tmp_path: Path) -> None:
    run = probed(tmp_path, target=["correct", "majority"])
    assert set(run.table("probes")["target"]) == {"correct", "majority"}
    assert run.table("probes").groupby("target")["best"].sum().tolist() == [1, 1]
    assert (run.path / "probes" / "majority.safetensors").exists()
    findings = run.table("findings_probe")[["measure", "subject"]].to_numpy().tolist()
    assert findings[0] == ["auroc", "correct"]
    assert findings[-1] == ["within_question_auroc", "majority"]


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planted(tmp_path, given(8, 5), {1: direction, 2: direction})
    alone = probe(run, embedder="tfidf", folds=2)
    monkeypatch.setattr(sweep, "processes", lambda n_cells, n_rows: 2)
    pd.testing.assert_frame_equal(probe(run, embedder="tfidf", folds=2), alone, check_exact=True)
