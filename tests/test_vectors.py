"""The activations folder: what is written is read back, and nothing torn or foreign is."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from cot.errors import InputError
from cot.store.vectors import (
    Place,
    VectorWriter,
    read_about,
    read_forced,
    read_index,
    read_vectors,
)

RANDOM = np.random.default_rng(0)


def places(question_id: str, n: int, token: int = 4) -> list[Place]:
    return [Place(question_id, index, "answer", None, token) for index in range(n)]


def writer(folder: Path, revision: str = "1") -> VectorWriter:
    return VectorWriter(folder, model="m", revision=revision)


def test_vectors_come_back_in_order_and_a_layer_at_a_time(tmp_path: Path) -> None:
    values = RANDOM.normal(size=(2, 5, 8))
    with writer(tmp_path) as out:
        out.add(places("b", 3)[::-1], {0: values[0, :3], 7: values[1, :3]})
        out.flush()
        out.add(places("a", 2), {0: values[0, 3:], 7: values[1, 3:]})
        out.add_trace("a", 0, 12, 1e-5)
    index, vectors = read_vectors(tmp_path, layer=7, position="answer")
    assert index["question_id"].tolist() == ["b"] * 3 + ["a"] * 2
    assert index["sample_index"].tolist() == [0, 1, 2, 0, 1]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, values[1][[2, 1, 0, 3, 4]], atol=1e-2)
    (row,) = read_forced(tmp_path).to_numpy().tolist()
    assert row[:4] == ["a", 0, 12, 1e-5]
    assert np.isnan(row[4:]).all()
    with writer(tmp_path) as out:
        out.add_trace("a", 0, 12, 2e-5, (9.5, 0.5))
        out.flush()
        out.add_trace("a", 0, 12, 3e-5)  # certainty isn't asked for again
    assert read_forced(tmp_path).to_numpy().tolist() == [["a", 0, 12, 3e-5, 9.5, 0.5]]
    assert read_about(tmp_path)["layers"] == [0, 7]
    with safe_open(tmp_path / "vectors-000000.safetensors", framework="numpy") as shard:
        assert sorted(shard.keys()) == ["layer_0", "layer_7"]
        assert shard.get_tensor("layer_0").dtype == np.float16


def test_a_place_written_again_is_replaced(tmp_path: Path) -> None:
    old, new = np.zeros((2, 4)), np.ones((1, 4))
    with writer(tmp_path) as out:
        out.add(places("q", 2), {1: old, 2: old})
    with writer(tmp_path) as out:
        out.add(places("q", 1), {2: new})
    assert read_vectors(tmp_path, layer=1, position="answer")[1].sum() == 0
    assert read_vectors(tmp_path, layer=2, position="answer")[1].tolist() == [[1.0] * 4, [0.0] * 4]
    with writer(tmp_path) as out:
        out.add(places("q", 1, token=9), {2: new * 3})
    index, vectors = read_vectors(tmp_path, layer=2, position="answer")
    assert index["token"].tolist() == [9, 4]
    assert vectors[0].tolist() == [3.0] * 4
    assert len(read_vectors(tmp_path, layer=1, position="answer")[0]) == 1  # it moved there too


def test_a_trace_may_have_many_of_a_name(tmp_path: Path) -> None:
    some = [Place("q", 0, "every 2 tokens", None, token) for token in (3, 1, 5)]
    with writer(tmp_path) as out:
        out.add(some, {1: np.array([[3.0], [1.0], [5.0]])})
    with writer(tmp_path) as out:
        out.add(some[:1], {1: np.array([[4.0]])})
    index, vectors = read_vectors(tmp_path, layer=1, position="every 2 tokens")
    assert index["token"].tolist() == [1, 3, 5]
    assert vectors.tolist() == [[1.0], [4.0], [5.0]]


def test_files_without_a_name_in_the_index_go(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        out.add(places("q", 1), {1: np.zeros((1, 4))})
    (tmp_path / "vectors-000009.safetensors").write_bytes(b"torn")
    (tmp_path / ".vectors-000010.safetensors.1.tmp").write_bytes(b"")
    assert len(read_vectors(tmp_path, layer=1, position="answer")[0]) == 1
    writer(tmp_path)
    assert [path.name for path in tmp_path.glob("*vectors-*")] == ["vectors-000000.safetensors"]


def test_another_model_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        out.add(places("q", 1), {1: np.zeros((1, 4))})
    with pytest.raises(InputError, match=r"hidden states of m \(1\), not of m \(2\)"):
        writer(tmp_path, revision="2")


def test_beyond_half_precision_a_layer_is_kept_wider(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large = np.full((1, 4), 1e6)
    with caplog.at_level(logging.WARNING, "cot"), writer(tmp_path) as out:
        out.add(places("q", 1), {1: np.ones((1, 4)), 2: large})
    assert "layer_2: beyond float16's range, stored as float32" in caplog.text
    np.testing.assert_array_equal(read_vectors(tmp_path, layer=2, position="answer")[1], large)


def test_nothing_captured_is_said(tmp_path: Path) -> None:
    assert read_index(tmp_path).empty
    with pytest.raises(InputError, match="nothing was captured yet"):
        read_vectors(tmp_path, layer=1, position="answer")
