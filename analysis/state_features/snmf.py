"""Semi-non-negative matrix factorisation (Ding, Li & Jordan 2010): X ≈ c + V D with V ≥ 0.

Each state is a sum of directions of any sign, taken by amounts that are never negative: a part is
there or it is not.

    rows of X   2 d₁,  3 d₂,  d₁ + d₂, ...    ->   D = d₁, d₂   V = (2, 0), (0, 3), (1, 1), ...

The least-squares step for D and the start from k-means are theirs. Three differences: V is found by
coordinate descent, as their multiplicative rule comes to 0 only in the limit; amounts have a
penalty, as without one many D and V leave equally little and the parts are not the same from fit to
fit; and what all states share is c, as a mean that was taken off leaves minus the mean amounts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.state_features.contract import (
    Dictionary,
    Training,
    nonnegative_values,
    start_directions,
    unit_rows,
)
from cot.errors import InputError

__all__ = ["snmf"]

Floats = NDArray[np.float64]
SWEEPS = 5
"""Of coordinate descent between two steps of the directions: it goes on from where it was."""


def snmf(
    training: Training,
    *,
    n_features: int,
    seed: int,
    sparsity: float = 0.2,
    iterations: int = 200,
    restarts: int = 3,
) -> Dictionary:
    """Semi-non-negative matrix factorisation: directions of any sign, amounts of at least 0.

    Args:
        sparsity: penalty on amounts, in root mean squares of the states' norms; 0 for none.
        iterations: of directions and amounts in turn, at most.
        restarts: starts from k-means; the one that leaves the least is taken.
    """
    if min(iterations, restarts) < 1 or sparsity < 0:
        raise InputError(
            f"snmf: iterations is {iterations}, restarts {restarts}, sparsity {sparsity}: give at "
            "least 1, 1 and 0"
        )
    X = training.vectors.astype(np.float64)
    penalty = sparsity * float(np.sqrt((X**2).sum(axis=1).mean()))
    with threadpool_limits(1):
        fits = [_fit(X, n_features, penalty, seed + i, iterations) for i in range(restarts)]
    directions, offset, _ = min(fits, key=lambda fit: fit[2])
    return Dictionary(encoding="nonnegative", directions=directions, offset=offset, penalty=penalty)


def _fit(
    X: Floats, n_features: int, penalty: float, seed: int, iterations: int
) -> tuple[Floats, Floats, float]:
    """Unit directions [feature, d_model], what all states share [d_model], and the objective."""
    directions, offset = start_directions(X, n_features, seed), np.zeros(X.shape[1])
    values = nonnegative_values(X, directions, penalty)
    left = np.inf
    for _ in range(iterations):
        # a feature that is off everywhere has no least-squares step: it keeps its direction
        on = values.any(axis=0)
        if not on.any():
            break
        free = np.linalg.lstsq(np.c_[values[:, on], np.ones(len(X))], X, rcond=None)[0]
        directions[on], offset = unit_rows(free[:-1]), free[-1]
        # the same products as before the directions became unit vectors
        values[:, on] *= np.linalg.norm(free[:-1], axis=1)
        values = nonnegative_values(X - offset, directions, penalty, values, SWEEPS)
        before, left = left, _objective(X - offset, values, directions, penalty)
        if before - left < 1e-6 * before:
            break
    return directions, offset, _objective(X - offset, values, directions, penalty)


def _objective(x: Floats, values: Floats, directions: Floats, penalty: float) -> float:
    return float(((x - values @ directions) ** 2).sum() / 2 + penalty * values.sum())
