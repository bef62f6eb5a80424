"""`cot attention` on a planted model: a real one, with hand-set heads."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import analysis.hidden_states.shared_pass as shared_pass
from analysis.answer_table import answers as extract_answers
from analysis.catalogue import find
from analysis.declaration import declared
from analysis.hidden_states import capture
from analysis.interventions import intervene
from analysis.step_attention import attention
from analysis.steps import segment
from cot.errors import InputError
from cot.store.run import Run, open_run
from tests.hidden_states.tiny_models import smollm2_run
from tests.planted_model import DECISIVE, READ_EARLY, READ_LATE, plant, planted_run
from tests.step_attention.test_weights import eager_weights

pytestmark = pytest.mark.slow

TABLES = ("attention_heads", "attention_steps", "attention_matrices", "findings_attention")
KEY = ["question_id", "sample_index"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six questions with four traces of five or six steps."""
    folder = tmp_path_factory.mktemp("planted")
    run = planted_run(folder / "p", plant(folder / "model"), n_questions=6, n=4)
    extract_answers(run)
    segment(run)
    return run


@pytest.fixture(scope="module")
def whole(made: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same with its attention read."""
    run = copy_of(made, tmp_path_factory.mktemp("whole"))
    attention(run, nearest=0)
    return run


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    return copy_of(made, tmp_path)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many traces each pass ran."""
    counts: list[int] = []
    forward = shared_pass.HookTeacherForcing.forward

    def counting(self: Any, jobs: Any, layers: Any) -> Any:
        counts.append(sum(len(job.traces) for job in jobs))
        return forward(self, jobs, layers)

    monkeypatch.setattr(shared_pass.HookTeacherForcing, "forward", counting)
    return counts


def copy_of(run: Run, folder: Path) -> Run:
    shutil.copytree(run.path, folder / "run")
    return open_run(folder / "run")


def same(run: Run, other: Run) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(run.table(name), other.table(name), rtol=1e-4, atol=1e-5)
        assert run.stale(name) is None


def test_the_heads_that_read_the_turn_are_the_only_receiver_heads(whole: Run) -> None:
    heads = whole.table("attention_heads")
    rows = heads[heads["receiver"]]
    found = list(zip(rows["layer"], rows["head"], strict=True))
    # head 1 of the early layer reads the first step: its place foretells it
    assert found == [(READ_EARLY, 0), (READ_LATE, 0)]
    place = heads[(heads["layer"] == READ_EARLY) & (heads["head"] == 1)].iloc[0]
    assert place["kurtosis"] > 4
    assert place["beyond_position"] == pytest.approx(0, abs=1e-6)
    shown = declared(attention).show
    assert shown is not None
    receivers = shown(whole, heads).json["receiver_heads"]
    assert {(one["layer"], one["head"]) for one in receivers} == set(found)
    assert all(one["reliability"] > 0.9 for one in receivers)
    assert set(receivers[0]) == {"layer", "head", "score", "reliability"}


def test_their_vertical_scores_are_highest_at_the_turn(whole: Run) -> None:
    steps = whole.table("attention_steps")
    own = steps[(steps["layer"] == READ_LATE) & (steps["head"] == 0)]
    best = own.loc[own.groupby(KEY)["score"].idxmax()]
    assert best["step"].eq(DECISIVE).all()
    assert len(best) == 24


def test_a_matrix_is_kept_of_a_few_traces_and_of_those_that_are_named(
    run: Run, whole: Run, ran: list[int]
) -> None:
    assert len(whole.table("attention_matrices").groupby(KEY)) == 4
    attention(run, nearest=0, trace=["q1:2"], limit=2)
    rows = run.table("attention_matrices")
    assert rows[KEY].drop_duplicates().to_numpy().tolist() == [["q1", 2]]
    assert (rows["later"] >= rows["step"]).all()
    with pytest.raises(InputError, match="no trace q5:0 whose attention can be read"):
        attention(run, nearest=0, trace=["q5:0"], limit=2)
    with pytest.raises(InputError, match="write QUESTION:INDEX"):
        attention(run, trace=["q5"])
    for wrong in ({"nearest": -1}, {"traces": 0}):
        with pytest.raises(InputError, match="give"):
            attention(run, **wrong)


def test_the_nearest_steps_are_left_out_and_short_traces_counted(run: Run) -> None:
    table = attention(run, nearest=4, limit=3)
    assert table["kurtosis"].isna().all()
    count = run.table("findings_attention").iloc[0]
    assert pd.isna(count["estimate"])
    assert count["n_excluded"] == 12
    assert "12 of 12 traces lack; undefined: give --nearest 0" in count["method"]
    steps = run.table("attention_steps")
    assert set(steps["step"]) == {0}
    lengths = run.table("steps").groupby(KEY).size()
    long = {key for key, n in lengths.items() if n > 5}
    assert set(steps[KEY].itertuples(index=False, name=None)) <= long


def test_scores_are_ranked_against_knock_out(made: Run, tmp_path: Path) -> None:
    run = copy_of(made, tmp_path)
    intervene(run, method=["knockout"], samples=0)
    attention(run, nearest=0)
    findings = run.table("findings_attention").set_index(["measure", "subject", "baseline"])
    found = findings.loc[("spearman", "receiver_heads × knockout", "")]
    # both rank the turn first; of the other steps neither knows an order
    assert found["low"] > 0
    assert found["p"] < 0.05
    assert ("spearman", "receiver_heads × knockout", "position") in findings.index
    assert ("spearman_pooled", "attention × knockout", "") in findings.index
    assert run.stale("attention_heads") is None


@pytest.mark.slow
def test_what_a_kill_leaves_is_not_read_again(run: Run, whole: Run, ran: list[int]) -> None:
    script = (
        "import os, signal, sys\n"
        "from analysis.hidden_states.reading_store import ReadingStore\n"
        "from analysis.step_attention import attention\n"
        "from cot.store.run import open_run\n"
        "add, n = ReadingStore.add, []\n"
        "def dying(self, key, numbers):\n"
        "    add(self, key, numbers)\n"
        "    self.flush()\n"
        "    n.append(key)\n"
        "    if len(n) == 7: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ReadingStore.add = dying\n"
        "attention(open_run(sys.argv[1]), nearest=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(run.path)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    folder = run.path / "activations" / "attention"
    (folder / ".part-000009.parquet.1.tmp").write_bytes(b"torn")
    assert "attention_heads" not in run.tables()
    attention(open_run(run.path), nearest=0)
    assert ran == [24 - 7]
    attention(run, nearest=0)
    assert ran == [17]
    same(run, whole)
    assert not list(folder.glob(".*"))


def test_another_nearest_is_read_anew(run: Run, ran: list[int]) -> None:
    attention(run, nearest=0, limit=2)
    attention(run, nearest=1, limit=2)
    assert ran == [8, 8]
    attention(run, nearest=1, limit=1, seed=1)  # other permutations
    assert ran == [8, 8, 4]


def test_a_capture_shares_its_pass_and_stores_the_same_bits(
    run: Run, made: Run, whole: Run, tmp_path: Path, ran: list[int]
) -> None:
    alone = copy_of(made, tmp_path / "alone")
    asked: dict[str, Any] = {"layers": [0, 3, 6], "positions": ["step_end", "pre_answer"]}
    capture(alone, **asked)
    capture(run, also=["attention"], **asked)
    assert ran == [24, 24]
    for position in asked["positions"]:
        for layer in asked["layers"]:
            rows, vectors = run.activations(layer=layer, position=position)
            others, expected = alone.activations(layer=layer, position=position)
            pd.testing.assert_frame_equal(rows, others)
            assert np.array_equal(vectors, expected)
    pd.testing.assert_frame_equal(run.table("logprob_gaps"), alone.table("logprob_gaps"))
    assert find("attention").is_current(run, {})
    for name in ("attention_heads", "attention_matrices"):
        assert len(run.table(name)) == len(whole.table(name))


def test_json_is_plain(whole: Run) -> None:
    shown = declared(attention).show
    assert shown is not None
    json.dumps(shown(whole, whole.table("attention_heads")).json, default=str)


@pytest.mark.model
def test_smollm2s_matrix_is_that_of_eager_attention(tmp_path: Path) -> None:
    from cot.models import DEFAULT_MODEL, load_model, resolve

    run = smollm2_run(tmp_path / "run")
    segment(run)
    attention(run, nearest=0, trace=["q:0"])
    model = load_model(resolve(DEFAULT_MODEL), device="cpu")
    ids = list(map(int, run.traces(["token_ids"])["token_ids"].iloc[0]))
    (prompt,) = run.prompts()["token_ids"]
    weights = eager_weights(model, [*map(int, prompt), *ids]).double()
    steps = run.table("steps")
    steps = steps[steps["sample_index"] == 0].set_index("step")
    rows = run.table("attention_matrices")
    ends = steps["token_end"].astype(int)
    begins = ends.shift(fill_value=0)
    assert len(rows) == weights.shape[0] * weights.shape[1] * len(steps) * (len(steps) + 1) // 2
    for (later, step), some in rows.groupby(["later", "step"]):
        a, b = (slice(len(prompt) + begins[i], len(prompt) + ends[i]) for i in (later, step))
        expected = weights[:, :, a, b].mean(dim=(2, 3)).reshape(-1)
        np.testing.assert_allclose(some["attention"], expected, atol=1e-5)
    assert torch.isfinite(weights).all()
