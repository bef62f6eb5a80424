"""Copies of an engine in workers answer as one engine does; with threads in place of Ray."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import cot
from cot.engines import ray_engine
from cot.engines.contract import check_engine
from cot.engines.ray_engine import RayEngine
from cot.engines.transformers import TransformersEngine
from cot.errors import InputError
from cot.types import Request, Sampling
from cot.workers.worker import Worker
from tests.workers.fake_ray import FakeRay

pytestmark = pytest.mark.slow

PROMPTS = ("Q: Tom has 3 apples and gets 4 more. How many has he?\nA:", "1,", "The capital is")


def requests(n: int = 8) -> list[Request]:
    sampling = Sampling(temperature=1.0, top_p=0.9, max_tokens=20, top_logprobs=2)
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


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(Worker, "close_soon", lambda self: self._given.end(), raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # a worker sets it, here in this process
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield fake
    torch.set_num_threads(threads)


def copies(model: Path, **settings: Any) -> RayEngine:
    given = {"inner": "transformers", "workers": 2, "batch_rows": 6}
    return RayEngine(str(model), **{**given, **settings})


def test_contract(ray: FakeRay, tiny: Path) -> None:
    engine = copies(tiny, workers=1)
    check_engine(engine)
    engine.close()


def test_two_copies_draw_what_one_engine_draws(ray: FakeRay, tiny: Path) -> None:
    one = TransformersEngine(str(tiny), batch_rows=6)
    asked = requests()
    expected = {id(request): done for request, done in one.generate(asked)}
    engine = copies(tiny)
    found = {id(request): done for request, done in engine.generate(asked)}
    engine.close()
    assert len(ray.actors) == 2
    assert found.keys() == expected.keys()
    for key, done in found.items():
        assert done.token_ids == expected[key].token_ids
        assert done.text == expected[key].text
        np.testing.assert_allclose(done.logprobs, expected[key].logprobs, atol=1e-4)
        np.testing.assert_allclose(done.top_means, expected[key].top_means, atol=1e-4)


class DyingEngine(TransformersEngine):
    """Ends its worker at a request, whenever it is asked."""

    kill: Any = None

    def generate(self, requests: Any, cancelled: Any = lambda request: False) -> Any:
        def watched() -> Iterator[Any]:
            for request in requests:
                if request is not None and (request.question_id, request.sample_index) == ("1", 3):
                    type(self).kill()
                yield request

        yield from super().generate(watched(), cancelled)


def test_a_request_that_ends_its_workers_is_an_error_and_the_others_are_not(
    ray: FakeRay, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> None:
        (mine,) = [a for a in ray.actors if a._made._thread is threading.current_thread()]
        mine.kill()
        threading.Event().wait()

    monkeypatch.setattr(DyingEngine, "kill", staticmethod(kill))
    engine = copies(tiny, inner=DyingEngine, room=1)
    found = {(r.question_id, r.sample_index): done for r, done in engine.generate(requests(6))}
    engine.close()
    assert len(found) == 18
    failed = [key for key, done in found.items() if done.finish_reason == "error"]
    assert failed == [("1", 3)]
    assert "3 workers died: it was killed" in str(found["1", 3].problem)


def test_a_run_says_which_engine_was_copied_and_either_goes_on(
    ray: FakeRay, tiny: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {
        **{"model": str(tiny), "limit": 2, "max_tokens": 12, "shots": 1, "form": "text"},
        **{"out": tmp_path / "run", "greedy": False},
    }
    run = cot.sample(
        "arithmetic",
        engine="ray",
        engine_arg=("workers=2", "inner=transformers", "batch_rows=4"),
        n=3,
        **asked,
    )
    assert run.identity.engine == "transformers"
    more = cot.sample("arithmetic", n=4, engine="transformers", **asked)
    alone = cot.sample(
        "arithmetic", n=4, engine="transformers", **{**asked, "out": tmp_path / "alone"}
    )
    columns = ["text", "seed"]
    for frame in (more.traces(columns), alone.traces(columns)):
        assert len(frame) == 8
    assert more.traces(columns).equals(alone.traces(columns))


def test_the_weights_type_is_the_workers(
    ray: FakeRay, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SimpleNamespace(dtype=torch.bfloat16)
    monkeypatch.setattr(ray_engine.models, "load_config", lambda *_, **__: config)
    assert copies(tiny).dtype == "float32"
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 4.0})
    assert copies(tiny).dtype == "bfloat16"
    assert copies(tiny, gpus=0).dtype == "float32"
    assert copies(tiny, dtype="float16").dtype == "float16"


def test_what_cannot_be_meant_is_refused(tiny: Path, tmp_path: Path) -> None:
    for settings, match in (
        ({"room": 0}, "room is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"batch_rows": 0}, "batch_rows"),
        ({"inner": "teleport"}, "unknown engine 'teleport'"),
    ):
        with pytest.raises(InputError, match=match):
            copies(tiny, **settings)


def test_not_installed_names_the_extra(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'consilience\[ray\]'"):
        RayEngine(str(tiny))


def test_ray_is_not_imported_before_workers_are_asked_for() -> None:
    code = (
        "import sys, cot.engines.ray_engine, cot.workers.tasks, analysis.hidden_states.shared_pass;"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
