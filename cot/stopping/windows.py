"""A fixed number of samples, and early-stopping self-consistency (ESC): unanimous windows.

fixed  so many samples, whatever they say: what the other rules are measured against
esc    Li et al. 2024, arXiv 2401.10480: stop at a window of samples that all agree

Windows of ESC are disjoint; one that holds a missing answer is not unanimous; a partial last window
never stops. The answer of a stop is that window's, not the vote's over all samples so far:
[3 3 2 2 4] [2 2 2 2 2] and [3 3 3 3 2] [2 2 2 2 2] both end with 2. Without a unanimous window, all
samples vote.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cot.errors import InputError
from cot.stopping.codes import ENDED, Codes, CountingRule, Integers, first_stop

__all__ = ["Esc", "Fixed"]


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


class Esc(CountingRule):
    """Stop at the first unanimous window.

    Args:
        window: samples in a window, at least 1; 5 in the paper for all but one dataset.
    """

    def __init__(self, window: int = 5) -> None:
        if window < 1:
            raise InputError(f"esc: window is {window}: at least 1")
        self.window = window

    def stops_after(self, codes: Codes) -> Integers:
        """The end of the first unanimous window of each row."""
        n_windows = codes.shape[1] // self.window
        windows = codes[:, : n_windows * self.window].reshape(len(codes), n_windows, self.window)
        unanimous = (windows[:, :, 0] >= 0) & (windows == windows[:, :, :1]).all(axis=2)
        return first_stop(unanimous) * self.window

    def answers(self, codes: Codes, used: Integers, stopped: NDArray[np.bool_]) -> Integers:
        """The unanimous window's answer, else the vote over all."""
        voted = super().answers(codes, used, stopped)
        last = codes[np.arange(len(codes)), np.maximum(used - 1, 0)] if codes.size else voted
        return np.where(stopped, last, voted)
