"""What the rules here share: a decision from how often each answer was given.

A rule says after how many samples of each row it stops; the replay of a matrix and the call with
one question's ballots follow from that, so that both are one implementation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cot.stopping import Decision
from cot.stopping.codes import ENDED, MISSING, Codes, Integers, Replayed, as_codes, tally
from cot.types import Ballot

__all__ = ["CountingRule", "first_stop", "largest_counts"]


class CountingRule(ABC):
    """A rule that reads answers alone; weights are not looked at.

    Once stopped it stays so: with more ballots, the decision is the one of the first prefix that
    was enough.
    """

    @abstractmethod
    def stops_after(self, codes: Codes) -> Integers:
        """Samples after which it stops in each row, 0 where it doesn't; [row, sample] -> [row]."""

    def replay(self, codes: Codes) -> Replayed:
        """Where it stops in each row; the answer is the vote over the samples used."""
        after = self.stops_after(codes) if codes.size else np.zeros(len(codes), dtype=np.int64)
        used = np.where(after > 0, after, (codes != ENDED).sum(axis=1))
        answer = self.answers(codes, used, after > 0)
        return Replayed(used=used, stopped=after > 0, answer=answer)

    def answers(self, codes: Codes, used: Integers, stopped: NDArray[np.bool_]) -> Integers:
        """The rule's answer in each row."""
        return tally(codes, used).answer

    def __call__(self, ballots: Sequence[Ballot]) -> Decision:
        """Decide on one question's ballots so far."""
        answers = [ballot.answer for ballot in ballots]
        replayed = self.replay(as_codes([answers]))
        code = int(replayed.answer[0])
        seen = list(dict.fromkeys(answer for answer in answers if answer is not None))
        return Decision(
            stop=bool(replayed.stopped[0]), answer=None if code == MISSING else seen[code]
        )


def first_stop(enough: NDArray[np.bool_]) -> Integers:
    """One past the first True of each row, 0 where there is none; [row, sample] -> [row]."""
    if not enough.size:
        return np.zeros(len(enough), dtype=np.int64)
    return np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, 0)


def largest_counts(codes: Codes, k: int) -> Codes:
    """The k largest counts after each sample, descending; [row, sample] -> [row, sample, k].

    A class that goes from v to v + 1 votes raises the first of the largest counts that is v: they
    stay sorted, and nothing else moves.
    """
    n_rows, width = codes.shape
    n_classes = int(codes.max(initial=MISSING)) + 1
    counts = np.zeros((n_rows, n_classes + 1), dtype=np.int16)  # the last column: no valid answer
    largest = np.zeros((n_rows, k), dtype=np.int16)
    after = np.empty((n_rows, width, k), dtype=np.int16)
    every = np.arange(n_rows)
    for sample in range(width):
        code = codes[:, sample]
        valid = code >= 0
        column = np.where(valid, code, n_classes)
        before = counts[every, column]
        counts[every, column] = before + 1
        same = (largest == before[:, None]) & valid[:, None]
        same[:, 1:] &= ~np.logical_or.accumulate(same, axis=1)[:, :-1]
        largest += same
        after[:, sample] = largest
    return after
