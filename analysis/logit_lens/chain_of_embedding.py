"""Chain-of-embedding: how far, and how crookedly, a trace's state travels through the layers.

    M_k = ‖h_{k+1} − h_k‖ / ‖h_L − h_0‖        A_k = ∠(h_{k+1}, h_k) / ∠(h_L, h_0)
    R = mean M − mean A                        C = |mean(M e^{iA})|

(arXiv 2410.13640; h_k is the mean over the trace's generated tokens after k blocks.) A straight way
has mean M = 1/L, the least there is; detours make it larger. Angles are seen from the origin.

    >>> chain_of_embedding(np.array([[1.0, 0], [2, 0], [3, 0]]))
    (0.5, 0.5)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["chain_of_embedding"]

ROUNDING = 1e-6
"""Lengths relative to the longest state, and angles in radians, up to it are nothing."""
Floats = NDArray[np.float64]


def chain_of_embedding(states: NDArray[np.floating]) -> tuple[float, float]:
    """R and C of one trace.

    Where no step turns, every A is 0; where none moves, every M is 0. Both are NaN where the way
    ends where (or in the direction in which) it began after leaving it, and where a state is zero,
    which has no direction, or not finite.

    Args:
        states: of all layers, the embeddings (0) to the last block (L), shape [L + 1, d_model].

    Raises:
        ValueError: fewer than two layers.
    """
    # float64: moves of late layers are small differences of long vectors
    h = np.asarray(states, dtype=np.float64)
    if h.ndim != 2 or len(h) < 2:
        raise ValueError(f"states have shape {h.shape}: [L + 1, d_model] with L >= 1 is needed")
    lengths = np.linalg.norm(h, axis=1)
    if not np.isfinite(lengths).all() or not lengths.all():
        return (np.nan, np.nan)
    unit = h / lengths[:, None]
    moves = np.linalg.norm(h[1:] - h[:-1], axis=1)
    M = _in_units_of(moves, float(np.linalg.norm(h[-1] - h[0])), ROUNDING * float(lengths.max()))
    A = _in_units_of(_angles(unit[1:], unit[:-1]), float(_angles(unit[-1], unit[0])), ROUNDING)
    return (float(M.mean() - A.mean()), float(abs((M * np.exp(1j * A)).mean())))


def _in_units_of(steps: Floats, whole: float, rounding: float) -> Floats:
    """Steps as multiples of the whole; 0 where there are none, NaN where they come back."""
    if whole > rounding:
        return steps / whole
    return np.full_like(steps, 0.0 if steps.max() <= rounding else np.nan)


def _angles(u: Floats, v: Floats) -> Floats:
    """Between unit vectors, shape [..., d] -> [...]; exact near 0 and π, where arccos is not."""
    apart, together = np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1)
    angles: Floats = 2 * np.arctan2(apart, together)
    return angles
