"""Embeddings: each text once, cached, in pieces where it is long; TF-IDF without a model."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import cot.models
from analysis.clusters.clusterers import AverageLinkage, cosine_distances
from analysis.clusters.embedding import (
    DIMENSIONS,
    _pieces,
    embed,
    is_cached,
    mask_traces,
    tfidf_vectors,
)

WINDOW = 10
"""Tokens, two of them special: eight words fit."""


class WordTokenizer:
    def __call__(self, text, **_):
        return {"input_ids": text.split()}

    def num_special_tokens_to_add(self):
        return 2


class BagOfWords:
    """An embedder with a window, which counts what it is given; word i is along axis i."""

    max_seq_length = WINDOW
    default_prompt_name = None

    def __init__(self, tokenizer=None):
        self.tokenizer = tokenizer or WordTokenizer()
        self.prompts = {}
        self.seen = []

    def encode(self, texts, **_):
        self.seen += texts
        rows = np.zeros((len(texts), 6), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            assert len(text.split()) <= WINDOW - 2, "would be cut off"
            row[5] = 1e-3
            for word in text.split():
                row[int(word)] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def embedder(monkeypatch):
    fake = BagOfWords()
    monkeypatch.setattr(cot.models, "load_embedder", lambda name: fake)
    monkeypatch.setattr(cot.models, "resolve", lambda name: SimpleNamespace(revision="1"))
    return fake


def test_equal_texts_are_embedded_once(embedder):
    vectors = embed(["0", "1 1", "0", "0"])
    assert sorted(embedder.seen) == ["0", "1 1"]
    assert (vectors[[2, 3]] == vectors[0]).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert embed([]).shape == (0, 0)


def test_long_texts_are_embedded_in_pieces_and_said(embedder, caplog):
    text = " ".join(["0"] * 12 + ["1"] * 6 + ["2"] * 5)
    with caplog.at_level(logging.INFO, "cot"):
        vectors = embed(["0", text, "", "3 3"])
    assert "1 of 4 texts exceed the embedder's window of 10 tokens" in caplog.text
    assert " ".join(embedder.seen).split().count("0") == 13, "each word once"
    assert sum(len(piece.split()) for piece in embedder.seen) == 23 + 3
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert np.argsort(-vectors[1])[:2].tolist() == [0, 1]
    pieces = [piece for piece in embedder.seen if len(piece.split()) > 2]
    weights = [len(piece.split()) for piece in pieces]
    mean = (np.array(weights)[:, None] * BagOfWords().encode(pieces)).sum(axis=0)
    assert vectors[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


class CharacterTokenizer(WordTokenizer):
    def __call__(self, text, **_):
        return {"input_ids": list(text)}


def test_a_text_without_blanks_is_cut_anywhere(embedder):
    embedder.tokenizer = CharacterTokenizer()
    embedder.prompts = {"query": "q: "}
    embedder.default_prompt_name = "query"
    pieces, owners, weights = _pieces(["é" * 99, "an"], embedder)
    assert "".join(pieces) == "é" * 99 + "an"
    assert max(map(len, pieces)) <= WINDOW - 2 - 3, "the prompt takes room too"
    assert owners == [0] * (len(pieces) - 1) + [1]
    assert sum(weights[:-1]) == 99


def test_the_cache_embeds_what_is_new_and_may_be_deleted_or_torn(embedder, tmp_path):
    first = embed(["0", "1", "1 2"], cache=tmp_path / "cache")
    embedder.seen.clear()
    again = embed(["1 2", "3", "0"], cache=tmp_path / "cache")
    assert embedder.seen == ["3"]
    assert (again[[0, 2]] == first[[2, 0]]).all()
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_bytes()
    for torn in (b"", content[: len(content) // 2], b"PK" + bytes(100)):
        file.write_bytes(torn)
        embedder.seen.clear()
        assert (embed(["0"], cache=tmp_path / "cache") == first[0]).all()
        assert embedder.seen == ["0"]
    embed(["0"], model="other", cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2, "another model's are apart"


def test_what_was_embedded_before_a_run_was_killed_is_not_embedded_again(
    embedder, tmp_path, monkeypatch
):
    monkeypatch.setattr("analysis.clusters.embedding.KEPT", 2)
    encode = embedder.encode

    def fail_at_the_third(texts, **settings):
        if len(embedder.seen) >= 2:
            raise KeyboardInterrupt
        return encode(texts, **settings)

    monkeypatch.setattr(embedder, "encode", fail_at_the_third)
    texts = ["0", "1", "2", "3"]
    with pytest.raises(KeyboardInterrupt):
        embed(texts, cache=tmp_path)
    assert is_cached(texts, "all-MiniLM-L6-v2", tmp_path).tolist() == [True, True, False, False]
    monkeypatch.setattr(embedder, "encode", encode)
    embedder.seen.clear()
    vectors = embed(texts, cache=tmp_path)
    assert sorted(embedder.seen) == ["2", "3"]
    assert vectors == pytest.approx(BagOfWords().encode(texts))
    assert len(list(tmp_path.iterdir())) == 1, "the parts are put together"


def test_tfidf_is_the_same_in_any_order_and_zero_without_terms():
    texts = ["5 + 7 = 12 pens", "add 5 to 7", "", "5 + 7 = 12 pens"]
    vectors = embed(texts, "tfidf")
    assert (vectors == embed(texts[::-1], "tfidf")[::-1]).all()
    assert (vectors[0] == vectors[3]).all()
    assert not vectors[2].any()
    assert np.linalg.norm(vectors[:2], axis=1) == pytest.approx(1)
    assert not tfidf_vectors(["", "!"]).any()


def test_tfidf_keeps_distances_where_there_are_many_terms():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(3000)]
    texts = [" ".join(rng.choice(words, 30)) for _ in range(100)]
    texts += [text + " also more" for text in texts[:10]]
    vectors = tfidf_vectors(texts)
    assert vectors.shape == (110, DIMENSIONS)
    distances = cosine_distances(vectors)
    assert np.abs(distances[:50, 50:100] - 1).max() < 0.25, "unrelated"
    assert np.diag(distances[:10, 100:]).max() < 0.25, "nearly equal"


def test_masked_traces_that_differ_in_the_answer_alone_are_one_path():
    stated = ["12", "9", "12", "31"]
    texts = [f"She has 5 and buys 7, so she has {each}. The answer is {each}." for each in stated]
    starts = [text.rindex(each) for text, each in zip(texts, stated, strict=True)]
    ends = [start + len(each) for start, each in zip(starts, stated, strict=True)]
    answers = pd.DataFrame({"text": stated, "start": starts, "end": ends})
    clusterer = AverageLinkage(0.05)
    assert clusterer.fit_predict(embed(texts, "tfidf")).tolist() == [0, 1, 0, 2]
    masked = mask_traces(texts, answers)
    assert clusterer.fit_predict(embed(masked, "tfidf")).tolist() == [0, 0, 0, 0]
    without = mask_traces(texts, answers, numbers=True)
    assert without[0] == (
        "She has [number] and buys [number], so she has [answer]. The answer is [answer]."
    )
