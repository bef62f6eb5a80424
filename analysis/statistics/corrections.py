"""Corrections of p for being one of many."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction; NaN stays and counts for nothing.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = [i for i, value in enumerate(p) if value == value]
    found, highest = list(p), 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p[i])):
        highest = max(highest, min(1.0, round(p[i] * (len(known) - rank), 12)))
        found[i] = highest
    return found
