"""What can be predicted without hidden states: from lengths, from the text, from the place in it.

Each baseline is a probe of the same kind over the same folds; only its vectors differ. They don't
depend on the layer, and but for `position_only` not on the position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters.embedding import TFIDF, embed
from cot.store.run import Run
from cot.store.vectors import read_index

__all__ = ["BASELINES", "places", "text_features"]

BASELINES = ("length", "tfidf", "embedding", "position_only")
Floats = NDArray[np.floating]


def text_features(
    rows: pd.DataFrame, embedder: str, cache: Path
) -> Mapping[str, Callable[[], Floats]]:
    """Baseline to a function that makes its features, shape [row, d].

    `length`: log(1 + characters) and log(1 + tokens). `tfidf`: words, numbers, operators and pairs
    of neighbours of the text, its answer masked. `embedding`: of the same text, left out where
    the embedder is `tfidf`.
    """
    lengths = rows[["characters", "tokens"]].to_numpy(dtype=np.float64)
    texts = rows["text"].tolist()
    made: dict[str, Callable[[], Floats]] = {
        "length": lambda: np.log1p(lengths),
        "tfidf": lambda: embed(texts, TFIDF),
    }
    if embedder != TFIDF:
        made["embedding"] = lambda: embed(texts, embedder, cache)
    return made


def places(run: Run, rows: pd.DataFrame, keys: list[str], position: str) -> Floats:
    """Where in its trace each row's vector lies: log(1 + token), log(1 + step), and whether each
    is known, shape [row, 4]; a `mean` lies nowhere, a prompt's end at one place for all."""
    run.reads("activations")
    index = read_index(run.path / "activations")
    index = index[index["position"] == position].sort_values("step", kind="stable")
    if position == "prompt_end":
        keys = ["question_id"]
    last = index.drop_duplicates(keys, keep="last")[list({*keys, "token", "step"})]
    kinds = {name: last[name].dtype for name in keys}
    joined = rows[keys].astype(kinds).merge(last, on=keys, how="left")
    at = joined[["token", "step"]].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(at)
    # the prompt's end has token -1, whose log(1 + token) would be -inf
    return np.hstack([np.log1p(np.where(known, np.maximum(at, 0.0), 0.0)), known])
