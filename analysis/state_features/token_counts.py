"""Which tokens a feature goes with, and how far their counts alone predict it.

A feature that a bag of tokens predicts may be no more than the tokens (arXiv 2601.05679 finds this
of most "reasoning" features).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.crossfit import question_folds

__all__ = ["bag_of_tokens_r2", "token_counts", "top_tokens"]

Floats = NDArray[np.float64]
MOST_TOKENS = 1000
"""Kinds of tokens that are counted: those in most pieces."""
MOST_ROWS = 4000
"""States that the ridge reads; of more, a seeded sample."""
LEAST_PIECES = 3
"""Pieces that a token must be in."""
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
FOLDS = 5


def token_counts(tokens: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], Floats]:
    """Token ids, and how often each stands in each piece, shape [piece, token]; of those in at
    least LEAST_PIECES pieces, the MOST_TOKENS most common."""
    pieces = Counter(token for each in tokens for token in set(each.tolist()))
    ordered = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
    kept = [token for token, n in ordered if n >= LEAST_PIECES][:MOST_TOKENS]
    place = {token: column for column, token in enumerate(kept)}
    counts = np.zeros((len(tokens), len(kept)))
    for row, each in enumerate(tokens):
        for token in each.tolist():
            if token in place:
                counts[row, place[token]] += 1
    return np.array(kept, np.int64), counts


def bag_of_tokens_r2(counts: Floats, values: Floats, questions: Any, seed: int) -> Floats:
    """R² of a ridge on counts [row, token] that predicts values [row, feature] of questions that it
    has not seen, shape [feature]: 1 − Σ (v − v̂)² / Σ (v − v̄)².

    Its penalty is chosen by leave-one-out on the training folds. Below 0 where the mean predicts
    better; NaN for a feature that never changes, without tokens, and with a single question.
    """
    from sklearn.linear_model import RidgeCV

    groups = pd.factorize(np.asarray(questions))[0]
    found = np.full(values.shape[1], np.nan)
    if len(groups) > MOST_ROWS:
        chosen = np.random.default_rng(seed).choice(len(groups), MOST_ROWS, replace=False)
        chosen.sort()
        counts, values, groups = counts[chosen], values[chosen], groups[chosen]
    varying = np.ptp(values, axis=0) > 0 if len(values) else np.zeros(len(found), bool)
    if not counts.shape[1] or not varying.any() or groups.max(initial=0) < 1:
        return found
    v = values[:, varying]
    fold = question_folds(np.zeros(len(groups), bool), groups, FOLDS, seed)
    predicted = np.empty_like(v)
    with threadpool_limits(1):
        for number in np.unique(fold):
            test = fold == number
            ridge = RidgeCV(alphas=PENALTIES, alpha_per_target=True)
            ridge.fit(counts[~test], v[~test])
            predicted[test] = ridge.predict(counts[test]).reshape(-1, v.shape[1])
    total = np.square(v - v.mean(axis=0)).sum(axis=0)
    found[varying] = 1 - np.square(v - predicted).sum(axis=0) / total
    return found


def top_tokens(
    ids: NDArray[np.int64], counts: Floats, values: Floats, most: int
) -> list[pd.DataFrame]:
    """For each feature the tokens that go with it: token, n (pieces with it), with_token and
    without_token (mean values), t; the highest Welch t first, none below 0."""
    there = counts > 0
    n = there.sum(axis=0).astype(float)
    found = []
    for v in values.T:
        inside, square = there.T @ v, there.T @ v**2
        rest = len(v) - n
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, other = inside / n, (v.sum() - inside) / rest
            spread = np.maximum(square / n - mean**2, 0) / n
            spread += np.maximum((np.square(v).sum() - square) / rest - other**2, 0) / rest
            t = np.where(spread > 0, (mean - other) / np.sqrt(spread), np.nan)
        order = [i for i in np.argsort(-t, kind="stable") if t[i] > 0][:most]
        found.append(
            pd.DataFrame(
                {"token": ids[order], "n": n[order].astype(int), "t": t[order]}
                | {"with_token": mean[order], "without_token": other[order]}
            )
        )
    return found
