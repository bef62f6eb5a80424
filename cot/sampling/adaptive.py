"""The adaptive sampler: a stopping rule says which samples to draw next, and which count.

Short traces finish first, so that a rule that read whatever is there would see too many of them.
Here it reads a question's contiguous prefix of sample indices only: the samples that count are
those up to its stop, whatever else has finished. The rest, drawn ahead or in flight at the stop, is
surplus: kept, and not voting. What counts follows from the answers, so that a run that was killed
goes on as if it hadn't been.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cot.stopping import make_rule
from cot.stopping.codes import MISSING, as_codes, replay
from cot.types import TraceKey

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AdaptiveSampler", "Drawn", "Reached", "Saved", "mark_surplus", "reached"]

Drawn = tuple[str | None, int]
"""A finished sample: its answer's class (None without a valid one), and its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a rule is with a question."""

    counted: int
    """Samples that count: up to its stop, or all so far."""
    stopped: bool
    """Whether it has stopped."""
    needed: int
    """The fewest samples with which it can stop, at most n; `counted` where it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a rule saved against n samples of every question."""

    samples: int
    """Samples that were not drawn."""
    tokens: int
    """Estimated: those samples times the mean tokens of the question's others. What cancelled
    traces had written is not known, and not taken off."""
    surplus: int
    """Samples drawn that don't count."""
    cancelled: int
    """Samples of this call that were broken off."""


def reached(rule: Any, answers: Sequence[str | None], n: int) -> Reached:
    """Ask a rule about a question's contiguous samples so far, of n at most.

    It is tried on every continuation by one answer, given or new or missing, again and again.
    """
    return _reached(rule, tuple(as_codes([answers])[0].tolist()), n)


@lru_cache(maxsize=2**16)
def _reached(rule: Hashable, codes: tuple[int, ...], n: int) -> Reached:
    left = max(n - len(codes), 0)
    fresh = max(codes, default=MISSING) + 1
    following = range(MISSING, fresh + 1) if left else (MISSING,)
    rows = np.array([codes + (code,) * left for code in following], dtype=np.int16)
    replayed = replay(rule, rows.reshape(len(following), -1))
    stopped = bool(replayed.stopped[0]) and replayed.used[0] <= len(codes)
    counted = int(replayed.used[0]) if stopped else len(codes)
    needed = counted if stopped else int(replayed.used.min(initial=len(codes) + left))
    return Reached(counted=counted, stopped=stopped, needed=needed)


@dataclass(slots=True)
class _Question:
    drawn: dict[int, Drawn]
    """What has finished, by sample_index."""
    asked: set[int]
    """Samples finished or asked for."""
    prefix: list[str | None] = field(default_factory=list)
    """Answers of the contiguous samples from 0."""
    counted: int = 0
    stopped: bool = False
    failed: bool = False


class AdaptiveSampler:
    """Asks a stopping rule which samples to draw, as completions come in.

    Args:
        rule: a stopping rule.
        n: most samples of a question.
        ahead: samples of a question that are asked for beyond those that the rule surely needs.
        stored: question_id to what is there already, by sample_index; questions are asked in this
            order, breadth first.
    """

    def __init__(
        self, rule: Any, *, n: int, ahead: int, stored: Mapping[str, Mapping[int, Drawn]]
    ) -> None:
        self.rule, self.n, self.ahead = rule, n, ahead
        self._questions = {name: _Question(dict(has), set(has)) for name, has in stored.items()}
        self._waiting: deque[TraceKey] = deque()
        self._flying: set[TraceKey] = set()
        self._n_cancelled = 0
        for name in self._questions:
            self._go_on(name)

    @property
    def n_needed(self) -> int:
        """Samples waiting to be asked for."""
        return len(self._waiting)

    def open(self) -> dict[str, list[int]]:
        """Questions that the rule has not decided, with the samples below n that are not there."""
        return {
            name: [index for index in range(self.n) if index not in question.drawn]
            for name, question in self._questions.items()
            if not question.stopped and len(question.prefix) < self.n
        }

    def keys(self) -> Iterator[TraceKey | None]:
        """What to ask for; None where that depends on samples in flight."""
        while self._waiting or self._flying:
            if not self._waiting:
                yield None
                continue
            key = self._waiting.popleft()
            if self._is_wanted(key):
                self._flying.add(key)
                yield key

    def take(self, key: TraceKey, drawn: Drawn) -> int:
        """A sample has finished; returns how many others of its question are thereby spared."""
        question = self._questions[key[0]]
        was_open = not question.stopped
        self._flying.discard(key)
        question.drawn[key[1]] = drawn
        self._go_on(key[0])
        return max(self.n - len(question.asked), 0) if was_open and question.stopped else 0

    def give_up(self, key: TraceKey) -> None:
        """A sample can't be drawn, and so no other of its question."""
        self._flying.discard(key)
        self._questions[key[0]].failed = True

    def cancelled(self, key: TraceKey) -> bool:
        """Whether a sample asked for is not wanted any more; it is not waited for after that."""
        wanted = self._is_wanted(key)
        if not wanted and key in self._flying:
            self._flying.discard(key)
            self._n_cancelled += 1
        return not wanted

    def saved(self) -> Saved:
        """What the rule saved so far."""
        stopped = [each for each in self._questions.values() if each.stopped and each.drawn]
        spared = [max(self.n - len(each.drawn), 0) for each in stopped]
        means = [sum(n for _, n in each.drawn.values()) / len(each.drawn) for each in stopped]
        return Saved(
            samples=sum(spared),
            tokens=round(sum(n * mean for n, mean in zip(spared, means, strict=True))),
            surplus=sum(len(each.drawn) - each.counted for each in self._questions.values()),
            cancelled=self._n_cancelled,
        )

    def _is_wanted(self, key: TraceKey) -> bool:
        question = self._questions[key[0]]
        return not question.failed and not (question.stopped and key[1] >= question.counted)

    def _go_on(self, name: str) -> None:
        """Read what the prefix has grown by, and ask for what the rule needs next."""
        question = self._questions[name]
        before = len(question.prefix)
        while len(question.prefix) in question.drawn:
            question.prefix.append(question.drawn[len(question.prefix)][0])
        if question.stopped or question.failed or 0 < before == len(question.prefix):
            return
        now = reached(self.rule, question.prefix, self.n)
        question.counted, question.stopped = now.counted, now.stopped
        if not now.stopped:
            for index in range(len(question.prefix), min(now.needed + self.ahead, self.n)):
                if index not in question.asked:
                    question.asked.add(index)
                    self._waiting.append((name, index))


def mark_surplus(spec: str, answers: pd.DataFrame) -> NDArray[np.bool_]:
    """Which samples of an adaptive run don't count, [trace].

    Args:
        spec: the rule that it was sampled with.
        answers: question_id, sample_index and canonical (missing where there is no answer), read
            in the format that the sampler read.
    """
    rule = make_rule(spec)
    surplus = np.ones(len(answers), dtype=np.bool_)
    where: dict[str, dict[int, int]] = {}
    columns = answers["question_id"].tolist(), answers["sample_index"].tolist()
    for row, (name, index) in enumerate(zip(*columns, strict=True)):
        where.setdefault(name, {})[index] = row
    given = [
        answer if isinstance(answer, str) else None for answer in answers["canonical"].tolist()
    ]
    for rows in where.values():
        prefix: list[int] = []
        while len(prefix) in rows:
            prefix.append(rows[len(prefix)])
        counted = reached(rule, [given[row] for row in prefix], len(prefix)).counted
        surplus[prefix[:counted]] = False
    return surplus
