"""vLLM's hidden states are those of transformers, on the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_models import smollm2_run

from analysis.hidden_states import capture, shared_pass, vllm_forcing
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job
from analysis.hidden_states.vllm_forcing import VllmTeacherForcing
from cot.errors import InputError
from cot.models import DEFAULT_MODEL, load_model, load_tokenizer, resolve

LAYERS = [0, 1, 15, 30]
TOLERANCE = 1e-4
"""Of the largest value of the layer."""


def needs_vllm(test: Any) -> Any:
    """What vLLM warns of is its own."""
    for mark in (pytest.mark.vllm, pytest.mark.model, pytest.mark.filterwarnings("ignore")):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def forcing() -> Iterator[VllmTeacherForcing]:
    forcing = VllmTeacherForcing(DEFAULT_MODEL, layers=LAYERS, longest=256)
    yield forcing
    forcing.close()


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    """Prompts of a block's length and more, short; traces with a shared beginning of over a block,
    one that asks for nothing, and one that isn't scored."""
    words = load_tokenizer(resolve(DEFAULT_MODEL))
    long = " Ann has 3 pens and buys 4 more pens, which makes 3 + 4 = 7 pens in all, " * 3
    texts = [f"{long} so the answer is {n}." for n in (7, 8)] + [" 3 + 4 = 7.", " 7", " No."]
    made = []
    for name, start in (("q0", "Q: Ann has 3 pens and buys 4 more. How many?\nA:"), ("q1", "Q")):
        prompt = words.encode(start)
        prompt = (prompt * 32)[:32] if name == "q1" else prompt
        traces = []
        for index, text in enumerate(texts):
            ids = words.encode(text)
            asked = [] if index == 3 else [[-1, 0], [0, 1], [len(ids) - 1, len(ids)], [0, len(ids)]]
            spots = np.array(asked, np.int64).reshape(-1, 2)
            traces.append(
                ForcedTrace(sample_index=index, token_ids=ids, spots=spots, score=index != 4)
            )
        made.append(Job(question_id=name, prompt_ids=prompt, traces=traces))
    return made


def collect(forcing: Any, jobs: list[Job], layers: list[int]) -> dict[Any, Any]:
    return {
        (done.job.question_id, done.sample_index): done for done in forcing.forward(jobs, layers)
    }


@needs_vllm
def test_vectors_and_scores_are_those_of_transformers(
    jobs: list[Job], forcing: VllmTeacherForcing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = collect(forcing, jobs, LAYERS)
    assert [index for _, index in found] == [None, 0, 1, 2, 3, 4] * 2
    two = collect(forcing, jobs[:1], [30, 1])
    unread = forcing.forward(jobs, LAYERS)
    next(unread)
    unread.close()  # what was asked for and not read is no trouble
    assert set(collect(forcing, jobs[1:], LAYERS)) == {key for key in found if key[0] == "q1"}
    assert list(tmp_path.iterdir()) == []
    expected = collect(HookTeacherForcing(load_model(resolve(DEFAULT_MODEL))), jobs, LAYERS)
    assert found.keys() == expected.keys()
    unknown = 0
    for key, done in found.items():
        sure = expected[key]
        assert done.vectors.shape == sure.vectors.shape
        if sure.vectors.size:
            scale = np.abs(sure.vectors).max(axis=(1, 2), keepdims=True)
            assert np.abs((done.vectors - sure.vectors) / scale).max() < TOLERANCE
            if key in two:
                np.testing.assert_allclose(two[key].vectors, done.vectors[[3, 1]], atol=1e-3)
        assert (done.logprobs is None) == (sure.logprobs is None)
        if done.logprobs is not None:
            known = ~np.isnan(done.logprobs)
            unknown += int((~known).sum())
            np.testing.assert_allclose(done.logprobs[known], sure.logprobs[known], atol=1e-3)
    assert unknown > 0  # in the prefix cache
    np.testing.assert_array_equal(found["q0", 0].vectors[:, 0], found["q0", None].vectors[:, 0])


@needs_vllm
def test_a_run_is_captured_as_with_transformers(
    forcing: VllmTeacherForcing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_pass, "VllmTeacherForcing", lambda *_, **__: forcing)
    monkeypatch.setattr(forcing, "close", lambda: None)
    one, other = (smollm2_run(tmp_path / name) for name in ("one", "other"))
    asked: dict[str, Any] = {"layers": [15, 30], "positions": ["prompt_end", "pre_answer", "mean"]}
    index = capture(one, engine="vllm", **asked)
    assert index.equals(capture(other, device="cpu", **asked))
    for position in asked["positions"]:
        for layer in asked["layers"]:
            rows, vectors = one.activations(layer=layer, position=position)
            sure_rows, sure = other.activations(layer=layer, position=position)
            assert rows.equals(sure_rows)
            np.testing.assert_allclose(vectors, sure, rtol=2e-3, atol=1e-3 * np.abs(sure).max())
    assert one.table("logprob_gaps")["max_logprob_gap"].max() < 1e-3
    assert capture(one, **asked).equals(index)  # all is there, whoever put it there


def test_a_model_that_vllm_cannot_look_into_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        model = SimpleNamespace(name="m")

        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        @property
        def llm(self) -> Any:
            raise RuntimeError("no SupportsEagle3")

    monkeypatch.setattr(vllm_forcing, "VllmEngine", Refusing)
    monkeypatch.setattr(vllm_forcing, "resolve", lambda name: SimpleNamespace(name=name))
    config = SimpleNamespace(max_position_embeddings=2048)
    monkeypatch.setattr(vllm_forcing, "load_config", lambda model: config)
    with pytest.raises(InputError, match=r"SupportsEagle3.*use --engine transformers"):
        VllmTeacherForcing("m", layers=[1], longest=64)


@pytest.mark.parametrize(
    ("longest", "context", "room"),
    [(64, 8192, 512), (511, 8192, 512), (512, 8192, 1024), (5000, 8192, 8192), (5000, 6000, 6000)],
)
def test_runs_whose_longest_traces_differ_a_little_have_room_alike(
    monkeypatch: pytest.MonkeyPatch, longest: int, context: int, room: int
) -> None:
    asked = {}

    class Noting:
        llm = SimpleNamespace(llm_engine=None)

        def __init__(self, *_: Any, max_model_len: int, **__: Any) -> None:
            asked["room"] = max_model_len

    monkeypatch.setattr(vllm_forcing, "VllmEngine", Noting)
    monkeypatch.setattr(vllm_forcing, "resolve", lambda name: SimpleNamespace(name=name))
    config = SimpleNamespace(max_position_embeddings=context)
    monkeypatch.setattr(vllm_forcing, "load_config", lambda model: config)
    VllmTeacherForcing("m", layers=[1], longest=longest)
    assert asked == {"room": room}
