"""What can be predicted without hidden states: from lengths, from the text, from the place in it.

Each baseline is a probe of the same kind over the same folds; only its vectors differ. They don't
depend on the layer, and but for `position_only` not on the position.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.catalogue import need
from analysis.clusters.comparing import by_sections
from analysis.clusters.embedding import TFIDF, embed
from analysis.clusters.section_texts import section_texts
from cot.store.run import Run
from cot.store.vectors import read_index
from cot.types import TRACE_KEY

__all__ = ["BASELINES", "places", "text_features"]

BASELINES = ("length", "tfidf", "embedding", "position_only")
Floats = NDArray[np.floating]
log = logging.getLogger("cot")


def text_features(
    run: Run, rows: pd.DataFrame, embedder: str
) -> Mapping[str, Callable[[], Floats]]:
    """Baseline to a function that makes its features, shape [row, d].

    `length`: log(1 + characters) and log(1 + tokens). `tfidf`: words, numbers, operators and pairs
    of neighbours of the text, its answer masked. `embedding`: of the same text, left out where
    the embedder is `tfidf`; of long traces, which `cot paths` compares by sections, the mean of the
    sections' vectors, weighted by characters, so that what either has embedded serves both. Where
    `cot paths` embedded a choice of them (`--budget`, `--most-sections`), it is of these.
    """
    lengths = rows[["characters", "tokens"]].to_numpy(dtype=np.float64)
    texts = rows["text"].tolist()
    made: dict[str, Callable[[], Floats]] = {
        "length": lambda: np.log1p(lengths),
        "tfidf": lambda: embed(texts, TFIDF),
    }
    if embedder != TFIDF:
        made["embedding"] = lambda: _embeddings(run, rows, embedder)
    return made


def _embeddings(run: Run, rows: pd.DataFrame, embedder: str) -> Floats:
    cache = run.path / "cache"
    are_traces = "stated" in rows and "step" not in rows
    if not are_traces or not by_sections("auto", need(run, "sections")):
        return embed(rows["text"].tolist(), embedder, cache)
    sections = section_texts(rows.assign(text=rows["whole"]), need(run, "sections"), False)
    chosen = need(run, "path_sections") if "path_sections" in run.tables() else pd.DataFrame()
    if len(chosen) and not chosen["embedded"].all():
        embedded = chosen.loc[chosen["embedded"], [*TRACE_KEY, "section"]]
        total = len(sections)
        sections = sections.merge(embedded, on=[*TRACE_KEY, "section"])
        log.info("the embedding baseline reads %d of %d sections", len(sections), total)
    vectors = embed(sections["text"].tolist(), embedder, cache)
    means = np.zeros((len(rows), vectors.shape[1]))
    weights = sections["characters"].to_numpy(dtype=np.float64)
    np.add.at(means, sections["row"].to_numpy(dtype=np.int64), vectors * weights[:, None])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    np.divide(means, norms, out=means, where=norms > 0)
    return means


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
