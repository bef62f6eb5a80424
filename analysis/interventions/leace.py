"""A label erased from hidden states, in closed form, with the least change.

LEACE (least-squares concept erasure; Belrose et al. 2023, arXiv 2306.03819) is the affine map of
states h after which no linear probe tells the labels apart, as state and label have covariance 0,
and which among such maps changes h least. For one boolean label z, with m = E[h], s = Cov(h, z) and
Σ = Cov(h), it has rank 1:

    h ← h − s aᵀ(h − m),    a = Σ⁻¹ s / (sᵀ Σ⁻¹ s)

As aᵀs = 1, it takes all of s off the covariance with z, whatever Σ is; Σ decides what is least.
There are often fewer states than coordinates. Σ is therefore estimated, in standardised
coordinates, as (1 − λ) S + λ (tr S / d) I, with S the sample's covariance and the λ of Ledoit &
Wolf (2004). Were λ 0, a would follow the noise of so few states, and states of other questions
would keep their label.

    project, = leace(states, [labels])      # of training questions
    erase(project, others)                  # as a hook does to a state of any other question
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.edits import Project
from analysis.probes.crossfit import fit_space
from cot.errors import InputError

__all__ = ["erase", "leace", "take_out"]

Floats = NDArray[np.floating]
LEAST_SHRINKAGE = 1e-6
"""Of λ: with less, Σ may have no inverse."""


def leace(X: Floats, labels: Sequence[NDArray[np.bool_]]) -> list[Project]:
    """The maps, of rank 1, that erase each of some labels from states like X.

    Args:
        X: training states, shape [row, d_model].
        labels: several of shape [row]; they share Σ.

    Raises:
        InputError: labels that don't vary with X at all, as where all are equal.
    """
    from scipy.linalg import solve
    from sklearn.covariance import ledoit_wolf_shrinkage

    wide = np.asarray(X, dtype=np.float64)
    centre = wide.mean(axis=0)
    space = fit_space(wide, None, 0)
    varies = np.isfinite(space.scale)
    scale, placed = space.scale[varies], space.place(wide)[:, varies]
    shrinkage = max(ledoit_wolf_shrinkage(placed, assume_centered=True), LEAST_SHRINKAGE)
    sigma = (1 - shrinkage) * (placed.T @ placed) / len(wide)
    sigma.flat[:: len(sigma) + 1] += shrinkage  # tr S / d is 1: coordinates have a spread of 1
    centred = np.stack([z - z.mean() for z in labels], axis=1)
    shared = placed.T @ centred / len(wide)
    found = []
    for s, inverse in zip(shared.T, solve(sigma, shared, assume_a="pos").T, strict=True):
        taken = float(inverse @ s)
        if not taken > 1e-12:
            raise InputError(
                "the labels don't vary with the states, so that there is nothing to erase: choose "
                "another position or target"
            )
        # back to the model's own coordinates; what is written has length 1
        read, written = np.zeros(len(varies)), np.zeros(len(varies))
        read[varies], written[varies] = inverse / scale / taken, s * scale
        size = float(np.linalg.norm(written))
        found.append(Project((read * size)[:, None], (written / size)[None], centre))
    return found


def take_out(directions: Floats, centre: Floats) -> Project:
    """The map that sets states' parts along orthonormal directions [rank, d_model] to those of the
    centre [d_model]."""
    return Project(directions.T, directions, centre)


def erase(project: Project, X: Floats) -> NDArray[np.float64]:
    """What the map makes of states [row, d_model], in float64."""
    wide: Any = np.asarray(X, dtype=np.float64)
    off = wide if project.centre is None else wide - project.centre
    erased: NDArray[np.float64] = wide - (off @ project.right) @ project.left
    return erased
