"""Directions that are read linearly: principal components, random directions, concept vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.state_features.contract import Dictionary, Training, linear, unit_rows
from cot.errors import InputError

__all__ = ["cav", "concept_vectors", "pca", "random_features"]

Floats = NDArray[np.float64]


def pca(training: Training, *, n_features: int, seed: int) -> Dictionary:
    """Principal components, the baseline: directions in which the states vary most.

    Of fewer states or coordinates than features, the directions beyond them are random. The largest
    coordinate of a direction is positive.
    """
    X = training.vectors.astype(np.float64)
    mean = X.mean(axis=0)
    axes = np.linalg.svd(X - mean, full_matrices=False)[2][:n_features]
    if len(axes) < n_features:
        more = np.random.default_rng(seed).normal(size=(n_features - len(axes), X.shape[1]))
        axes = np.vstack([axes, unit_rows(more)])
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return linear(axes * np.where(largest < 0, -1.0, 1.0), mean)


def random_features(d_model: int, *, n_features: int, seed: int) -> Dictionary:
    """Unit vectors evenly distributed over the sphere: what any direction tells."""
    vectors = np.random.default_rng(seed).normal(size=(n_features, d_model))
    return linear(unit_rows(vectors), np.zeros(d_model))


def cav(training: Training, *, n_features: int, seed: int, ridge: float = 1.0) -> Dictionary:
    """A concept activation vector (arXiv 1711.11279): the normal of a linear classifier of labels.

    One feature, whatever `n_features` is: the direction from traces without the concept to traces
    with it. Its value is 0 half-way between the means of the two.

    Args:
        ridge: of the classifier; see `concept_vectors`.

    Raises:
        InputError: no labels, or all training traces have the same one.
    """
    if training.labels is None:
        raise InputError("cav needs a table of labels: give --labels FILE")
    X, y = trace_means(training)
    if y.all() or not y.any():
        raise InputError(
            f"cav: all {len(y)} labelled traces of training questions have the same label: "
            "label more traces"
        )
    direction = concept_vectors(X, y[None], ridge=ridge)
    halfway = (X[y].mean(axis=0) + X[~y].mean(axis=0)) / 2
    return linear(direction, halfway)


def concept_vectors(X: Floats, labels: NDArray[np.bool_], *, ridge: float = 1.0) -> Floats:
    """For each labelling [concept, row] of states [row, d_model], the unit normal of the least
    squares classifier (labels as ±1) with penalty `ridge` × the mean squared norm of the centred
    states, shape [concept, d_model]. Zeros where nothing tells the labels apart.

    All labellings share one factorisation, so that hundreds of random concepts cost little.
    """
    centred = X - X.mean(axis=0)
    kernel = centred @ centred.T
    penalty = ridge * max(float(kernel.trace()) / len(X), 1e-12)
    y = np.where(labels, 1.0, -1.0).T
    weights = np.linalg.solve(kernel + penalty * np.eye(len(X)), y - y.mean(axis=0))
    return unit_rows((centred.T @ weights).T)


def trace_means(training: Training) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean state of each labelled trace, shape [trace, d_model], and its label."""
    assert training.labels is not None
    _, first, back = np.unique(training.traces, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), training.vectors.shape[1]))
    np.add.at(sums, back, training.vectors.astype(np.float64))
    return sums / np.bincount(back)[:, None], training.labels[first]
