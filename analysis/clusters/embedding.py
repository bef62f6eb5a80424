"""Texts as unit vectors, the final answer masked.

Every occurrence of the stated answer is masked, not just the statement: `5 + 7 = 12` gives it away
as plainly as `The answer is 12`, and so does `12.00`. Otherwise clusters of reasoning would only
restate the answers.

    >>> mask_answer("5 + 7 = 12.00. The answer is 12.", "12", 29, 31)
    '5 + 7 = [answer]. The answer is [answer].'

The embedder is one of sentence-transformers (Reimers & Gurevych, arXiv 1908.10084). A text longer
than its window is embedded in pieces that fit, and its vector is the mean of theirs, weighted by
tokens: nothing is cut off unseen. `tfidf` in place of a model needs none.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cot.progress import track
from cot.store.atomic import replace_file
from cot.workers.cluster import cluster_of
from cot.workers.same_model import SameModel
from cot.workers.tasks import Do, shared

__all__ = [
    "DEFAULT_EMBEDDER",
    "MASK",
    "MASKED_NUMBER",
    "TFIDF",
    "embed",
    "is_cached",
    "mask_answer",
    "mask_numbers",
    "mask_traces",
    "seconds_to_embed",
    "tfidf_vectors",
]

MASK = "[answer]"
MASKED_NUMBER = "[number]"
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
TFIDF = "tfidf"
BATCH = 256
KEPT = 2_048
"""Texts whose vectors are put on disk at a time: what a killed run has embedded is not lost."""
DIMENSIONS = 512
"""Of TF-IDF vectors."""
MAX_TERMS = 50_000
TOKEN = r"[^\W_]+(?:[.,]\d+)*|[-+*/×÷−=%]"
"""A term of TF-IDF: a word, a number or an operator."""
log = logging.getLogger("cot")
Vectors = NDArray[np.float32]


def mask_answer(text: str, answer: str | None, start: int | None, end: int | None) -> str:
    """The text without its answer; unchanged where it states none.

    Args:
        answer: the stated answer, or None.
        start: first character of the statement, or None where its place is not known.
        end: one past its last character.
    """
    if not answer or not answer.strip():
        return text
    if start is not None and end is not None:
        text = text[:start] + MASK + text[end:]
    word = answer.strip()
    if not any(character.isdigit() for character in word) and len(word) < 4:
        return text  # "B" or "yes": other occurrences are ordinary words
    whole = rf"(?<![\w.,]){re.escape(word)}(?!\w|[.,]\d)"
    text = re.sub(whole, MASK, text)
    if re.fullmatch(rf"[$€£]?\s?{NUMBER}", word):
        value = _value(word.lstrip("$€£ "))
        text = re.sub(
            rf"(?<![\w.,]){NUMBER}(?!\w|[.,]\d)",
            lambda found: MASK if _value(found[0]) == value else found[0],
            text,
        )
    return text


def mask_numbers(text: str) -> str:
    """The text with [number] for every number in digits."""
    return re.sub(r"\d+(?:[.,]\d+)*", MASKED_NUMBER, text)


def mask_traces(texts: Iterable[str], answers: pd.DataFrame, numbers: bool = False) -> list[str]:
    """Each text without the answer that its row of the answers table states.

    Args:
        texts: shape [trace].
        answers: text, start and end of each trace's answer, row for row.
        numbers: hide every number too.
    """
    stated = (answers[name] for name in ("text", "start", "end"))
    masked = [
        mask_answer(text, *(None if pd.isna(value) else value for value in row))
        for text, *row in zip(texts, *stated, strict=True)
    ]
    return [mask_numbers(text) for text in masked] if numbers else masked


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def embed(
    texts: Sequence[str],
    model: str = DEFAULT_EMBEDDER,
    cache: Path | None = None,
    workers: int | None = None,
) -> Vectors:
    """Unit vectors, shape [text, d]; equal texts are embedded once.

    Args:
        texts: traces or steps.
        model: a name that `cot.models.load_embedder` resolves, or `tfidf`.
        cache: a folder that keeps what a model embedded, by the hash of the text; it may be deleted
            at any time. `tfidf` depends on all texts and is fast, so that it is not kept.
        workers: processes on a Ray cluster that share the texts; None embeds all of them here.
    """
    codes, unique = pd.factorize(np.asarray(texts, dtype=object))
    if not len(unique):
        return np.zeros((0, 0), dtype=np.float32)
    if model == TFIDF:
        vectors = tfidf_vectors(unique)
    elif cache is None:
        parts = dict(_encode_all(unique, model, workers))
        vectors = np.concatenate([parts[begin] for begin in sorted(parts)])
    else:
        vectors = _encode_new(unique, model, cache, workers)
    embedded: Vectors = vectors[codes]
    return embedded


def is_cached(texts: Sequence[str], model: str, cache: Path) -> NDArray[np.bool_]:
    """Whether the cache has each text's vector."""
    known = {key for part in _parts(_file(model, cache)) for key in _read(part)[0]}
    return np.array([key in known for key in map(_key, texts)], dtype=bool)


def seconds_to_embed(texts: Sequence[str], model: str) -> float:
    """Seconds of wall time that embedding these texts takes, without loading the model."""
    from cot.models import borrow_embedder

    with closing(borrow_embedder(model)) as loan:
        for some in (texts[:1], texts):  # the first pass allocates
            begin = time.perf_counter()
            for at in range(0, len(some), KEPT):
                for _ in _encode(some[at : at + KEPT], loan.value):
                    pass
        return time.perf_counter() - begin


def _encode_new(
    texts: Sequence[str], model: str, cache: Path, workers: int | None = None
) -> Vectors:
    """The texts' vectors; only those that the cache lacks are made."""
    file = _file(model, cache)
    parts = _parts(file)
    known, vectors = [], []
    for part in parts:
        keys, stored = _read(part)
        known += keys
        vectors += [stored] if keys else []
    wanted = [_key(text) for text in texts]
    places = {key: row for row, key in enumerate(known)}
    new = [row for row, key in enumerate(wanted) if key not in places]
    if new:
        for begin, made in _encode_all([texts[row] for row in new], model, workers):
            keys = [wanted[row] for row in new[begin : begin + len(made)]]
            part = file.with_name(f"{file.stem}-{begin:09d}{file.suffix}")
            _write(part, keys, made)
            known += keys
            vectors.append(made)
            parts.append(part)
        places = {key: row for row, key in enumerate(known)}
    together: Vectors = np.concatenate(vectors)
    if set(parts) != {file}:
        _write(file, known, together)
        for part in set(parts) - {file}:
            part.unlink()
    found: Vectors = together[[places[key] for key in wanted]]
    return found


def _file(model: str, cache: Path) -> Path:
    """Where a model's vectors are; those of a run that was killed are in parts beside it."""
    from cot.models import resolve

    identity = f"{model}@{resolve(model).revision}"
    return cache / f"embeddings-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.npz"


def _parts(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.stem}*{file.suffix}"))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _read(file: Path) -> tuple[list[bytes], Vectors]:
    """Keys and vectors; none where the file is not whole."""
    try:
        with open(file, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            keys, vectors = stored["keys"], stored["vectors"]
        if keys.shape == (len(vectors), 32) and vectors.ndim == 2:
            return [key.tobytes() for key in keys], vectors
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    return [], np.zeros((0, 0), dtype=np.float32)


def _write(file: Path, keys: Sequence[bytes], vectors: Vectors) -> None:
    rows = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 32)
    with replace_file(file) as handle:
        np.savez(handle, keys=rows, vectors=vectors)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texts:
    """Texts that are embedded together."""

    begin: int
    """Number of the first."""
    texts: Sequence[str]
    """At most KEPT."""


Embedded = float | tuple[Vectors, int, Any]
"""The share of some texts that is embedded so far; or their vectors, how many of them were split,
and the embedder's window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Embedding as a task; see `cot.workers`."""

    model: str | SameModel
    """The embedder: its name, or what a worker finds it by."""

    @contextmanager
    def open(self) -> Iterator[Do[Texts, Embedded]]:
        """Load the embedder."""
        from cot.models import borrow_embedder

        name = self.model if isinstance(self.model, str) else self.model.resolve().path
        with closing(borrow_embedder(name)) as loan:

            def embed(parts: Iterable[Texts]) -> Iterator[tuple[Texts, Embedded]]:
                for part in parts:
                    for result in _encode(part.texts, loan.value):
                        yield part, result

            yield embed


def _encode_all(
    texts: Sequence[str], model: str, workers: int | None
) -> Iterator[tuple[int, Vectors]]:
    """Vectors of up to KEPT texts at a time, each time with the number of the first, as they are
    done."""
    from cot.models import resolve

    parts = [
        Texts(begin=begin, texts=texts[begin : begin + KEPT])
        for begin in range(0, len(texts), KEPT)
    ]
    task = Embedding(model=model if workers is None else SameModel.of(resolve(model)))
    n_split, window, done = 0, None, dict.fromkeys((part.begin for part in parts), 0)
    with (
        shared(task, cluster_of(workers), called=lambda part: f"texts from {part.begin}") as do,
        track("embedding", total=len(texts), unit="texts") as advance,
    ):
        for part, result in do(parts):
            if isinstance(result, float):
                now = int(result * len(part.texts))
                advance(now - done[part.begin])
                done[part.begin] = now
                continue
            vectors, own_split, window = result
            n_split += own_split
            advance(len(part.texts) - done[part.begin])
            yield part.begin, vectors
    if n_split:
        log.info(
            "%d of %d texts exceed the embedder's window of %d tokens: embedded in pieces",
            *(n_split, len(texts), window),
        )


def _encode(texts: Sequence[str], embedder: Any) -> Iterator[Embedded]:
    """The share of the texts that is embedded, batch by batch; then their vectors."""
    pieces, owners, weights = _pieces(texts, embedder)
    vectors: Vectors = np.zeros((0, 0), dtype=np.float32)
    for share, made in _encode_pieces(pieces, embedder):
        vectors = made
        yield share
    n_split = int((np.bincount(owners) > 1).sum())
    if len(vectors) > len(texts):
        # float64: the mean of a text's pieces must not depend on their order
        sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float64)
        np.add.at(sums, np.array(owners), vectors * np.array(weights)[:, None])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        vectors = (sums / np.where(norms > 0, norms, 1)).astype(np.float32)
    yield vectors, n_split, embedder.max_seq_length


def _encode_pieces(pieces: Sequence[str], embedder: Any) -> Iterator[tuple[float, Vectors]]:
    """The share of the pieces that were embedded, and the vectors, once all were."""
    # longest first: a batch pads to its longest, and a batch too large for memory fails at once
    order = np.argsort([-len(piece) for piece in pieces], kind="stable")
    vectors: Vectors | None = None
    for begin in range(0, len(pieces), BATCH):
        rows = order[begin : begin + BATCH]
        part = embedder.encode(
            [pieces[row] for row in rows],
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        if vectors is None:
            vectors = np.zeros((len(pieces), part.shape[1]), dtype=np.float32)
        vectors[rows] = part
        yield min(1.0, (begin + BATCH) / len(pieces)), vectors


def _pieces(texts: Sequence[str], embedder: Any) -> tuple[list[str], list[int], list[int]]:
    """Pieces that fit the embedder's window; the text that each is of; its tokens."""
    window = embedder.max_seq_length
    if window is None or not np.isfinite(window):
        return list(texts), list(range(len(texts))), [1] * len(texts)
    tokenizer = embedder.tokenizer

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    prompt = (embedder.prompts or {}).get(embedder.default_prompt_name) or ""
    room = max(1, window - tokenizer.num_special_tokens_to_add() - count(prompt))
    pieces: list[str] = []
    owners: list[int] = []
    weights: list[int] = []
    for owner, text in enumerate(texts):
        fits = text.isascii() and len(text) < room  # a token is a character at least
        parts = [(text, 1)] if fits else _fit(text, count, room)
        for piece, weight in parts:
            pieces.append(piece)
            owners.append(owner)
            weights.append(weight)
    return pieces, owners, weights


def _fit(text: str, count: Callable[[str], int], room: int) -> list[tuple[str, int]]:
    """The text in about equal pieces of at most `room` tokens, cut at blanks if there are any."""
    n = count(text)
    if n <= room or len(text) < 2:
        return [(text, max(n, 1))]
    parts, start = -(-n // room), 0
    pieces = []
    for part in range(1, parts + 1):
        end = len(text) * part // parts
        if part < parts:
            blank = max(text.rfind(each, start, end) for each in " \n")
            end = blank if blank > start else end
        if end > start:
            pieces += _fit(text[start:end], count, room)
        start = end
    return pieces


def tfidf_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """TF-IDF, projected at random: unit vectors, shape [text, d] with d at most 512; a text without
    terms is zero.

    Terms are words, numbers, operators and pairs of neighbours; their weights are fitted on the
    distinct texts, in any order. A random projection keeps the distances between *any* two texts,
    to about 6% (Johnson & Lindenstrauss; Achlioptas 2003). A truncated SVD would keep what sets
    questions apart and lose what sets the traces of one question apart, which is what is clustered.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.random_projection import SparseRandomProjection

    model = TfidfVectorizer(
        token_pattern=TOKEN, ngram_range=(1, 2), sublinear_tf=True, max_features=MAX_TERMS
    )
    distinct = sorted(set(texts))
    try:
        terms = model.fit_transform(distinct)
    except ValueError:  # not one term
        return np.zeros((len(texts), 1), dtype=np.float32)
    row = {text: place for place, text in enumerate(distinct)}
    terms = terms[[row[text] for text in texts]]
    if terms.shape[1] > DIMENSIONS:
        projection = SparseRandomProjection(DIMENSIONS, dense_output=True, random_state=0)
        dense = projection.fit_transform(terms)
    else:
        dense = terms.toarray()
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    unit = np.divide(dense, norms, out=np.zeros_like(dense), where=norms > 0)
    vectors: NDArray[np.float32] = unit.astype(np.float32)
    return vectors
