"""What several workers read of a run is what one process reads; with threads in place of Ray."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import cot.models
from analysis.answer_table import answers
from analysis.attribution import attribute
from analysis.clusters import embedding
from analysis.hidden_states import capture
from analysis.interventions import intervene
from analysis.logit_lens import lens
from analysis.steps import segment
from cot.store.run import Run
from cot.workers.worker import Worker
from tests.planted_model import PlantedModel, plant, planted_run
from tests.workers.fake_ray import FakeRay

pytestmark = pytest.mark.slow

CAPTURED: dict[str, Any] = {"layers": [1, 5], "positions": ["prompt_end", "step_end", "pre_answer"]}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay(pickled=True)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(Worker, "close_soon", lambda self: self._given.end(), raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # a worker sets it, here in this process
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield fake
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedModel:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, planted: PlantedModel) -> Run:
    """Nothing but steps and answers."""
    made = planted_run(tmp_path_factory.mktemp("run"), planted, n_questions=5, n=4)
    answers(made)
    segment(made)
    return made


def copies(run: Run, folder: Path) -> tuple[Run, Run]:
    """Two of the run: one for this process, one for workers."""
    for name in ("here", "there"):
        shutil.copytree(run.path, folder / name)
    return Run(folder / "here", run.identity), Run(folder / "there", run.identity)


def same_tables(here: Run, there: Run, **left_out: list[str]) -> None:
    """Whether all tables are the same, but for these columns."""
    assert sorted(here.tables()) == sorted(there.tables())
    for name in here.tables():
        own, other = (run.table(name).drop(columns=left_out.get(name, [])) for run in (here, there))
        pd.testing.assert_frame_equal(other, own, rtol=1e-5, atol=1e-6)


def test_a_pass_that_a_capture_a_lens_and_attention_share(
    ray: FakeRay, bare: Run, tmp_path: Path
) -> None:
    here, there = copies(bare, tmp_path)
    capture(here, also=["lens", "attention"], **CAPTURED)
    capture(there, also=["lens", "attention"], workers=2, **CAPTURED)
    assert len(ray.actors) == 2
    same_tables(here, there)
    for layer in CAPTURED["layers"]:
        for position in CAPTURED["positions"]:
            rows, vectors = there.activations(layer=layer, position=position)
            others, own = here.activations(layer=layer, position=position)
            pd.testing.assert_frame_equal(rows, others)
            np.testing.assert_allclose(vectors, own, atol=1e-3)
    lens(there, workers=2)
    assert len(ray.actors) == 2, "all is stored: no worker is started"


def test_interventions_and_what_is_sampled_under_them(
    ray: FakeRay, bare: Run, tmp_path: Path
) -> None:
    here, there = copies(bare, tmp_path)
    for run, workers in ((here, None), (there, 2)):
        capture(run, layers=[5], positions=["pre_answer"])
        intervene(
            run,
            ["patching", "steering", "knockout"],
            layers=[3, 5],
            target="meta:left",
            direction_layers=[5],
            direction_position="pre_answer",
            strengths=(-0.2, 0.2),
            random_directions=2,
            samples=1,
            workers=workers,
        )
    assert len(ray.actors) == 4, "two measure, and two sample"
    assert len(here.table("interventions_sampled")) > 0
    same_tables(here, there)


def test_attributions_and_those_of_random_weights(ray: FakeRay, bare: Run, tmp_path: Path) -> None:
    here, there = copies(bare, tmp_path)
    methods = ["grad_x_input", "occlusion"]
    attribute(here, methods, checked=1)
    attribute(there, methods, checked=1, workers=2)
    assert len(ray.actors) == 2
    assert here.table("attributions")["randomised"].notna().any()
    same_tables(here, there, attribution_traces=["seconds"])


class Embedder:
    """Gives a text its length and its first letter, batch by batch."""

    max_seq_length = None

    def encode(self, texts: list[str], **_: Any) -> Any:
        rows = np.array([[len(text), ord(text[0]), 1.0] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_embeddings(ray: FakeRay, planted: PlantedModel, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(cot.models, "load_embedder", lambda name: Embedder())
    monkeypatch.setattr(embedding, "KEPT", 7)
    texts = [f"{chr(97 + i % 26)}{'x' * i}" for i in range(40)]
    name = str(planted.folder)  # any folder of a model has a revision
    own = embedding.embed(texts, name)
    for cache in (None, tmp_path / "cache"):
        found = embedding.embed(texts, name, cache, workers=2)
        np.testing.assert_array_equal(found, own)
    assert len(ray.actors) == 4
    embedding.embed(texts[:5], name, tmp_path / "cache", workers=2)
    assert len(ray.actors) == 4, "all is kept: no worker is started"
