"""One writer a run: a lock file that the operating system releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cot.errors import InputError

__all__ = ["write_lock"]

_held: set[tuple[Path, int]] = set()
"""(folder, thread) of the locks that this process holds: a holder may ask again."""


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold `folder/run.lock` while the block runs; a thread that holds it may ask again.

    Raises:
        InputError: another process or thread holds it.
    """
    holder = (folder.resolve(), threading.get_ident())
    if holder in _held:
        yield
        return
    with open(folder / "run.lock", "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            pid = handle.read().strip() or "unknown"
            raise InputError(
                f"{folder} is being written by another process (pid {pid}): wait for it to end"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        _held.add(holder)
        try:
            yield
        finally:
            _held.discard(holder)
