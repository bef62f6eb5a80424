"""fixed: so many samples whatever they say; what the other rules are measured against."""

from __future__ import annotations

import numpy as np

from cot.errors import InputError
from cot.stopping.codes import ENDED, Codes, Integers
from cot.stopping.counting import CountingRule

__all__ = ["Fixed"]


class Fixed(CountingRule):
    """Stop at n samples; without n, take all.

    Args:
        n: samples, at least 1.
    """

    def __init__(self, n: int | None = None) -> None:
        if n is not None and (not isinstance(n, int) or n < 1):
            raise InputError(f"fixed: n is {n!r}: a whole number of at least 1")
        self.n = n

    def stops_after(self, codes: Codes) -> Integers:
        """n where a row has as many samples."""
        if self.n is None:
            return np.zeros(len(codes), dtype=np.int64)
        return np.where((codes != ENDED).sum(axis=1) >= self.n, self.n, 0)
