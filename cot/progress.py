"""Progress bars on stderr, quiet where nobody is looking.

with track("sampling", total=160, unit="traces") as advance:
    advance(1)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["track"]


@contextmanager
def track(
    description: str, total: int | None, unit: str, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left; yields a function that moves it on.

    Args:
        description: what is being done.
        total: how many units there are, or None where that is not known.
        unit: what is counted, in the plural.
        done: units that were there before; they don't count towards the rate.
    """
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task: TaskID = bar.add_task(description, total=total, completed=done, unit=unit, rate="")

        def advance(count: int) -> None:
            bar.advance(task, count)
            elapsed = bar.tasks[task].elapsed
            if elapsed:
                rate = (bar.tasks[task].completed - done) / elapsed
                bar.update(task, rate=f"{rate:,.1f}/s")

        yield advance
