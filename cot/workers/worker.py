"""What runs in a worker's process: the work, in a thread, and what the driver asks meanwhile."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from threading import Thread
from typing import Any, Protocol

from cot.store.tables import versions

__all__ = ["READY", "Given", "Message", "Work", "Worker"]

RESULTS = 16
"""Results that a worker holds until they are taken; then it waits."""


class Given:
    """The items that a worker is given, as an iterator of (number, item).

    None in place of one says that none is waiting now, while some that were given out are being
    done; where none is, it waits.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[int, Any] | None] = queue.SimpleQueue()
        self._doing: set[int] = set()
        self._dropped: set[int] = set()
        self.ended = False
        """Whether there will be no others."""

    def __iter__(self) -> Iterator[tuple[int, Any] | None]:
        return self

    def __next__(self) -> tuple[int, Any] | None:
        while not self.ended:
            try:
                each = self._waiting.get(block=not self._doing)
            except queue.Empty:
                return None
            if each is None:
                self.ended = True
            elif not self.dropped(each[0]):
                self._doing.add(each[0])
                return each
        raise StopIteration

    def dropped(self, number: int) -> bool:
        """Whether an item is not wanted any more; who asks then stops doing it."""
        if number in self._dropped:
            self.done(number)
            return True
        return False

    def done(self, number: int) -> None:
        """An item is no longer being done."""
        self._doing.discard(number)
        self._dropped.discard(number)

    def begin_anew(self) -> None:
        """What was being done is not any more."""
        self._doing.clear()

    def put(self, items: Iterable[tuple[int, Any]]) -> None:
        """Add items; from another thread."""
        for each in items:
            self._waiting.put(each)

    def drop(self, numbers: Iterable[int]) -> None:
        """Don't do these items; from another thread."""
        self._dropped.update(numbers)

    def end(self) -> None:
        """There will be no others; from another thread."""
        self._waiting.put(None)


Message = tuple[int, Any, bool]
"""Number of an item, a result of it, and whether that is its last."""
READY = -1
"""Number of the message that says that a worker has loaded what it needs."""


class Work(Protocol):
    """What workers do. It travels to them, and so holds nothing that is loaded."""

    def open(self) -> AbstractContextManager[Callable[[Given], Iterator[Message]]]:
        """Load what is needed; what is given back does items for as long as they come."""


class Worker:
    """The actor: does the work in a thread, so that it can be asked meanwhile."""

    def __init__(self, work: Work, on_gpu: bool) -> None:
        if not on_gpu:
            # Ray leaves all GPUs visible to a worker that asked for none
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._work, self._given = work, Given()
        self._results: queue.Queue[Message | Exception] = queue.Queue(RESULTS)
        self._unopened: Exception | None = None
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def give(self, items: Sequence[tuple[int, Any]]) -> None:
        self._given.put(items)

    def drop(self, numbers: Sequence[int]) -> None:
        self._given.drop(numbers)

    def take(self) -> list[Message]:
        """What was done since the last call, at least one; raises what the work raised."""
        found: list[Message] = []
        while len(found) < RESULTS:
            if not self._thread.is_alive() and self._results.empty():
                if found or self._given.ended:
                    break
                raise self._unopened or RuntimeError("a worker's thread has ended")
            try:
                each = self._results.get(timeout=0 if found else 1.0)
            except queue.Empty:
                if found:
                    break
                continue
            if isinstance(each, Exception):
                raise each  # what was done before it is done again, should it be asked for
            found.append(each)
        return found

    def pid(self) -> int:
        """Of the worker's process."""
        return os.getpid()

    def close(self) -> None:
        """End the work, so that what it loaded is freed."""
        self._given.end()
        while self._thread.is_alive():
            with suppress(queue.Empty):  # the thread may wait for room
                self._results.get_nowait()
            self._thread.join(0.05)

    def _serve(self) -> None:
        try:
            with self._work.open() as do:
                self._results.put((READY, versions(), False))
                while not self._given.ended:
                    try:
                        for message in do(self._given):
                            if message[2]:
                                self._given.done(message[0])
                            self._results.put(message)
                    except Exception as error:  # whatever it is, the driver raises it
                        self._given.begin_anew()
                        self._results.put(error)
        except Exception as error:
            self._unopened = error
