"""Texts as vectors without a model: TF-IDF, projected at random onto a few hundred dimensions.

A random projection keeps the distances between *any* two texts, to about 6% (Johnson &
Lindenstrauss; Achlioptas 2003). A truncated SVD would keep what sets questions apart and lose what
sets the traces of one question apart, which is what is clustered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["tfidf_vectors"]

DIMENSIONS = 512
MAX_TERMS = 50_000
TOKEN = r"[^\W_]+(?:[.,]\d+)*|[-+*/×÷−=%]"


def tfidf_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors, shape [text, d] with d at most 512; a text without terms is zero.

    Terms are words, numbers, operators and pairs of neighbours; their weights are fitted on
    the distinct texts, in any order.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.random_projection import SparseRandomProjection

    model = TfidfVectorizer(
        token_pattern=TOKEN, ngram_range=(1, 2), sublinear_tf=True, max_features=MAX_TERMS
    )
    try:
        model.fit(sorted(set(texts)))
    except ValueError:  # not one term
        return np.zeros((len(texts), 1), dtype=np.float32)
    terms = model.transform(texts)
    if terms.shape[1] > DIMENSIONS:
        projection = SparseRandomProjection(DIMENSIONS, dense_output=True, random_state=0)
        dense = projection.fit_transform(terms)
    else:
        dense = terms.toarray()
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    unit = np.divide(dense, norms, out=np.zeros_like(dense), where=norms > 0)
    vectors: NDArray[np.float32] = unit.astype(np.float32)
    return vectors
