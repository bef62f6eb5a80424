"""Stopping rules over many questions at once, as matrices of answer codes.

The answers of many questions are one matrix of codes `[row, sample]`: the class of each sample's
answer in order of sample_index, MISSING where it has no valid one, ENDED where the row has no more
samples. Codes are small, and mean something within their row only.

    >>> replay(AscBeta(), as_codes([["7", None, "7", "7", "7", "8"]])).used
    array([5])

`CountingRule` is what the project's rules share: a rule says after how many samples of each row it
stops; the replay of a matrix and the call with one question's ballots follow from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cot.stopping import Decision
from cot.types import Ballot

__all__ = [
    "ENDED",
    "MISSING",
    "Codes",
    "CountingRule",
    "Replayed",
    "Tally",
    "as_codes",
    "first_stop",
    "largest_counts",
    "replay",
    "tally",
]

MISSING, ENDED = -1, -2
TIE = 1e-12
"""Sums closer than this share of the winner's are tied."""
Codes = NDArray[np.int16]
"""[row, sample]"""
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a rule did with each row; all arrays have the shape [row]."""

    used: Integers
    """Samples up to and with the one after which the rule stopped; all where it did not."""
    stopped: NDArray[np.bool_]
    """Whether it stopped."""
    answer: Integers
    """Code of its answer; MISSING where no sample used has a valid one."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The vote of each row; all arrays have the shape [row]."""

    answer: Integers
    """Code of the winner, in a tie the one that appears first; MISSING without a valid answer."""
    tied: NDArray[np.bool_]
    """Another answer had as much weight."""


def as_codes(rows: Iterable[Sequence[str | None]]) -> Codes:
    """The matrix of these answers."""
    coded = []
    for answers in rows:
        known: dict[str, int] = {}
        coded.append([MISSING if a is None else known.setdefault(a, len(known)) for a in answers])
    width = max(map(len, coded), default=0)
    full = [row + [ENDED] * (width - len(row)) for row in coded]
    return np.array(full, dtype=np.int16).reshape(len(full), width)


def replay(rule: Any, codes: Codes) -> Replayed:
    """Where the rule stops in each row, and with what answer.

    A rule with a method `replay` does it itself; any other is asked after each sample.
    """
    if hasattr(rule, "replay"):
        replayed: Replayed = rule.replay(codes)
        return replayed
    outcomes = [_ask(rule, row[row != ENDED].tolist()) for row in codes]
    used, stopped, answer = np.array(outcomes, dtype=np.int64).reshape(-1, 3).T
    return Replayed(used=used, stopped=stopped.astype(bool), answer=answer)


def tally(codes: Codes, used: Integers, weights: NDArray[np.float64] | None = None) -> Tally:
    """The vote over the first `used` samples of each row.

    Args:
        weights: of each sample, above 0, shape [row, sample]; 1 by default.
    """
    n_rows, width = codes.shape
    n_classes = max(int(codes.max(initial=MISSING)) + 1, 1)
    row, sample = np.nonzero((codes >= 0) & (np.arange(width) < used[:, None]))
    cell = row * n_classes + codes[row, sample]
    cast = None if weights is None else weights[row, sample]
    sums = np.bincount(cell, cast, n_rows * n_classes).reshape(n_rows, n_classes)
    first = np.full(n_rows * n_classes, width)
    np.minimum.at(first, cell, sample)
    most = sums.max(axis=1)
    at_top = (sums >= most[:, None] * (1 - TIE)) & (sums > 0)
    answer = np.where(at_top, first.reshape(sums.shape), width).argmin(axis=1)
    return Tally(answer=np.where(most > 0, answer, MISSING), tied=at_top.sum(axis=1) > 1)


def _ask(rule: Callable[[Sequence[Ballot]], Any], row: list[int]) -> tuple[int, bool, int]:
    ballots: list[Ballot] = []
    decision = rule(())
    for index, code in enumerate(row):
        answer = None if code == MISSING else str(code)
        ballots.append(Ballot(answer=answer, weight=1.0, sample_index=index))
        decision = rule(tuple(ballots))
        if decision.stop:
            break
    answer_code = MISSING if decision.answer is None else int(decision.answer)
    return len(ballots), decision.stop, answer_code


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
