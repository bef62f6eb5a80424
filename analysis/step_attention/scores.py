"""Scores of a head from step × step attention: how much later steps pay each step, and whether they
agree on few steps.

M[i, j] is the mean attention weight from a token of step i to a token of step j. Then

    vertical score   v[j] = mean of M[i, j] over later steps i with i - j > nearest
    receiver score   excess kurtosis of v over the trace's steps, Fisher's G2 (n ≥ 4, unbiased for
                     normal values): 0 where they are normal, n where one of n steps takes all

    v   .1 .1 .9 .1 .1      receiver score 5: later steps look at one step
    v   .1 .2 .3 .4 .5      receiver score -1.2

after arXiv 2506.19143, whose code leaves out the nearest three and the step itself. Two things make
such a number large that are no agreement on a step:

- the place, as with a head that looks at the first step, or at those right before. `position` is
  the kurtosis of the scores that the place alone foretells, from the mean attention of *other
  questions'* traces to the first step, and to other steps by distance;
- a few steps that a single later step looks at. `adjusted` is the kurtosis of v over what the place
  foretells, `permuted` that of v where each later step's attention to the steps that count is
  permuted by itself, over what it then is on average. Without the adjustment, permuting would take
  away the place too, and a head that looks at what is near would seem to agree on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "kurtosis", "n_scored", "place_scores", "spearman_brown", "split_half"]

Floats = NDArray[np.float64]
LEAST = 4
"""Scores that a kurtosis needs."""
FLAT = 1e-6
"""Scores that differ by less than this share of their mean are the same."""


def n_scored(n_steps: int, nearest: int) -> int:
    """Steps that have a vertical score: those with a later step beyond the nearest.

    >>> n_scored(10, 4)
    5
    """
    return max(0, n_steps - nearest - 1)


def kurtosis(scores: Floats) -> Floats:
    """Excess kurtosis (G2) over the last axis, shape [...]; NaN for fewer than LEAST scores, and
    where all are the same.

    >>> round(float(kurtosis(np.array([0.1, 0.1, 0.9, 0.1, 0.1]))), 6)
    5.0
    """
    n = scores.shape[-1]
    if n < LEAST:
        return np.full(scores.shape[:-1], np.nan)
    mean = scores.mean(axis=-1, keepdims=True)
    apart = scores - mean
    square = (apart**2).mean(axis=-1)
    flat = square <= (FLAT * np.abs(mean[..., 0])) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = (apart**4).mean(axis=-1) / square**2 - 3
    corrected = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)
    return np.where(flat, np.nan, corrected)


def place_scores(to_first: Floats, by_distance: Floats, n_steps: int, nearest: int) -> Floats:
    """Vertical scores that places alone foretell, shape [..., scored step].

    Args:
        to_first: mean attention to the first step from the step at each distance, shape
            [..., distance]; distances count from 0.
        by_distance: the same of all other steps. Beyond the last known distance, in both, the last
            one stands.
    """
    n = n_scored(n_steps, nearest)
    if not n:
        return np.empty((*by_distance.shape[:-1], 0))
    distances = np.arange(nearest + 1, n_steps)
    known = [
        each[..., np.minimum(distances, each.shape[-1] - 1)] for each in (to_first, by_distance)
    ]
    # step j sees later ones at distances nearest + 1 to n_steps - 1 - j
    first, others = (np.cumsum(each, axis=-1) / np.arange(1, n + 1) for each in known)
    return np.concatenate([first[..., -1:], others[..., :-1][..., ::-1]], axis=-1)


def split_half(odd: Floats, even: Floats) -> Floats:
    """Correlation over the last axis of the scores that odd and that even later steps give, shape
    [...]; NaN for fewer than LEAST steps with both, or where either is the same throughout."""
    both = ~(np.isnan(odd) | np.isnan(even)).any(axis=tuple(range(odd.ndim - 1)))
    if both.sum() < LEAST:
        return np.full(odd.shape[:-1], np.nan)
    return correlation(odd[..., both], even[..., both])


def correlation(one: Floats, other: Floats) -> Floats:
    """Pearson's, over the last axis; NaN where either is constant."""
    a, b = (each - each.mean(axis=-1, keepdims=True) for each in (one, other))
    size = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    flat = np.isclose(size, 0, atol=1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat, np.nan, (a * b).sum(axis=-1) / size)


def spearman_brown(r: Floats) -> Floats:
    """Reliability of the whole from the correlation of its halves, 2r / (1 + |r|): of halves that
    disagree, the formula's own denominator would give any negative number.

    >>> float(spearman_brown(np.array(0.5)))
    0.6666666666666666
    """
    whole: Floats = 2 * r / (1 + np.abs(r))
    return whole
