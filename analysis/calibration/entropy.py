"""Entropy of a question's answers, or of its paths: how undecided its traces are.

Semantic entropy (Kuhn et al. 2023, arXiv 2302.09664; Farquhar et al., Nature 2024): -sum p log p
over a question's classes, in nats; here the classes are those of the answers. Discrete: p = the
class's share of the traces. Weighted: p from the traces' length-normalised probabilities,
p = (sum of exp(mean logp) over the class) / (the same over all traces).

    >>> class_entropy([0, 0, 0, 0], ["8", "8", "8", "7"], 1).round(4)
    array([0.5623])
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["class_entropy", "normalised_probabilities"]

Floats = NDArray[np.float64]


def class_entropy(
    question: ArrayLike, classes: ArrayLike, n_questions: int, weights: ArrayLike | None = None
) -> Floats:
    """Entropy of the classes of each question's traces, nats, shape [question].

    Rounded to 12 digits, so that the same counts in another order are a tie. NaN for a question
    without traces, or with a weight that is NaN.

    Args:
        question: code of each trace's question, from 0, shape [trace].
        classes: label of each trace, shape [trace].
        weights: of each trace, not negative, shape [trace]; one each where None.
    """
    owner = np.asarray(question, dtype=np.int64)
    label, names = pd.factorize(np.asarray(classes))
    pair, member = np.unique(owner * max(len(names), 1) + label, return_inverse=True)
    sums = np.bincount(member, weights, len(pair)).astype(float)
    of = pair // max(len(names), 1)
    total = np.bincount(of, sums, n_questions)
    p = sums / total[of]
    terms = p * np.log(p, out=np.zeros_like(p), where=~(p == 0))
    entropy: Floats = np.full(n_questions, np.nan)
    entropy[of] = (np.round(-np.bincount(of, terms, n_questions), 12) + 0.0)[of]
    return entropy


def normalised_probabilities(question: ArrayLike, mean_logp: ArrayLike, n_questions: int) -> Floats:
    """exp(mean logp) of each trace over its question's largest, shape [trace]; NaN stays NaN."""
    owner, logp = np.asarray(question, dtype=np.int64), np.asarray(mean_logp, dtype=float)
    largest = np.full(n_questions, -np.inf)
    np.fmax.at(largest, owner, logp)
    weights: Floats = np.exp(logp - largest[owner])
    return weights
