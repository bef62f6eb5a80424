"""The driver's side: items go out to the workers, and results come back as they are done."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cot.errors import ConsilienceError, InputError
from cot.store.tables import versions
from cot.workers.cluster import Cluster, connect, cpus_each, gpus_each, how_many
from cot.workers.worker import READY, Message, Work, Worker

__all__ = ["TRIES", "Lost", "Workers"]

log = logging.getLogger("cot")

TRIES = 3
"""Workers that may die while they hold an item, before the item is given up."""
ALIKE = 8
"""A worker may hold so many items more than another before the next alike one goes elsewhere."""
SLOWEST = 2.0
"""Workers that take so many times as long as the first to start are not waited for."""
PATIENCE = 10.0
"""Seconds for which they are waited for at least."""
WAITED = 60.0
"""Seconds without any worker after which it is said what they wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """In place of a result: the workers that held the item died."""

    problem: str
    """How often, and of what the last time."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Held:
    """An item that was given out."""

    number: int
    item: Any
    received: int = 0
    """Results that came."""
    known: int = 0
    """Results that come once more, as it is done anew."""
    losses: int = 0
    """Workers that died while they held it."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Seat:
    """A worker as the driver sees it."""

    number: int
    actor: Any
    taking: Any
    """What its `take` will give."""
    ready: bool = False
    """Whether it has loaded what it needs."""
    held: dict[int, _Held] = field(default_factory=dict)
    losses: int = 0
    """Workers of this seat that died since one gave a result."""


class Workers:
    """Copies of a work, each in a process of its own. Use it as a context manager, or close it.

    Args:
        work: what they do.
        cluster: where, and how many.
        room: items that a worker holds at a time, those that wait in it included.

    Raises:
        InputError: Ray isn't installed, or no cluster answers.
    """

    def __init__(self, work: Work, cluster: Cluster, room: int) -> None:
        connect(cluster)
        import ray

        self._ray, self._room = ray, room
        self._gpus, self._asked = gpus_each(cluster), how_many(cluster)
        self._cpus = cpus_each(cluster)
        self._work = ray.put(work)
        self._seats = [self._seat(number) for number in range(self._asked)]
        self._numbers = count()
        self._last: tuple[Hashable, _Seat | None] = (None, None)
        self._since, self._said = time.monotonic(), False
        self._met = False

    def run(
        self,
        items: Iterable[Any],
        cancelled: Callable[[Any], bool] = lambda item: False,
        alike: Callable[[Any], Hashable] = lambda item: None,
    ) -> Generator[tuple[Any, Any], None, None]:
        """Yield each item with each of its results, as they come; a `Lost` is its last.

        Args:
            items: pulled as there is room. None in place of one says that the next depends on those
                that are being done (see `cot.engines.Engine.generate`).
            cancelled: asked while an item is held; once it says True, nothing of it is yielded.
            alike: items for which it gives the same, one after another, go to the same worker
                unless another holds much less; None for those that may go anywhere.

        Raises:
            ConsilienceError: all workers died, again and again. What the work raises is raised.
        """
        self._meet()
        source, exhausted = iter(items), False
        again: deque[_Held] = deque()
        try:
            while True:
                self._drop(cancelled)
                exhausted = self._give(source, exhausted, again, cancelled, alike)
                if not again and not any(seat.held for seat in self._seats):
                    if exhausted:
                        return
                    if any(seat.ready for seat in self._seats):
                        continue  # all that was held was dropped
                for seat in self._heard():
                    messages, held, problem = self._receive(seat)
                    for each in held:
                        if each.losses < TRIES:
                            again.append(each)
                        elif not cancelled(each.item):
                            yield each.item, Lost(problem=f"{TRIES} workers died: {problem}")
                    for number, result, last in messages:
                        if (one := seat.held.get(number)) is None:
                            continue  # it was dropped
                        seat.losses = 0
                        if last:
                            del seat.held[number]
                        if result is None:
                            continue
                        if one.known:
                            one.known -= 1
                        else:
                            one.received += 1
                            if not cancelled(one.item):
                                yield one.item, result
        finally:
            self._drop(lambda item: True)

    def close(self) -> None:
        """Let the workers free what they loaded, and end them."""
        if not self._ray.is_initialized():
            return
        closing = [seat.actor.close.remote() for seat in self._seats if seat.ready]
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=PATIENCE)
        for seat in self._seats:
            self._ray.kill(seat.actor)
        self._seats = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- giving ------------------------------------------------------------------------------------

    def _give(
        self,
        source: Iterator[Any],
        exhausted: bool,
        again: deque[_Held],
        cancelled: Callable[[Any], bool],
        alike: Callable[[Any], Hashable],
    ) -> bool:
        """Give out what there is room for; whether there will be no other items."""
        giving: dict[int, tuple[_Seat, list[tuple[int, Any]]]] = {}
        while free := [s for s in self._seats if s.ready and len(s.held) < self._room]:
            if again:
                held = again.popleft()
                if cancelled(held.item):
                    continue
            elif exhausted:
                break
            else:
                item = next(source, self)  # itself: no item is
                exhausted = item is self
                if item is None or exhausted:
                    break
                if cancelled(item):
                    continue
                held = _Held(number=next(self._numbers), item=item)
            seat = self._choose(free, alike(held.item))
            seat.held[held.number] = held
            giving.setdefault(seat.number, (seat, []))[1].append((held.number, held.item))
        for seat, some in giving.values():
            seat.actor.give.remote(some)
        return exhausted

    def _choose(self, free: Sequence[_Seat], key: Hashable) -> _Seat:
        """The worker that holds least, or the one that holds an item alike."""
        least = min(free, key=lambda seat: len(seat.held))
        before, seat = self._last
        if (
            seat is None
            or key is None
            or key != before
            or seat not in free
            or len(seat.held) >= len(least.held) + ALIKE
        ):
            seat = least
        self._last = (key, seat)
        return seat

    def _drop(self, cancelled: Callable[[Any], bool]) -> None:
        for seat in self._seats:
            gone = [number for number, held in seat.held.items() if cancelled(held.item)]
            for number in gone:
                del seat.held[number]
            if gone:
                seat.actor.drop.remote(gone)

    # -- receiving ---------------------------------------------------------------------------------

    def _heard(self) -> list[_Seat]:
        """The workers of which something came; none after a second without any."""
        asked = {seat.taking: seat for seat in self._seats}
        found, _ = self._ray.wait(list(asked), num_returns=1, timeout=1.0)
        if found:  # wait names the first that is ready, and another one is not to starve
            found, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        elif not self._said and not any(seat.ready for seat in self._seats):
            self._said = time.monotonic() - self._since > WAITED
            if self._said:
                there = self._ray.cluster_resources()
                log.warning(
                    "no worker has started yet: each needs %g cores and %g GPUs, and the cluster "
                    "has %g and %g in all",
                    *(self._cpus, self._gpus, there.get("CPU", 0), there.get("GPU", 0)),
                )
        return [asked[ref] for ref in found]

    def _receive(self, seat: _Seat) -> tuple[list[Message], list[_Held], str]:
        """What a worker says; or, if it has died, what it held, and of what it died."""
        errors = self._ray.exceptions
        try:
            messages: list[Message] = self._ray.get(seat.taking)
        except errors.RayTaskError as error:
            seat.taking = seat.actor.take.remote()
            raise error.cause from None
        except errors.RayError as error:
            problem = " ".join(str(error).split())[:300]
            return [], self._replace(seat, problem), problem
        seat.taking = seat.actor.take.remote()
        for number, result, _ in messages:
            if number == READY:
                _check_versions(result)
                seat.ready = True
        return [each for each in messages if each[0] != READY], [], ""

    def _replace(self, seat: _Seat, problem: str) -> list[_Held]:
        """Put another worker in the place of one that died; what that one held."""
        held = list(seat.held.values())
        for each in held:
            each.losses += 1
            each.known = each.received
        losses = seat.losses + 1
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(seat.actor)  # what is left of it
        place = self._seats.index(seat)
        if losses < TRIES:
            log.warning("worker %d died, and another one is started: %s", seat.number, problem)
            self._seats[place] = self._seat(seat.number, losses)
        else:
            del self._seats[place]
            if not self._seats:
                raise ConsilienceError(
                    f"all workers died, {TRIES} times in a row without a result: {problem}; what "
                    "was done before is kept, and the same command goes on from there"
                )
            log.warning("worker %d died %d times, and is given up", seat.number, TRIES)
        return held

    def _meet(self) -> None:
        """Wait for the workers, so that all get a share; not for those that are much slower."""
        if self._met:
            return
        first: float | None = None
        while not all(seat.ready for seat in self._seats):
            waited = time.monotonic() - self._since
            if any(seat.ready for seat in self._seats):
                first = first or waited
                if waited > max(SLOWEST * first, first + PATIENCE):
                    ready = sum(seat.ready for seat in self._seats)
                    log.info(
                        "%d of %d workers have started; others join as the cluster has room for "
                        "them",
                        *(ready, self._asked),
                    )
                    break
            for seat in self._heard():
                self._receive(seat)
        self._met = True

    def _seat(self, number: int, losses: int = 0) -> _Seat:
        options = {"num_cpus": self._cpus, "num_gpus": self._gpus, "max_concurrency": 4}
        actor = self._ray.remote(Worker).options(**options).remote(self._work, self._gpus > 0)
        return _Seat(number=number, actor=actor, taking=actor.take.remote(), losses=losses)


def _check_versions(theirs: Mapping[str, str]) -> None:
    """Raise InputError where a worker's libraries differ from those that a run says it was made
    with: this process's."""
    mine = versions()
    differ = [
        f"{name} {theirs[name]} there and {mine[name]} here"
        for name in mine
        # a build's own suffix, such as +cpu, is no other version
        if name in theirs and theirs[name].split("+")[0] != mine[name].split("+")[0]
    ]
    if differ:
        raise InputError(
            f"a worker has other libraries than this process: {'; '.join(differ)}: install the "
            "same everywhere"
        )
