"""What layers say, and how far they agree: arithmetic on latent answers.

An answer here is the number of a candidate; layers run from the embeddings (0) to the last block
(L), which has the last word.

    >>> said = np.array([[2, 0, 1, 1]])
    >>> consistency(said), commitment(said)
    (array([0.5]), array([2]))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "agreement",
    "calibrate",
    "commitment",
    "consistency",
    "emergence",
    "probabilities",
    "says",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def probabilities(logits: NDArray[np.floating]) -> Floats:
    """Softmax over the last axis, the candidates."""
    from scipy.special import softmax

    p: Floats = softmax(logits.astype(np.float64), axis=-1)
    return p


def calibrate(p: Sequence[Floats], tokens: Sequence[Sequence[tuple[int, ...]]]) -> list[Floats]:
    """Each probability's quantile among those of the same candidate tokens at the same layer.

    An intermediate layer may favour one token in every trace, whatever is asked. Each candidate is
    therefore held against its own values over the run: with p at rank r of n (ties averaged), its
    quantile is (r - 1/2)/n. What is ranked is p times the number of candidates, for 1/2 is much
    among nine and nothing among two.

    Of two candidates that all questions have, this is the paper's threshold, the layer's median:
    p(no) = 1 - p(yes) ranks the other way round, so that yes has the larger quantile if and only if
    r > n + 1 - r, that is, where p(yes) lies above the median. (arXiv 2405.18711, which for more
    labels thresholds each one's probability at its (labels - 1)/labels quantile:
    src/evaluation/calibrate.py of zhxieml/internal-consistency at c12788f. Quantiles always name
    one candidate; thresholds may name none or several.)

    Args:
        p: of each question, shape [place, layer, candidate].
        tokens: the first tokens of each question's candidates.

    Returns:
        Quantiles of the shapes of `p`. A candidate that one question alone has is held against
        that question's other places.
    """
    from scipy.stats import rankdata

    where: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for question, some in enumerate(tokens):
        for number, key in enumerate(some):
            where.setdefault(key, []).append((question, number))
    quantiles = [np.empty_like(each) for each in p]
    for members in where.values():
        values = [p[question][:, :, number] * p[question].shape[2] for question, number in members]
        stacked = np.concatenate(values)
        ranked = (rankdata(stacked, axis=0) - 0.5) / max(1, len(stacked))
        ends = np.cumsum([len(each) for each in values])[:-1]
        for (question, number), part in zip(members, np.split(ranked, ends), strict=True):
            quantiles[question][:, :, number] = part
    return quantiles


def consistency(said: Ints, *, ends: bool = False) -> Floats:
    """Share of the layers that say what the last one says (arXiv 2405.18711), shape [place].

    Args:
        said: answers, shape [place, layer].
        ends: count the embeddings and the last layer too, as the paper does; NaN without them in a
            model of one block.
    """
    middle = said if ends else said[:, 1:-1]
    if not middle.shape[1]:
        return np.full(len(said), np.nan)
    shares: Floats = (middle == said[:, -1:]).mean(axis=1)
    return shares


def commitment(said: Ints) -> Ints:
    """The lowest layer from which all later ones say what the last one says, shape [place]."""
    other = said != said[:, -1:]
    last_other = said.shape[1] - 1 - np.argmax(other[:, ::-1], axis=1)
    return np.where(other.any(axis=1), last_other + 1, 0)


def emergence(said: Ints, final: int) -> int:
    """The first step from whose end on all say the final answer; the number of steps if none does.

    Args:
        said: the last layer's answer at the end of each step before the answer, shape [step].
        final: its answer right before the stated one.
    """
    others = np.flatnonzero(said != final)
    return int(others[-1]) + 1 if len(others) else 0


def says(said: Ints, n_candidates: int) -> Floats:
    """Share of the looks that say each candidate, shape [..., look] -> [..., candidate]."""
    shares: Floats = (said[..., None] == np.arange(n_candidates)).mean(axis=-2)
    return shares


def agreement(shares: Floats, final: Ints) -> tuple[float, float]:
    """How often traces' looks say their own final answer, and that of another trace.

    The second is what the first would be if the looks knew no more than which question it is; NaN
    for a single trace.

    Args:
        shares: see `says`, of one question's traces, shape [trace, candidate].
        final: their final answers, shape [trace].
    """
    of = shares[:, final]
    n = len(final)
    own = float(np.diag(of).mean()) if n else np.nan
    other = float((of.sum() - np.diag(of).sum()) / (n * (n - 1))) if n > 1 else np.nan
    return own, other
