"""The log-probability of each token of a trace, laid along its text and small enough for a page.

A text becomes runs of characters that one token wrote. A run is two characters of `ALPHABET`: its
length in the browser's UTF-16 units (0 to 63; a longer run is several), and its level:

    logprob = -(level / STEPS)²        level 0 to 62, so that 0 to -15.5 nats are kept, the small
                                       ones finely; GAP is text that no token is known to have
                                       written, or whose log-probability isn't known

Spans are found again from the stored token ids (`cot.tokens`), which takes the model's tokenizer:
where this machine doesn't have it already, nothing is shaded. Nothing is downloaded for it.

    " 5" (-0.1), " +" (-2.0)  ->  "CFCW"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cot.store.run import Run
from cot.store.vectors import read_about

__all__ = ["ALPHABET", "GAP", "STEPS", "encode", "local_tokenizer", "shades_of"]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""Values 0 to 63, as in base64; none needs an escape in JSON or in a script."""
STEPS = 15.75
LOWEST = 62
GAP = 63
LONGEST = 63
KNOWN = 0.5
"""The least share of a text's characters that must be laid; below it the ids are another
tokenizer's, and nothing is shaded."""
Shades = Mapping[tuple[str, int], str]


def shades_of(run: Run) -> tuple[Shades, str | None]:
    """The runs of each trace that has token ids and log-probabilities, by (question_id,
    sample_index); and why there are none, or None."""
    name = run.identity.model or read_about(run.path / "activations").get("model")
    if not name:
        return {}, "the run names no model"
    tokenizer = local_tokenizer(str(name))
    if tokenizer is None:
        return {}, f"the tokenizer of {name} isn't on the machine that wrote this page"
    from cot.tokens import token_spans

    traces = run.traces(["text", "token_ids", "logprobs"])
    found = {}
    for key, index, text, ids, logprobs in traces[
        ["question_id", "sample_index", "text", "token_ids", "logprobs"]
    ].itertuples(index=False):
        if ids is None or logprobs is None or len(ids) != len(logprobs):
            continue
        spans = token_spans(tokenizer, ids, text)
        if runs := encode(text, spans, np.asarray(logprobs, float)):
            found[(str(key), int(index))] = runs
    return found, None if found else "no trace has tokens with log-probabilities"


def encode(text: str, spans: NDArray[np.int64], logprobs: NDArray[np.float64]) -> str | None:
    """The runs of one text; None where too little of it is known to be these tokens'.

    Args:
        spans: characters (start, end) of each token, shape [token, 2], never decreasing. Tokens
            that share a span wrote one character together: their log-probabilities are added.
        logprobs: shape [token], nats.
    """
    written = spans[:, 1] > spans[:, 0]
    (starts, ends), logprobs = spans[written].T, logprobs[written]
    first = np.flatnonzero(np.r_[True, (np.diff(starts) != 0) | (np.diff(ends) != 0)][: len(ends)])
    starts, ends = starts[first], ends[first]
    before = np.r_[0, ends][:-1]
    starts = np.maximum(starts, before)
    if (ends - starts).sum() < KNOWN * len(text):
        return None
    levels = _levels(np.add.reduceat(logprobs, first) if len(first) else logprobs)
    # What no token wrote stands before, between and after the pieces.
    borders = np.r_[0, np.stack([starts, ends], axis=1).ravel(), len(text)]
    known = np.full(len(borders) - 1, GAP)
    known[1::2] = levels
    return _runs(np.diff(_units(text)[borders]), known)


def local_tokenizer(name: str) -> Any | None:
    """The tokenizer of a model that is already on this machine, else None; asks no network and runs
    no code of the model's."""
    folder = _folder(name)
    if folder is None or not (folder / "tokenizer.json").is_file():
        return None
    from transformers import PreTrainedTokenizerFast  # loads in a quarter of AutoTokenizer's time

    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _folder(name: str) -> Path | None:
    from cot.models import BUNDLES, resolve

    bundle = BUNDLES.get(name)
    if Path(name).is_dir():
        return Path(name)
    if (bundle and bundle.path) or (name.endswith(".gguf") and Path(name).is_file()):
        return Path(resolve(name).path)
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(bundle.hub if bundle else name, "tokenizer.json")
    except ValueError:  # no name of a repository
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def _levels(logprobs: NDArray[np.float64]) -> NDArray[np.int64]:
    finite = np.isfinite(logprobs)
    nats = np.where(finite, np.maximum(0.0, -logprobs), 0.0)
    levels = np.minimum(LOWEST, np.rint(STEPS * np.sqrt(nats)))
    return np.where(finite, levels, GAP).astype(np.int64)


def _runs(lengths: NDArray[np.int64], levels: NDArray[np.int64]) -> str:
    """Each length with its level; one above LONGEST is several, the rest last."""
    times = -(-lengths // LONGEST)
    parts = np.full(times.sum(), LONGEST)
    filled = lengths > 0
    parts[np.cumsum(times)[filled] - 1] = (lengths[filled] - 1) % LONGEST + 1
    pairs = np.stack([parts, np.repeat(levels, times)], axis=1)
    return bytes(np.frombuffer(ALPHABET.encode(), np.uint8)[pairs]).decode("ascii")


def _units(text: str) -> NDArray[np.int64]:
    """UTF-16 units before each character, and of the whole text: shape [character + 1]."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return np.cumsum(np.r_[0, 1 + (points > 0xFFFF)], dtype=np.int64)
