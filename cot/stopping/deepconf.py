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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cot.errors import InputError
from cot.stopping import Decision
from cot.stopping.codes import MISSING, Codes, Integers, Replayed, first_stop, tally
from cot.types import Ballot

__all__ = ["Confidences", "DeepConfOnline"]

Floats = NDArray[np.float64]
LEAST = 1e-12
"""Weight of a trace without any confidence."""


@dataclass(frozen=True, kw_only=True)
class Confidences:
    """How each trace's confidence falls as it is written."""

    lengths: Integers
    """Tokens, shape [trace]."""
    falling: Sequence[Floats]
    """Of each trace, the lowest window so far, one value a window."""

    @property
    def lowest(self) -> Floats:
        """Confidence of each trace, shape [trace]."""
        return np.array([each[-1] for each in self.falling])


class DeepConfOnline:
    """Cut traces below the confidence of the warm-up traces; stop at a weighted consensus.

    Args:
        warmup: traces that set the bar.
        p: percentage of the warm-up traces that the bar keeps, in (0, 100].
        window: tokens in a sliding window.
        consensus: share of all weight at which to stop, in (0, 1].
    """

    needs = ("top_means",)
    """Columns of the traces that a replay takes."""

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

    def read(self, top_means: Iterable[ArrayLike]) -> Confidences:
        """Confidences from each trace's means of the k largest log-probabilities, [token]."""
        series = [-np.asarray(each, dtype=np.float64) for each in top_means]
        return Confidences(
            lengths=np.array([len(each) for each in series], dtype=np.int64),
            falling=[np.minimum.accumulate(_means(each, self.window)) for each in series],
        )

    def replay_traces(
        self, codes: Codes, traces: Integers, confidences: Confidences
    ) -> tuple[Replayed, Integers]:
        """Where the rule stops in each row, and the tokens spent until then, shape [row].

        Args:
            codes: classes of the answers, [row, sample].
            traces: which of the confidences' traces each sample is, below 0 where the row has
                ended, [row, sample].
        """
        there = traces >= 0
        lowest = np.where(there, confidences.lowest[traces], np.nan)
        bar = np.nanpercentile(lowest[:, : self.warmup], 100 - self.p, axis=1)
        kept = lowest >= bar[:, None]
        voting = np.where(kept, codes, MISSING).astype(np.int16)
        weights = np.maximum(np.where(there, lowest, 0.0), LEAST)
        after = first_stop(self._agreed(voting, weights) & there)
        used = np.where(after > 0, after, there.sum(axis=1))
        seen = np.arange(codes.shape[1]) < used[:, None]
        spent = np.where(seen, confidences.lengths[traces], 0)
        late = np.arange(codes.shape[1]) >= self.warmup
        for row, sample in zip(*np.nonzero(seen & late & ~kept), strict=True):
            trace = traces[row, sample]
            falling, length = confidences.falling[trace], confidences.lengths[trace]
            windows_before = int(np.searchsorted(-falling, -bar[row], side="right"))
            spent[row, sample] = length - len(falling) + 1 + windows_before
        answer = tally(voting, used, weights).answer
        return Replayed(used=used, stopped=after > 0, answer=answer), spent.sum(axis=1)

    def _agreed(self, voting: Codes, weights: Floats) -> NDArray[np.bool_]:
        """Whether one answer has enough of the weight after each sample, [row, sample]."""
        sums = np.zeros((len(voting), int(voting.max(initial=MISSING)) + 2))  # the last: no vote
        agreed = np.zeros(voting.shape, dtype=np.bool_)
        every = np.arange(len(voting))
        for sample in range(voting.shape[1]):
            sums[every, voting[:, sample]] += weights[:, sample]
            total = sums[:, :-1].sum(axis=1)
            if sample >= self.warmup - 1:
                most = sums[:, :-1].max(axis=1, initial=0.0)
                agreed[:, sample] = (total > 0) & (most >= self.consensus * total * (1 - LEAST))
        return agreed


def _means(confidences: Floats, window: int) -> Floats:
    """Means of all windows of this length, stride 1; of a shorter series, its one."""
    size = min(window, len(confidences))
    sums = np.concatenate([[0.0], confidences.cumsum()])
    means: Floats = (sums[size:] - sums[:-size]) / size if size else np.zeros(1)
    return means
