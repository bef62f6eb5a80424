"""The endpoint engine on a real `vllm serve` of the bundled model, beside the engine in process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cot
from cot import models
from cot.engines.contract import PROMPTS, check_engine
from cot.engines.endpoint import EndpointEngine
from cot.engines.vllm import VllmEngine
from cot.models import DEFAULT_MODEL
from cot.types import Completion, Request, Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

SAME_AS_IN_PROCESS = "--dtype float32 --enforce-eager --block-size 32 --no-enable-chunked-prefill"
"""What `cot.engines.vllm` sets on a CPU."""
STARTS_WITHIN = 900
"""Seconds; half a minute where nothing else runs."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = models.fetch(models.resolve(DEFAULT_MODEL))
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", DEFAULT_MODEL, "--host", "127.0.0.1", "--port", str(port)]
    command += [*SAME_AS_IN_PROCESS.split(), "--max-model-len", "1024", "--max-num-seqs", "32"]
    command += ["--max-num-batched-tokens", "1024", "--disable-uvicorn-access-log"]
    log = tmp_path_factory.mktemp("vllm") / "log"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    with open(log, "wb") as said:
        server = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + STARTS_WITHIN
    while not _answers(address):
        assert server.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, "the server doesn't start"
        time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(60)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/v1/models", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def own() -> Iterator[VllmEngine]:
    engine = VllmEngine(
        DEFAULT_MODEL, max_model_len=1024, max_num_seqs=32, max_num_batched_tokens=1024
    )
    yield engine
    engine.close()


def requests(**settings: Any) -> list[Request]:
    return [
        Request(
            question_id=str(prompt),
            sample_index=index,
            prompt=PROMPTS[prompt],
            sampling=Sampling(**({"max_tokens": 24} | settings)),
            seed=2**62 + 1000 * prompt + index,
        )
        for prompt in range(3)
        for index in range(4)
    ]


def by_key(engine: Any, asked: list[Request]) -> dict[Any, Completion]:
    found = engine.generate(iter(asked))
    return {(request.question_id, request.sample_index): got for request, got in found}


def test_contract(url: str) -> None:
    engine = EndpointEngine(DEFAULT_MODEL, url=url)
    check_engine(engine)
    engine.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"top_logprobs": 4, "stop": ("\n\n", "Q:")},
        {"repetition_penalty": 1.2, "presence_penalty": 0.5, "frequency_penalty": 0.5},
        {"think_budget": 4, "think_end": "\nSo ", "min_p": 0.02, "top_k": 40},
    ],
)
def test_traces_are_those_of_the_engine_in_process(
    url: str, own: VllmEngine, settings: dict[str, Any]
) -> None:
    """Log-probabilities to the last digits of float32: the batches that they ran in differ."""
    served = EndpointEngine(DEFAULT_MODEL, url=url)
    theirs, ours = by_key(served, requests(**settings)), by_key(own, requests(**settings))
    served.close()
    assert set(theirs) == set(ours)
    assert len(ours) == 12
    for key, mine in ours.items():
        its = theirs[key]
        assert (its.text, its.token_ids) == (mine.text, mine.token_ids), key
        assert (its.finish_reason, its.forced) == (mine.finish_reason, mine.forced)
        assert its.logprobs is not None
        np.testing.assert_allclose(its.logprobs, mine.logprobs, atol=2e-4)
        if "top_logprobs" in settings:
            np.testing.assert_allclose(its.top_means, mine.top_means, atol=2e-4)


def test_chat_gives_what_it_can(url: str, tmp_path: Path) -> None:
    """Asked by messages, with the server's own chat template."""
    arguments: dict[str, Any] = {"engine": "endpoint", "url": url, "engine_arg": ("api=chat",)}
    run = cot.sample("arithmetic", out=tmp_path / "run", n=2, limit=2, max_tokens=8, **arguments)
    traces = run.traces()
    assert len(traces) == 4
    assert traces["token_ids"].isna().all()
    assert all(len(each) == 8 for each in traces["logprobs"])
    assert traces["seed"].notna().all()
