r"""CGES: stop once one answer is probable enough, given how sure each trace is.

Aghazadeh et al. 2025, arXiv 2511.02603. Each trace t says an answer $R_t$ with a calibrated
confidence $C_t$, its chance of being right. The hypotheses are the k answers seen so far and that
the right one has not been seen, all equally probable beforehand; what a confidence leaves goes to
the other hypotheses in equal parts:

$P(a) \propto \prod_t C_t$ where $R_t = a$, $(1 - C_t) / k$ where $R_t \ne a$

The rule stops when an answer's P reaches the threshold; its answer is the most probable one seen.
Divided by what the unseen answer gets, an answer with $n_a$ traces gets $k^{n_a} \prod_{R_t = a}
C_t / (1 - C_t)$, so that one sum a class is all there is to keep:

one trace with C = .9           P = 9 / (1 + 9) = .9
"1" with .8, "2" with .6        8, 3 and 1 of 12: P = 2/3, 1/4, and 1/12 for an answer unseen

A confidence below 1 / (k + 1) speaks against the trace's own answer.

The formula was read in a public implementation that names the paper's algorithm 1; of the paper
itself, only its abstract could be read. There, the unseen answer may stop the sampling too; here it
never does, as it is no answer.

Confidences are calibrated on gold of other questions, which a sampler has not: this rule is
replayed over stored traces only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cot.errors import InputError
from cot.stopping import Decision
from cot.stopping.codes import ENDED, MISSING, Codes, Integers, Replayed
from cot.types import Ballot

__all__ = ["Cges", "posterior"]

Floats = NDArray[np.float64]
CERTAIN = 1e-6
"""A confidence nearer to 0 or 1 counts as this far from it: at 0 or 1, one trace decides."""
ROUNDING = 1e-9
"""A chance this little below the threshold reaches it; sums this close are equal."""


class Cges:
    """Stop when an answer is probable enough, given each trace's confidence.

    Args:
        threshold: probability, above 0 and below 1.
        confidence: a column of `analysis.columns`; without fit, a probability or a log-probability.
        fit: calibrate it: a logistic regression of correctness on it, over the other questions.
    """

    needs = ("chance",)
    """What a replay takes beside the answers: each trace's chance of being right."""

    def __init__(
        self, threshold: float = 0.95, confidence: str = "mean_logp", fit: bool = True
    ) -> None:
        if not 0 < threshold < 1:
            raise InputError(f"cges: threshold is {threshold}: above 0 and below 1")
        self.threshold = threshold - ROUNDING
        self.confidence, self.fit = confidence, fit

    def __call__(self, ballots: Sequence[Ballot]) -> Decision:
        """Refuse: ballots don't tell how sure a trace is."""
        raise InputError(
            "cges takes a calibrated confidence of each trace, which ballots don't have: replay it "
            "with `cot stop` over traces with log-probabilities or another confidence"
        )

    def replay_traces(
        self, codes: Codes, traces: Integers, chances: Floats
    ) -> tuple[Replayed, None]:
        """Where the rule stops in each row; it cuts no trace, so that it counts no tokens.

        Args:
            codes: classes of the answers, [row, sample].
            traces: which trace each sample is, below 0 where the row has ended, [row, sample].
            chances: of each trace, in [0, 1]; anything for one without a valid answer, [trace].
        """
        n_rows, width = codes.shape
        counts = np.zeros((n_rows, max(int(codes.max(initial=MISSING)) + 1, 1)), dtype=np.int64)
        logits = np.zeros(counts.shape)
        first = np.full(counts.shape, width)
        after = np.zeros(n_rows, dtype=np.int64)
        answer = np.full(n_rows, MISSING, dtype=np.int64)
        going = np.arange(n_rows)
        for sample in range(width):
            rows = going[codes[going, sample] >= 0]  # a missing answer changes nothing
            code = codes[rows, sample]
            chance = np.clip(chances[traces[rows, sample]], CERTAIN, 1 - CERTAIN)
            logits[rows, code] += np.log(chance) - np.log1p(-chance)
            first[rows, code] = np.minimum(first[rows, code], sample)
            counts[rows, code] += 1
            found = posterior(logits[rows], counts[rows])
            best = found.max(axis=1, initial=0.0)
            at_top = (found >= best[:, None] * (1 - ROUNDING)) & (counts[rows] > 0)
            # of equally probable answers, that which appeared first
            answer[rows] = np.where(at_top, first[rows], width).argmin(axis=1)
            after[rows[best >= self.threshold]] = sample + 1
            going = going[after[going] == 0]
        used = np.where(after > 0, after, (codes != ENDED).sum(axis=1))
        return Replayed(used=used, stopped=after > 0, answer=answer), None


def posterior(logits: Floats, counts: Integers) -> Floats:
    """Probability of each class of each row; what a row's lack of 1 is the unseen answer's.

    Args:
        logits: sum of log(C / (1 - C)) over each class's traces, [row, class].
        counts: its traces, [row, class].
    """
    k = (counts > 0).sum(axis=1, keepdims=True)
    scores = np.where(counts > 0, logits + counts * np.log(np.maximum(k, 1)), -np.inf)
    top = np.maximum(scores.max(axis=1, keepdims=True), 0.0)  # the unseen answer's score is 0
    odds = np.exp(scores - top)
    chances: Floats = odds / (odds.sum(axis=1, keepdims=True) + np.exp(-top))
    return chances
