"""DeepConf online: cut traces that lose confidence, stop at a weighted consensus.

Fu et al. 2025, arXiv 2508.15260, algorithm 2. A token's confidence is minus the mean of its k
largest log-probabilities; a window's, the mean over its tokens; a trace's, the lowest of its
sliding windows (a trace shorter than a window is one window).

1. The first `warmup` traces are written to the end. The bar is the (100 - p)th percentile of their
   confidences: **p is the percentage of them that the bar keeps**, so that p = 90 (the paper's
   DeepConf-high, the default) cuts little and p = 10 (DeepConf-low) cuts most. The authors' code
   names the same settings by the percentile: CONFIDENCE_PERCENTILE = 10 and 90.
2. A later trace is cut at the token at which a window falls under the bar: its tokens up to there
   are spent, and it doesn't vote. Nor does a warm-up trace under the bar (as in their code).
3. The others vote with their confidence as weight. From the end of the warm-up on, sampling stops
   once the leading answer has `consensus` of all weight.

Engines don't report a trace while it is written, so this rule is replayed over stored traces only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cot.errors import InputError
from cot.stopping import Decision
from cot.stopping.codes import MISSING, Codes, Integers, Replayed, tally
from cot.stopping.counting import first_stop
from cot.types import Ballot

__all__ = ["DeepConfOnline", "window_confidences"]

Floats = NDArray[np.float64]
LEAST = 1e-12
"""Weight of a trace without any confidence."""


class DeepConfOnline:
    """Cut traces under the bar that the first ones set; stop at a weighted consensus.

    Args:
        warmup: traces that set the bar.
        p: percentage of the warm-up traces that the bar keeps, in (0, 100].
        window: tokens in a sliding window.
        consensus: share of all weight at which to stop, in (0, 1].
    """

    needs = ("top_means",)

    def __init__(
        self, warmup: int = 16, p: float = 90, window: int = 2048, consensus: float = 0.95
    ) -> None:
        for name, value in (("warmup", warmup), ("window", window)):
            if value < 1:
                raise InputError(f"deepconf_online: {name} is {value}: at least 1")
        if not 0 < p <= 100:
            raise InputError(f"deepconf_online: p is {p}: above 0 and at most 100 (percent kept)")
        if not 0 < consensus <= 1:
            raise InputError(f"deepconf_online: consensus is {consensus}: above 0 and at most 1")
        self.warmup, self.p, self.window, self.consensus = warmup, p, window, consensus

    def __call__(self, ballots: Sequence[Ballot]) -> Decision:
        """Refuse: ballots don't tell where a trace lost confidence."""
        raise InputError(
            "deepconf_online cuts traces while they are written, which no engine reports: "
            "replay it with `cot stop` over traces sampled with --top-logprobs 20"
        )

    def replay_question(
        self, codes: Codes, top_means: Sequence[NDArray[np.float32]], order: Integers
    ) -> tuple[Replayed, Integers]:
        """One question's traces in several orders.

        Args:
            codes: answer class of each trace, MISSING without a valid one, shape [trace].
            top_means: mean of the k largest log-probabilities at each token, a series a trace.
            order: the traces as they come, shape [row, trace].

        Returns:
            Where the rule stops in each row, and the tokens spent until then, shape [row].
        """
        windows = [window_confidences(series, self.window) for series in top_means]
        lowest = np.array([each.min() for each in windows])[order]
        bar = np.percentile(lowest[:, : self.warmup], 100 - self.p, axis=1)
        voting = np.where(lowest >= bar[:, None], codes[order], MISSING).astype(np.int16)
        weights = np.maximum(lowest, LEAST)
        cast = (voting[..., None] == np.arange(codes.max(initial=0) + 1)) * weights[..., None]
        sums = cast.cumsum(axis=1)
        total = sums.sum(axis=2)
        agreed = sums.max(axis=2) >= self.consensus * total * (1 - LEAST)
        agreed &= (total > 0) & (np.arange(order.shape[1]) >= self.warmup - 1)
        after = first_stop(agreed)
        used = np.where(after > 0, after, order.shape[1])
        answer = tally(voting, used, weights).answer
        spent = np.array([len(series) for series in top_means])[order]
        for trace, confidences in enumerate(windows):
            row, place = np.nonzero(order == trace)
            late = place >= self.warmup
            row, place = row[late], place[late]
            written = _written(confidences, len(top_means[trace]), bar[row])
            spent[row, place] = written
        spent = np.where(np.arange(order.shape[1]) < used[:, None], spent, 0)
        return Replayed(used=used, stopped=after > 0, answer=answer), spent.sum(axis=1)


def window_confidences(top_means: NDArray[np.float32], window: int) -> Floats:
    """Confidence of each sliding window in order; of a shorter trace, its one."""
    series = -np.asarray(top_means, dtype=np.float64)
    size = min(window, len(series))
    sums = np.concatenate([[0.0], series.cumsum()])
    means: Floats = (sums[size:] - sums[:-size]) / size if size else np.zeros(1)
    return means


def _written(confidences: Floats, length: int, bars: Floats) -> Integers:
    """Tokens of a trace that are written before it falls under each bar, shape [bar]."""
    falling = np.minimum.accumulate(confidences)
    first_under = np.searchsorted(-falling, -bars, side="right")
    size = length - len(confidences) + 1
    return np.where(first_under < len(falling), first_under + size, length)
