"""What the tests of the endpoint engine ask, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cot
from cot.engines.endpoint import EndpointEngine
from cot.types import Completion, Request, Sampling
from tests.fake_server import FakeServer

FAST: dict[str, Any] = {"pause": 0.005, "timeout": 30.0, "patience": 30.0}


def requests(n: int, **settings: Any) -> list[Request]:
    return [
        Request(
            question_id=f"q{index % 5}",
            sample_index=index,
            prompt=f"Question {index % 5}: 1 + 1?",
            sampling=Sampling(**({"max_tokens": 12, "top_p": 1.0} | settings)),
            seed=2**62 + index,
        )
        for index in range(n)
    ]


def answers(engine: EndpointEngine, asked: list[Request]) -> dict[int, Completion]:
    found: dict[int, Completion] = {}
    for request, completion in engine.generate(iter(asked)):
        assert request.sample_index not in found, "it came twice"
        found[request.sample_index] = completion
    return found


def texts(found: dict[int, Completion]) -> dict[int, Any]:
    return {index: (each.text, each.token_ids) for index, each in found.items()}


def sample(out: Path, *servers: FakeServer, model: Path, **settings: Any) -> cot.Run:
    given: dict[str, Any] = {"n": 4, "limit": 3, "max_tokens": 10, "greedy": False, "shots": 1}
    arguments = tuple(f"{name}={value}" for name, value in FAST.items())
    url = tuple(each.url for each in servers)
    given |= {"engine": "endpoint", "url": url, "engine_arg": arguments, "model": str(model)}
    return cot.sample("arithmetic", out=out, **given | settings)


def keys(run: cot.Run) -> dict[Any, Any]:
    traces = run.traces(["text", "seed", "finish_reason", "token_ids", "logprobs"])
    assert not traces.duplicated(["question_id", "sample_index"]).any()
    for column in ("token_ids", "logprobs"):
        traces[column] = [None if each is None else tuple(each) for each in traces[column]]
    return traces.set_index(["question_id", "sample_index"]).to_dict("index")
