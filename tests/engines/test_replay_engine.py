"""Replaying a run folder: what went in comes out, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cot.engines.replay import ReplayEngine
from cot.errors import InputError
from cot.store.run import create_run
from cot.types import Completion, Question, Request, Sampling, Trace

STORED = Completion(
    text=" 7",
    token_ids=(216, 39, 2),
    logprobs=np.array([-0.5, -0.25, -1.0], np.float32),
    finish_reason="stop",
    forced=(1, 2),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = create_run(tmp_path / "run", {"model": "x"})
    bare = Completion(text=" 8", token_ids=None, logprobs=None, finish_reason="length")
    with run.lock():
        run.add_questions([Question(id="a", text="3 + 4?")])
        with run.writer() as writer:
            for index, completion in enumerate([STORED, bare]):
                trace = Trace(
                    question_id="a",
                    sample_index=index,
                    seed=index,
                    prompt_sha="0",
                    completion=completion,
                )
                writer.add(trace)
    return run.path


def request(question: str, index: int) -> Request:
    return Request(question_id=question, sample_index=index, prompt="", sampling=Sampling(), seed=0)


def test_serves_what_is_stored(run: Path) -> None:
    asked = [request("a", 1), request("a", 0), request("a", 2), request("b", 0)]
    answers = list(ReplayEngine(run).generate(asked))
    assert [r for r, _ in answers] == asked
    bare, full, *others = [completion for _, completion in answers]
    assert (full.text, full.token_ids, full.finish_reason) == (" 7", (216, 39, 2), "stop")
    assert full.logprobs is not None
    np.testing.assert_allclose(full.logprobs, STORED.logprobs, atol=1e-3)
    assert (full.forced, bare.forced) == ((1, 2), None)
    assert (bare.text, bare.token_ids, bare.logprobs) == (" 8", None, None)
    assert [completion.finish_reason for completion in others] == ["error", "error"]


def test_the_cancelled_are_not_served(run: Path) -> None:
    asked = [request("a", 0), request("a", 1)]
    answers = ReplayEngine(run).generate(asked, lambda request: request.sample_index == 0)
    assert [r.sample_index for r, _ in answers] == [1]


def test_a_budget_is_refused(run: Path) -> None:
    asked = replace(request("a", 0), sampling=Sampling(think_budget=5))
    with pytest.raises(InputError, match="think_budget"):
        list(ReplayEngine(run).generate([asked]))


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run"):
        ReplayEngine(tmp_path)
