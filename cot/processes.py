"""Work spread over this machine's processors, in the order of its items.

    for result in spread(read_block, blocks, n_items=12):
        ...

Few items, or one processor, start no process. Processes are joblib's, which start a clean
interpreter: a script needs no `if __name__ == "__main__"`, and no thread of this process is
copied. `LOKY_MAX_CPU_COUNT` bounds their number. They end with this process, however it ends.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TypeVar

__all__ = ["n_processes", "spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")
WORTH = 3
"""Items that a process must get: to start one takes about a second."""


def n_processes(n_items: int) -> int:
    """How many processes share so many items."""
    from joblib import cpu_count  # type: ignore[import-untyped]

    return max(1, min(int(cpu_count()), n_items // WORTH))


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], n_items: int
) -> Iterator[Result]:
    """`function` of each item, in order, each as soon as it and those before it are done.

    Args:
        function: of a module, so that another process finds it.
        items: what is passed to it; a few are taken and sent ahead.
        n_items: how many there are; each should take a good part of a second.
    """
    n = n_processes(n_items)
    if n == 1:
        yield from map(function, items)
        return
    from joblib import Parallel, delayed

    run = Parallel(n_jobs=n, return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
    yield from run(delayed(_work)(function, item, os.getpid()) for item in items)


def _work(function: Callable[[Item], Result], item: Item, parent: int) -> Result:
    _end_with(parent)
    return function(item)


@cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed: what it still wrote would lie
    in the way of whoever starts again."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
