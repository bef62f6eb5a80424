"""One writer a run: a lock file that the operating system releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cot.errors import InputError

__all__ = ["write_lock"]


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold `folder/run.lock` while the block runs.

    Raises:
        InputError: another process holds it.
    """
    path = folder / "run.lock"
    with open(path, "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise InputError(
                f"{folder} is being written by another process (pid {holder}): wait for it to end"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
