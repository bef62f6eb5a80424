"""One writer a run: a lock file that the operating system releases when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from cot.errors import InputError

__all__ = ["write_lock"]


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold `folder/run.lock` while the block runs; a thread that holds it may ask again.

    Raises:
        InputError: another process or thread holds it; the message names the run and the process.
    """
    path = folder.resolve() / "run.lock"
    # One object a file, with a count a thread: a thread may ask again, another one may not.
    lock: BaseFileLock = FileLock(path, timeout=0, thread_local=True, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder} is being written by {_holder(path)}: wait for it to end"
        ) from None
    try:
        # Where flock is missing, filelock keeps a marker of its own in the file.
        if lock.lock_counter == 1 and not isinstance(lock, SoftFileLock):
            path.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """Who holds the lock, as far as the file says."""
    try:
        pid = path.read_text(encoding="utf-8").split("\n")[0].strip()
    except OSError:
        pid = ""
    if pid == str(os.getpid()):
        return f"another thread of this process (pid {pid})"
    return f"another process (pid {pid if pid.isdecimal() else 'unknown'})"
