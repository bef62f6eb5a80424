"""What a method of `cot features` is given and gives: a dictionary of directions.

    class Training                      states of training questions, their questions, and labels
    def snmf(training, *, n_features, seed, iterations=100) -> Dictionary

A method is a plug-in of the kind `features`. `check_features` tests one:

    def test_my_features():
        check_features("my_package.features:mine")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cot.registry import build

__all__ = [
    "Dictionary",
    "Features",
    "Training",
    "check_features",
    "linear",
    "nonnegative_values",
    "start_directions",
    "unit_rows",
]

Floats = NDArray[np.floating]
SWEEPS = 100
"""Passes over the features in which non-negative values are found."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """States that features are fitted on."""

    vectors: Floats
    """The mean of each one's question is taken off, shape [row, d_model]."""
    questions: NDArray[Any]
    """Each row's question, shape [row]."""
    traces: NDArray[np.int64]
    """Each row's trace, numbered from 0, shape [row]."""
    labels: NDArray[np.bool_] | None = None
    """Each row's label, that of its trace, shape [row]; None without a table of labels. Where it is
    given, the rows are of the traces that have one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dictionary:
    """Features: directions in the states of one layer, and how strong each is in a state h.

    `encoding` says how the values v of the features follow from x = h − offset:

    - `nonnegative`: v = argmin over v ≥ 0 of ½|x − v D|² + penalty Σ v, with D the directions;
    - `topk`: of max(x E + b, 0), the `active` largest, the others 0;
    - `linear`: v = x E + b.

    Arrays are float32, so that a dictionary on disk is the one that was fitted.
    """

    encoding: Literal["nonnegative", "topk", "linear"]
    """See above."""
    directions: Floats
    """D, unit rows, shape [feature, d_model]: a state with value v has v D in it."""
    offset: Floats
    """Shape [d_model]."""
    encoder: Floats | None = None
    """E, shape [d_model, feature]; None for `nonnegative`."""
    bias: Floats | None = None
    """b, shape [feature]; None for `nonnegative`."""
    active: int = 0
    """Most features of one state, for `topk`."""
    penalty: float = 0.0
    """On each unit of a value, for `nonnegative`."""

    def __post_init__(self) -> None:
        for name in ("directions", "offset", "encoder", "bias"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.ascontiguousarray(value, np.float32))

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.directions)

    @property
    def fires(self) -> bool:
        """Whether a feature is off in some states: its value is 0 there."""
        return self.encoding != "linear"

    def encode(self, vectors: Floats) -> NDArray[np.float64]:
        """Values of states whose question's mean is taken off, [row, d_model] -> [row, feature]."""
        x = vectors.astype(np.float64) - self.offset
        if self.encoding == "nonnegative":
            return nonnegative_values(x, self.directions.astype(np.float64), self.penalty)
        assert self.encoder is not None
        assert self.bias is not None
        values: NDArray[np.float64] = x @ self.encoder.astype(np.float64) + self.bias
        if self.encoding == "topk":
            values = np.maximum(values, 0.0)
            if self.active < values.shape[1]:
                # what is below the k-th largest is off
                least = np.partition(values, -self.active, axis=1)[:, -self.active]
                values[values < least[:, None]] = 0.0
        return values

    def decode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """States of values, [row, feature] -> [row, d_model]."""
        return np.asarray(values @ self.directions.astype(np.float64) + self.offset)


class Features(Protocol):
    """A method: see `analysis.state_features.snmf.snmf`."""

    def __call__(self, training: Training, *, n_features: int, seed: int) -> Dictionary:
        """Fit features to training states; the same again for the same arguments."""
        ...


def linear(directions: Floats, offset: Floats) -> Dictionary:
    """Features whose values are how far a state lies along them."""
    return Dictionary(
        encoding="linear",
        directions=directions,
        offset=offset,
        encoder=directions.T,
        bias=np.zeros(len(directions)),
    )


def nonnegative_values(
    x: NDArray[np.float64],
    directions: NDArray[np.float64],
    penalty: float = 0.0,
    start: NDArray[np.float64] | None = None,
    sweeps: int = SWEEPS,
) -> NDArray[np.float64]:
    """argmin over v ≥ 0 of ½|x − v D|² + penalty Σ v for each row, shapes [row, d], [feature, d] ->
    [row, feature], by coordinate descent: each value in turn gets its best, given the others. The
    problem is convex; features that are off get exactly 0.

    Args:
        start: where the descent starts; 0 by default.
        sweeps: always as many, so that a row's values don't depend on other rows.
    """
    gram, along = directions @ directions.T, (x @ directions.T - penalty).T.copy()
    values = np.zeros_like(along) if start is None else start.T.copy()
    for _ in range(sweeps):
        for j, own in enumerate(gram.diagonal()):
            if own > 0:
                step = (along[j] - gram[j] @ values) / own
                np.maximum(values[j] + step, 0.0, out=values[j])
    found: NDArray[np.float64] = values.T.copy()
    return found


def unit_rows(rows: Floats) -> NDArray[np.float64]:
    """The rows with norm 1; rows of zeros stay.

    >>> unit_rows(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    rows = np.asarray(rows, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit


def start_directions(X: Floats, n_features: int, seed: int) -> NDArray[np.float64]:
    """Unit directions to start from, [feature, d_model]: centres of k-means over the states'
    directions, weighted by their squared norms; random ones where there are too few states."""
    from sklearn.cluster import KMeans

    random = unit_rows(np.random.default_rng(seed).normal(size=(n_features, X.shape[1])))
    weight = np.square(np.asarray(X, np.float64)).sum(axis=1)
    rows = unit_rows(X)[weight > 0]
    if len(np.unique(rows, axis=0)) < n_features:
        return random
    found = KMeans(n_features, n_init=1, random_state=seed).fit(rows, None, weight[weight > 0])
    centres: NDArray[np.float64] = found.cluster_centers_
    # opposite states may cancel in a centre
    cancelled = np.linalg.norm(centres, axis=1, keepdims=True) < 1e-9
    return unit_rows(np.where(cancelled, random, centres))


def check_features(spec: str, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that a method breaks on made-up states.

    - It changes nothing that it is given, and gives the same again.
    - Directions are unit vectors, as many as were asked for (one, where it reads labels).
    - Values are finite, one a row and feature, whatever the order of the rows; those of features
      that fire are at least 0.
    - States that are all 0 are harmless.
    """
    random = np.random.default_rng(seed)
    truth = unit_rows(random.normal(size=(3, 10)))
    values = random.exponential(size=(120, 3)) * (random.random((120, 3)) < 0.3)
    X = (values @ truth + 0.05 * random.normal(size=(120, 10))).astype(np.float32)
    training = Training(
        vectors=X,
        questions=np.repeat(np.arange(10), 12),
        traces=np.repeat(np.arange(40), 3),
        labels=np.repeat(random.random(40) < 0.5, 3),
    )
    kept = X.copy()
    fit: Features = build("features", spec)
    made = fit(training, n_features=3, seed=seed)
    again = fit(training, n_features=3, seed=seed)
    assert np.array_equal(X, kept), "it changes what it is given"
    assert (made.directions == again.directions).all(), "not the same again"
    assert made.n_features in (1, 3), f"{made.n_features} features where 3 were asked for"
    norms = np.linalg.norm(made.directions, axis=1)
    assert np.allclose(norms[norms > 0], 1, atol=1e-5), "a direction is no unit vector"
    found = made.encode(X)
    assert found.shape == (120, made.n_features), f"120 rows, values {found.shape}"
    assert np.isfinite(found).all(), "a value is not finite"
    assert not made.fires or (found >= 0).all(), "a feature that fires has a negative value"
    order = random.permutation(120)
    assert np.allclose(made.encode(X[order]), found[order], atol=1e-6), "the order of rows decides"
    flat = Training(
        vectors=np.zeros_like(X),
        questions=training.questions,
        traces=training.traces,
        labels=training.labels,
    )
    dull = fit(flat, n_features=3, seed=seed).encode(flat.vectors)
    assert np.isfinite(dull).all(), "states that are all 0 give values that are not finite"
