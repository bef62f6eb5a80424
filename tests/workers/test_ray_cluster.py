"""On a real Ray cluster: workers sample and read what one process does, also if one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.answer_table import answers
from analysis.hidden_states import capture
from analysis.logit_lens import lens
from analysis.steps import segment
from cot.engines.contract import check_engine
from cot.engines.ray_engine import RayEngine
from cot.engines.transformers import TransformersEngine
from cot.store.run import Run, open_run
from cot.types import Completion, Request, Sampling
from tests.engines.conftest import make_model
from tests.hidden_states.tiny_models import save_model, small_run

# what Ray warns of is its own
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LONGEST = 600
"""Seconds of a test: one that waits for a cluster that is full or gone would wait for ever."""
PROMPTS = ("Q: Tom has 3 apples and gets 4 more. How many has he?\nA:", "1,", "The capital is")


@pytest.fixture(autouse=True)
def limited() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TimeoutError(f"more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def engine(cluster: str, model: Path) -> Iterator[RayEngine]:
    engine = RayEngine(str(model), inner="transformers", workers=2, cpus=1, batch_rows=6)
    yield engine
    engine.close()


def requests(n: int, max_tokens: int = 24) -> list[Request]:
    sampling = Sampling(temperature=1.0, top_p=0.9, max_tokens=max_tokens)
    return [
        Request(
            question_id=str(place),
            sample_index=index,
            prompt=prompt,
            sampling=sampling,
            seed=place * 2**60 + index,
        )
        for place, prompt in enumerate(PROMPTS)
        for index in range(n)
    ]


def expected(model: Path, asked: list[Request]) -> dict[tuple[str, int], Completion]:
    one = TransformersEngine(str(model), batch_rows=6)
    return {(each.question_id, each.sample_index): done for each, done in one.generate(asked)}


def test_two_workers_sample_what_one_process_does(engine: RayEngine, model: Path) -> None:
    asked = requests(12)
    alone = expected(model, asked)
    found = {(r.question_id, r.sample_index): done for r, done in engine.generate(asked)}
    assert found.keys() == alone.keys()
    for key, done in found.items():
        assert done.token_ids == alone[key].token_ids
        np.testing.assert_allclose(done.logprobs, alone[key].logprobs, atol=1e-4)


def test_contract(engine: RayEngine) -> None:
    check_engine(engine)


@pytest.mark.parametrize("how", ["killed by Ray", "SIGKILL"])
def test_a_worker_that_is_killed_loses_no_request(
    engine: RayEngine, model: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    asked = requests(40, max_tokens=60)
    alone = expected(model, asked)
    keys: list[tuple[str, int]] = []
    killed = False
    for request, done in engine.generate(asked):
        key = (request.question_id, request.sample_index)
        assert done.token_ids == alone[key].token_ids
        keys.append(key)
        if len(keys) >= 10 and not killed:
            assert engine._workers is not None
            seat = engine._workers._seats[1]
            assert seat.held, "it was at work"
            if how == "SIGKILL":
                os.kill(ray.get(seat.actor.pid.remote()), signal.SIGKILL)
            else:
                ray.kill(seat.actor)
            killed = True
    assert len(keys) == len(set(keys)) == len(asked)
    assert capsys.readouterr().out == "", "results go there, and Ray's messages don't"


# -- the command -----------------------------------------------------------------------------------


def sampling(model: Path, run: Path, n: int) -> list[str]:
    return [
        *("sample", "arithmetic", "--out", str(run), "--model", str(model), "--form", "text"),
        *("--shots", "1", "--limit", "3", "-n", str(n), "--max-tokens", "60", "--no-greedy"),
    ]


def on_workers(model: Path, run: Path, n: int) -> list[str]:
    given = ("workers=2", "inner=transformers", "cpus=1", "batch_rows=8")
    own = [part for each in given for part in ("--engine-arg", each)]
    return [*sampling(model, run, n), "--engine", "ray", *own]


def command(arguments: list[str]) -> list[str]:
    code = "import sys; from cot.cli import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, *arguments]


def test_a_killed_driver_loses_nothing_that_was_stored_and_is_resumed(
    cluster: str, model: Path, tmp_path: Path
) -> None:
    n = 150
    with subprocess.Popen(command(on_workers(model, tmp_path / "run", n))) as driver:
        shards = tmp_path / "run" / "traces"
        while driver.poll() is None and not (shards.is_dir() and any(shards.glob("part-*"))):
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
    stored = len(open_run(tmp_path / "run").traces([]))
    assert 0 < stored < 3 * n, "it was killed while it sampled"
    subprocess.run(command(on_workers(model, tmp_path / "run", n)), check=True)
    subprocess.run(command([*sampling(model, tmp_path / "alone", n), "--engine", "transformers"]))
    columns = ["text", "seed", "finish_reason"]
    resumed, alone = (open_run(tmp_path / name).traces(columns) for name in ("run", "alone"))
    keys = ["question_id", "sample_index"]
    assert not resumed.duplicated(keys).any()
    resumed, alone = (each.sort_values(keys, ignore_index=True) for each in (resumed, alone))
    rest = [*keys, "seed"]
    pd.testing.assert_frame_equal(resumed[rest], alone[rest])
    # batches differ, and with them the last digits: now and then a token on the edge does too
    assert (resumed["text"] == alone["text"]).mean() > 0.98
    calls = (tmp_path / "run" / "calls.jsonl").read_text().splitlines()
    assert json.loads(calls[-1])["n_new"] == 3 * n - stored


# -- passes ----------------------------------------------------------------------------------------


def made(folder: Path, model: tuple[Path, Any]) -> Run:
    run = small_run(folder, model[1], str(model[0]))
    answers(run)
    segment(run)
    return run


def test_capture_and_lens_read_with_two_workers_what_they_read_here(
    cluster: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    model = (folder, save_model(folder))
    asked: dict[str, Any] = {"layers": [1, 3], "positions": ["prompt_end", "step_end", "answer"]}
    here, there = made(tmp_path / "here", model), made(tmp_path / "there", model)
    capture(here, also=["lens"], **asked)
    capture(there, also=["lens"], workers=2, **asked)
    for name in ("logprob_gaps", "lens", "lens_traces", "lens_layers", "lens_tokens"):
        pd.testing.assert_frame_equal(there.table(name), here.table(name), rtol=1e-4, atol=1e-5)
    for position in asked["positions"]:
        for layer in asked["layers"]:
            rows, vectors = there.activations(layer=layer, position=position)
            others, own = here.activations(layer=layer, position=position)
            pd.testing.assert_frame_equal(rows, others)
            np.testing.assert_allclose(vectors, own, atol=1e-3)
    lens(there, workers=2)  # all is stored: no worker is started
