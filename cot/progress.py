"""Progress: a bar in a terminal or a notebook, a line every 30 seconds in a log.

    with track("sampling", total=160, unit="traces") as advance:
        advance(1)

    cot: sampling: 120 of 160 traces, 3.4/s, 0:12 left

All of it goes to stderr, or below the notebook's cell. What takes less than 30 seconds leaves no
line in a log.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

__all__ = ["track"]

EVERY = 30.0
"""Seconds between two lines of a log."""
Advance = Callable[[int], None]
Clock = Callable[[], float]


@contextmanager
def track(
    description: str,
    total: int | None,
    unit: str,
    done: int = 0,
    *,
    clock: Clock = time.monotonic,
) -> Iterator[Advance]:
    """Show how far something is; yields a function that moves it on.

    Args:
        description: what is being done.
        total: how many units there are, or None where that is not known.
        unit: what is counted, in the plural.
        done: units that were there before; they don't count towards the rate.
        clock: seconds since some moment, for the lines of a log.
    """
    if _in_notebook():
        shown = _notebook_bar(description, total, unit, done)
    elif sys.stderr.isatty():
        shown = _terminal_bar(description, total, unit, done)
    else:
        shown = _log_lines(description, total, unit, done, clock)
    with shown as advance:
        yield advance


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


@contextmanager
def _notebook_bar(description: str, total: int | None, unit: str, done: int) -> Iterator[Advance]:
    """A widget where ipywidgets is installed, else tqdm's bar of characters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm says so where ipywidgets is missing
        from tqdm.auto import tqdm

        bar = tqdm(desc=description, total=total, initial=done, unit=f" {unit}")
    with bar:
        yield bar.update


@contextmanager
def _terminal_bar(description: str, total: int | None, unit: str, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    started, so_far = time.monotonic(), done
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        counted = _counted(done, total, unit)
        task = bar.add_task(description, total=total, completed=done, count=counted)

        def advance(count: int) -> None:
            nonlocal so_far
            so_far += count
            rate = _rate(so_far - done, time.monotonic() - started)
            bar.update(task, advance=count, count=f"{_counted(so_far, total, unit)}{rate}")

        yield advance


@contextmanager
def _log_lines(
    description: str, total: int | None, unit: str, done: int, clock: Clock
) -> Iterator[Advance]:
    started = said = clock()
    so_far = done

    def line(now: float, last: str) -> None:
        rate = _rate(so_far - done, now - started)
        counted = _counted(so_far, total, unit)
        print(f"cot: {description}: {counted}{rate}{last}", file=sys.stderr, flush=True)

    def advance(count: int) -> None:
        nonlocal so_far, said
        so_far += count
        now = clock()
        if now - said < EVERY:
            return
        said = now
        left = ""
        if total is not None and so_far > done:
            seconds = (total - so_far) * (now - started) / (so_far - done)
            left = f", {timedelta(seconds=max(round(seconds), 0))} left"
        line(now, left)

    try:
        yield advance
    finally:
        now = clock()
        if now - started > EVERY:
            line(now, f", after {timedelta(seconds=round(now - started))}")


def _counted(count: int, total: int | None, unit: str) -> str:
    return f"{count:,} {unit}" if total is None else f"{count:,} of {total:,} {unit}"


def _rate(count: int, seconds: float) -> str:
    if not (count and seconds > 0):
        return ""
    rate = count / seconds
    return f", {rate:,.1f}/s" if rate >= 1 else f", {1 / rate:,.1f} s each"
