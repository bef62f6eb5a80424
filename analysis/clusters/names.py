"""Names of clusters: the terms that set a cluster apart, and its most central trace.

Terms are words and pairs of neighbouring words, weighed by class-based TF-IDF (Grootendorst 2022,
arXiv 2203.05794): a term's share of a cluster's terms x log(1 + A / f), where f is how often it
occurs in all classes and A the mean number of terms a class. The classes are the question's
clusters and the question itself. BERTopic ranks by this weight; with a handful of classes that
favours the terms that all classes share, so that here a term ranks by how far its weight exceeds
the mean of the other classes.

    >>> texts = ["Add the red pens.", "Add pens.", "Multiply red boxes."]
    >>> name_clusters(texts, np.array([0, 0, 1]), "How many pens?", np.eye(3))["terms"].tolist()
    ['add, red pens', 'boxes, multiply, red']
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters.clusterers import cosine_distances
from analysis.clusters.embedding import MASK, MASKED_NUMBER

__all__ = ["name_clusters"]

N_TERMS = 5
LONGEST = 30
"""Characters of a word; longer ones are no words."""
TOKEN = re.compile(
    rf"{re.escape(MASK)}|{re.escape(MASKED_NUMBER)}"
    r"|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]"
)
WORD = re.compile(r"[^\W\d_]{2,}|\d[\d.,]*")


def name_clusters(
    texts: Sequence[str],
    labels: NDArray[np.integer],
    question: str,
    vectors: NDArray[np.floating],
    sample_index: NDArray[np.integer] | None = None,
) -> pd.DataFrame:
    """One row a cluster of a question, by label: cluster, size, medoid, terms. Noise (-1) has none.

    `medoid` is the sample index of the trace with the least mean cosine distance to the cluster's
    others (of equals the lowest); `terms` up to five, best first, comma separated. Stop words and
    masks are no terms.

    Args:
        texts: masked as for the embedding; shape [trace].
        labels: each trace's cluster; shape [trace].
        question: its text.
        vectors: shape [trace, d].
        sample_index: shape [trace]; by default 0, 1, ....
    """
    labels = np.asarray(labels)
    index = np.arange(len(labels)) if sample_index is None else np.asarray(sample_index)
    clusters = np.unique(labels[labels >= 0])
    terms_of = {text: _terms(text) for text in set(texts)}
    counts: dict[int, Counter[str]] = {each: Counter() for each in clusters.tolist()}
    for label, text in zip(labels.tolist(), texts, strict=True):
        if label >= 0:
            counts[label].update(terms_of[text])
    names = _distinguishing([*counts.values(), Counter(_terms(question))])
    rows = []
    for cluster, terms in zip(clusters, names, strict=False):
        own = np.flatnonzero(labels == cluster)
        own = own[np.argsort(index[own])]
        means = cosine_distances(vectors[own]).mean(axis=1).round(9)
        rows.append((int(cluster), len(own), int(index[own[means.argmin()]]), ", ".join(terms)))
    frame = pd.DataFrame(rows, columns=["cluster", "size", "medoid", "terms"])
    kinds = {"cluster": "int64", "size": "int64", "medoid": "int64", "terms": "str"}
    return frame.astype(kinds)


def _distinguishing(counts: Sequence[Counter[str]]) -> list[list[str]]:
    """Each class's best terms; a word is in one of them at most."""
    totals: Counter[str] = Counter()
    for count in counts:
        totals.update(count)
    terms = sorted(totals)
    frequency = np.array([[count[term] for term in terms] for count in counts], dtype=float)
    lengths = frequency.sum(axis=1, keepdims=True)
    idf = np.log1p(lengths.mean() / frequency.sum(axis=0))
    weights = frequency / np.maximum(lengths, 1) * idf
    others = (weights.sum(axis=0) - weights) / max(len(counts) - 1, 1)
    excess = (weights - others).round(12)
    best = []
    for row in excess:
        chosen: list[str] = []
        seen: set[str] = set()
        for place in np.argsort(-row, kind="stable"):
            words = terms[place].split()
            if row[place] <= 0 or len(chosen) == N_TERMS:
                break
            if seen.isdisjoint(words):
                chosen.append(terms[place])
                seen.update(words)
        best.append(chosen)
    return best


def _terms(text: str) -> list[str]:
    """Words, and pairs of words that nothing stands between, in lower case."""
    words = [_word(token) for token in TOKEN.findall(text.lower())]
    pairs = [f"{one} {two}" for one, two in pairwise(words) if one and two]
    return [*filter(None, words), *pairs]


@lru_cache(maxsize=65_536)
def _word(token: str) -> str:
    """The token as a word; empty for stop words, masks and signs."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    is_word = WORD.fullmatch(token) and len(token) <= LONGEST and token not in ENGLISH_STOP_WORDS
    return token.replace(",", "") if is_word else ""
