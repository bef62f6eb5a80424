"""Work whose items are known at once: done in this process, or in the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from cot.errors import ConsilienceError
from cot.workers.cluster import Cluster
from cot.workers.pool import Lost, Workers
from cot.workers.worker import Given, Message

__all__ = ["Do", "Task", "shared"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Do = Callable[[Iterable[Item]], Iterator[tuple[Item, Result]]]
"""Does items, and yields each with each of its results: an item's results come in the same order
each time."""


class Task(Protocol[Item, Result_co]):
    """Work on items that are done one after another or several at a time, and are known at once.

    It travels to the workers, and so holds nothing that is loaded.
    """

    def open(self) -> AbstractContextManager[Do[Item, Result_co]]:
        """Load what is needed."""


@contextmanager
def shared(
    task: Task[Item, Result],
    cluster: Cluster | None,
    *,
    called: Callable[[Item], str],
    room: int = 2,
) -> Iterator[Do[Item, Result]]:
    """Open a task: in this process, or in the workers of a cluster.

    Args:
        called: an item's name, should it be lost.
        room: items that a worker holds at a time.
    """
    if cluster is None:
        with task.open() as do:
            yield do
        return
    with Workers(_InBatches(task), cluster, room) as workers:

        def do_all(items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
            lost: dict[str, str] = {}
            for item, result in workers.run(items):
                if isinstance(result, Lost):
                    lost[called(item)] = result.problem
                else:
                    yield item, result
            if lost:
                name, problem = next(iter(lost.items()))
                raise ConsilienceError(
                    f"{len(lost)} given up, as their workers died: {', '.join(lost)} ({name}: "
                    f"{problem}); all else is kept, and the same command tries them again"
                )

        yield do_all


class _InBatches:
    """A task as work: what has come by the time that a batch is done is the next batch."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self._task = task

    @contextmanager
    def open(self) -> Iterator[Callable[[Given], Iterator[Message]]]:
        with self._task.open() as do:

            def work(given: Given) -> Iterator[Message]:
                batch: list[tuple[int, Any]] = []
                for each in given:
                    if each is not None:
                        batch.append(each)
                        continue
                    numbers = {id(item): number for number, item in batch}
                    for item, result in do([item for _, item in batch]):
                        yield numbers[id(item)], result, False
                    for number, _ in batch:
                        yield number, None, True
                    batch = []

            yield work
