"""Texts as unit vectors, by sentence-transformers (Reimers & Gurevych, arXiv 1908.10084)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cot.progress import track

__all__ = ["DEFAULT_EMBEDDER", "embed"]

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
BATCH = 256


def embed(texts: Sequence[str], model: str = DEFAULT_EMBEDDER) -> NDArray[np.float32]:
    """Unit vectors, shape [text, d]; equal texts are embedded once.

    Args:
        model: a name that `cot.models.load_embedder` resolves.
    """
    from cot.models import load_embedder

    codes, unique = pd.factorize(np.asarray(texts, dtype=object))
    embedder = load_embedder(model)
    order = np.argsort([len(text) for text in unique])[::-1]
    vectors: NDArray[np.float32] | None = None
    with track("embedding", total=len(unique), unit="texts") as advance:
        for begin in range(0, len(unique), BATCH):
            rows = order[begin : begin + BATCH]
            part = embedder.encode(
                [unique[row] for row in rows],
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
            if vectors is None:
                vectors = np.zeros((len(unique), part.shape[1]), dtype=np.float32)
            vectors[rows] = part
            advance(len(rows))
    if vectors is None:
        return np.zeros((0, 0), dtype=np.float32)
    embedded: NDArray[np.float32] = vectors[codes]
    return embedded
