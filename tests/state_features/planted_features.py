"""States whose features are known: sums of a few directions, each taken by amounts above 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from planted_states import WIDTH, planted
from scipy.optimize import linear_sum_assignment
from small import Given

from analysis.state_features.contract import Training, unit_rows
from cot.store.run import Run

N = 6
"""Planted directions."""
ACTIVE = 2
"""Of them in one state."""
DIRECTIONS = unit_rows(np.random.default_rng(7).normal(size=(N, WIDTH)))


def states(seed: int, n: int = 400, noise: float = 0.05) -> Training:
    """States in each of which `ACTIVE` of the planted directions are on, without their question's
    mean; 20 states a question, 2 a trace."""
    random = np.random.default_rng(seed)
    on = np.argsort(random.random((n, N)), axis=1) < ACTIVE
    amounts = (1 + random.exponential(size=(n, N))) * on
    X = amounts @ DIRECTIONS + noise * random.normal(size=(n, WIDTH))
    return without_means(X, np.repeat(np.arange(n // 20), 20))


def noise(seed: int, n: int = 240) -> Training:
    """States that hold nothing, 20 a question, 2 a trace."""
    X = np.random.default_rng(seed).normal(size=(n, WIDTH))
    return without_means(X, np.repeat(np.arange(n // 20), 20))


def without_means(X: NDArray[np.float64], questions: NDArray[np.int64]) -> Training:
    means = np.stack([X[questions == name].mean(axis=0) for name in np.unique(questions)])
    return Training(
        vectors=(X - means[questions]).astype(np.float32),
        questions=questions,
        traces=np.arange(len(X)) // 2,
    )


def matched(found: NDArray[np.floating]) -> NDArray[np.floating]:
    """Cosine of each planted direction with the found one that it is paired with."""
    cosines = DIRECTIONS @ found.astype(np.float64).T
    own, other = linear_sum_assignment(-cosines)
    values: NDArray[np.floating] = cosines[own, other]
    return values


def given(n_questions: int = 16, n_traces: int = 8, seed: int = 0, name: str = "q") -> Given:
    """Questions whose answer is 1, and traces of which a quarter say 1 and the others 2."""
    random = np.random.default_rng(seed)
    return {
        f"{name}{i:02}": (
            "1",
            [str(1 + int(each >= n_traces // 4)) for each in random.permutation(n_traces)],
        )
        for i in range(n_questions)
    }


def telling(
    name: str, right: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.floating]:
    """Direction 0 is on in right traces, and another one in each trace."""
    amounts = np.zeros((len(right), N))
    amounts[np.arange(len(right)), random.integers(1, N, len(right))] = 2.0
    amounts[right, 0] = 3.0
    return amounts @ DIRECTIONS + 0.05 * random.normal(size=(len(right), WIDTH))


def telling_run(path: Path, questions: Given | None = None, revision: str = "0") -> Run:
    return planted(path, questions or given(), telling, revision=revision)
