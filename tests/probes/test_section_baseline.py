"""The embedding baseline reads long traces by their sections, as `cot paths` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.probes import baselines
from analysis.probes.baselines import text_features
from tests.clusters.test_paths import run_of

WORDS = ("apples", "plums", "pears", "figs")


def paragraph(word: str, n: int) -> str:
    return f"There are {word} here. " + f"More {word} are counted one by one. " * n


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are embedded, each as the unit vector of the word that it holds."""
    seen: list[str] = []

    def embed(texts: list[str], embedder: str, cache: Path) -> np.ndarray:
        seen.extend(texts)
        return np.array([[float(word in text) for word in WORDS] for text in texts])

    monkeypatch.setattr(baselines, "embed", embed)
    return seen


def features(run, texts: list[str]) -> np.ndarray:
    rows = run.traces(["text"]).rename(columns={"text": "whole"})
    rows = rows.assign(text=rows["whole"], stated=None, start=pd.NA, end=pd.NA)
    rows = rows.assign(characters=rows["whole"].str.len(), tokens=1)
    return np.asarray(text_features(run, rows, "a model")["embedding"]())


def test_a_long_trace_is_the_mean_of_its_sections(tmp_path: Path, embedded: list[str]) -> None:
    texts = ["\n\n".join(paragraph(word, 9 + k) for k, word in enumerate(WORDS))] * 2
    run = run_of(tmp_path, {"q": texts})
    analysis.segment(run)
    found = features(run, texts)
    assert [sum(word in text for word in WORDS) for text in embedded] == [1] * 8
    sections = run.table("sections")
    lengths = (sections["end"] - sections["start"]).to_numpy(dtype=float)[:4]
    assert found == pytest.approx(np.tile(lengths / np.linalg.norm(lengths), (2, 1)))


def test_only_sections_that_paths_embedded_are_read(tmp_path: Path, embedded: list[str]) -> None:
    texts = ["\n\n".join(paragraph(word, 9 + k) for k, word in enumerate(WORDS))] * 2
    run = run_of(tmp_path, {"q": texts})
    analysis.paths(run, embedder="tfidf", most_sections=1)
    found = features(run, texts)
    table = run.table("path_sections")
    which = table.loc[table["embedded"], "section"].to_numpy(dtype=int)
    assert len(embedded) == 2
    assert found == pytest.approx(np.eye(4)[which])


def test_a_short_trace_is_embedded_whole(tmp_path: Path, embedded: list[str]) -> None:
    texts = ["There are apples. And plums.", "There are pears."]
    features(run_of(tmp_path, {"q": texts}), texts)
    assert embedded == texts
