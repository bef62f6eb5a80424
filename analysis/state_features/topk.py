"""A small TopK sparse autoencoder (Gao et al. 2024, arXiv 2406.04093).

    z = TopK(max((x − c) E + b, 0))        x̂ = z D + c

Only the k largest values of a state are kept, so that sparsity needs no penalty; the loss is
|x − x̂|². E starts as Dᵀ; rows of D stay unit vectors. A feature that was off for a whole pass over
the states also learns to reconstruct what the others leave (their AuxK loss), which brings dead
features back. Two differences, as there are hundreds of states here and not billions: D starts at
centres of k-means instead of at random, and the states are seen many times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.state_features.contract import Dictionary, Training, start_directions
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["topk"]

BATCH = 256
AUXILIARY = 1 / 32
"""Weight of the dead features' loss."""


def topk(
    training: Training,
    *,
    n_features: int,
    seed: int,
    k: int = 4,
    steps: int = 800,
    learning_rate: float = 1e-2,
    restarts: int = 3,
) -> Dictionary:
    """A TopK sparse autoencoder: at most k features are on in a state.

    Args:
        k: features of one state.
        steps: batches of 256 states that it is trained on.
        learning_rate: Adam's, at first; it falls linearly to 0.
        restarts: trainings, each from other centres; the one that leaves the least is taken.
    """
    import torch

    if min(k, steps, restarts) < 1:
        raise InputError(
            f"topk: k is {k}, steps {steps}, restarts {restarts}: give at least 1 of each"
        )
    k = min(k, n_features)
    X = torch.from_numpy(np.ascontiguousarray(training.vectors, np.float32))
    # one number for all coordinates: directions and angles stay as they are
    scale = float(X.square().mean().sqrt()) or 1.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on such small matrices threads wait for one another
    try:
        fits = [
            _fit(X / scale, n_features, k=k, steps=steps, learning_rate=learning_rate, seed=each)
            for each in range(seed, seed + restarts)
        ]
    finally:
        torch.set_num_threads(threads)
    made = [
        Dictionary(
            encoding="topk",
            directions=directions.numpy(),
            offset=(centre * scale).numpy(),
            encoder=encoder.numpy(),
            bias=(bias * scale).numpy(),
            active=k,
        )
        for encoder, bias, directions, centre in fits
    ]
    return min(made, key=lambda each: _left(each, training.vectors))


def _left(made: Dictionary, vectors: NDArray[np.floating]) -> float:
    """The squared norm of what is not reconstructed."""
    return float(np.square(vectors - made.decode(made.encode(vectors))).sum())


def _fit(
    X: Tensor, n_features: int, *, k: int, steps: int, learning_rate: float, seed: int
) -> list[Tensor]:
    """E, b, D and c of the states [row, d_model]."""
    import torch

    centre = X.mean(dim=0)
    start = start_directions((X - centre).numpy(), n_features, seed)
    directions = torch.from_numpy(start.astype(np.float32))
    weights = [directions.T.clone(), torch.zeros(n_features), directions, centre]
    _train(X, weights, k=k, steps=steps, learning_rate=learning_rate, seed=seed)
    return [each.detach() for each in weights]


def _train(
    X: Tensor, weights: list[Tensor], *, k: int, steps: int, learning_rate: float, seed: int
) -> None:
    """Changes the weights (E, b, D, c) in place."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for each in weights:
        each.requires_grad_(True)
    encoder, bias, directions, centre = weights
    optimiser = torch.optim.Adam(weights, lr=learning_rate)
    passes = -(-len(X) // BATCH)
    off_for = torch.zeros(directions.shape[0], dtype=torch.long)  # batches since it was on
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        if step % passes == 0:
            order = torch.randperm(len(X), generator=generator)
        x = X[order[step % passes :: passes]]
        values = torch.relu((x - centre) @ encoder + bias)
        kept = values.topk(k, dim=1)
        z = torch.zeros_like(values).scatter(1, kept.indices, kept.values)
        left = x - centre - z @ directions
        loss = left.square().sum(dim=1).mean()
        on = (z > 0).any(dim=0)
        off_for = torch.where(on, 0, off_for + 1)
        dead = off_for >= passes
        if dead.any():
            # of the dead, the k largest before the rectifier, so that they have a gradient
            raw = ((x - centre) @ encoder + bias)[:, dead]
            best = raw.topk(min(k, raw.shape[1]), dim=1)
            extra = torch.zeros_like(raw).scatter(1, best.indices, best.values)
            missed = left.detach() - extra @ directions[dead]
            loss = loss + AUXILIARY * missed.square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            # unit rows; what a value loses in length the encoder learns again
            directions.copy_(torch.nn.functional.normalize(directions, dim=1))
