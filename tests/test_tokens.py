"""Spans of generated tokens: a byte-level and a sentencepiece-like tokenizer, and awkward text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from cot.tokens import char_to_token, token_spans


def byte_level() -> Any:
    """Every byte its own token, but for a few words."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {piece: number for number, piece in enumerate(sorted(alphabet))}
    merges = [("a", "b"), ("Ġ", "1"), ("Ġ1", "2")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")


def metaspace() -> Any:
    """Words with a leading mark, bytes where a character is unknown; decoding strips the start."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "a", "b", "1", "2", "▁a", "▁1", "ab", "▁ab"]
    merges = [("▁", "a"), ("▁", "1"), ("a", "b"), ("▁a", "b")]
    backend = Tokenizer(
        models.BPE(
            vocab={piece: number for number, piece in enumerate(pieces)},
            merges=merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(content=" ", left=1)])
    backend.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")


BYTES, MARKS = byte_level(), metaspace()


def parts(tokenizer: Any, ids: list[int], text: str) -> list[str]:
    return [text[start:end] for start, end in token_spans(tokenizer, ids, text)]


def ids_of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def test_words_numbers_and_the_end() -> None:
    text = "ab 12 1."
    ids = [*ids_of(BYTES, text), BYTES.eos_token_id]
    assert parts(BYTES, ids, text) == ["ab", " 12", " 1", ".", ""]
    assert token_spans(BYTES, ids, text)[-1].tolist() == [8, 8]


def test_bytes_of_one_character_share_it() -> None:
    assert parts(BYTES, ids_of(BYTES, "a€b"), "a€b") == ["a", "€", "€", "€", "b"]
    assert parts(MARKS, ids_of(MARKS, "b€a"), "b€a")[-4:] == ["€", "€", "€", "a"]


def test_the_text_ends_before_the_stop_string() -> None:
    assert parts(BYTES, ids_of(BYTES, "ab 12\n\nb"), "ab 12") == ["ab", " 12", "", "", ""]
    assert parts(BYTES, ids_of(BYTES, "ab 12"), "ab 1") == ["ab", " 1"]


@pytest.mark.parametrize("text", ["ab 1", " ab 1", "ab 1 "])
def test_a_leading_space_more_or_less(text: str) -> None:
    for tokenizer in (BYTES, MARKS):
        for written in ("ab 1", " ab 1"):
            found = parts(tokenizer, ids_of(tokenizer, written), text)
            assert [part.strip() for part in found if part.strip()] == ["ab", "1"]


def test_a_special_token_inside_writes_nothing() -> None:
    ids = [*ids_of(BYTES, "ab"), BYTES.eos_token_id, *ids_of(BYTES, " 12")]
    assert parts(BYTES, ids, "ab 12") == ["ab", "", " 12"]


def test_bytes_that_are_no_character() -> None:
    ids = ids_of(BYTES, "€")[:2] + ids_of(BYTES, "ab")
    text = BYTES.decode(ids)
    assert text == "\ufffdab"
    assert parts(BYTES, ids, text) == ["\ufffd", "", "ab"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_spans_give_the_text_back(text: str) -> None:
    spans = token_spans(BYTES, ids_of(BYTES, text), text)
    assert (np.diff(spans, axis=0) >= 0).all()
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert "".join(text[a:b] for a, b in dict.fromkeys(map(tuple, spans.tolist()))) == text


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 258), max_size=80), st.text(max_size=40))
def test_any_ids_against_any_text_stay_inside_it(ids: list[int], text: str) -> None:
    spans = token_spans(BYTES, ids, text)
    assert spans.shape == (len(ids), 2)
    assert (np.diff(spans, axis=0) >= 0).all()
    assert ((spans >= 0) & (spans <= len(text))).all()


def test_characters_to_tokens() -> None:
    spans = np.array([[0, 2], [2, 5], [5, 7], [7, 8], [8, 8]])
    assert char_to_token(spans, 3, 5) == (1, 2)
    assert char_to_token(spans, 4, 6) == (1, 3)
    assert char_to_token(spans, 0, 8) == (0, 4)
    first, after = char_to_token(spans, 8, 8)
    assert first == after
    shared = np.array([[0, 1], [1, 2], [1, 2], [1, 2], [2, 3]])
    assert char_to_token(shared, 1, 2) == (1, 4)
