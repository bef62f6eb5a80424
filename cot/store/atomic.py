"""Files and folders that are written whole or not at all, and what is said when the disk is full.

    with replace_file(run.path / "report.html") as handle:
        handle.write(page.encode())

The content goes to a temporary file beside the path, is synced, and then takes the path's name in
one step: whoever reads sees the old file or the whole new one, and a killed process leaves at worst
a file `.NAME.PID.tmp`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cot.errors import ConsilienceError

__all__ = ["TEMPORARY", "disk_full_said", "new_folder", "replace_file"]

TEMPORARY = ".*.tmp"
"""What the names of temporary files look like."""
FULL = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk full (the quota is used up)"}


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write, which replaces `path` when the block ends without an error.

    The folder is made where it is missing.

    Raises:
        ConsilienceError: the disk is full; `path` is as it was, and the temporary file is removed.
    """
    with disk_full_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `path` when the block ends without an error.

    Where another process has made `path` meanwhile, that one stays.

    Raises:
        ConsilienceError: the disk is full; nothing is left.
    """
    with disk_full_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as scratch:
            folder = Path(scratch) / path.name
            folder.mkdir()
            yield folder
            try:
                folder.replace(path)
            except OSError:
                if not path.is_dir():
                    raise
                shutil.rmtree(folder)


def move_file(source: Path, path: Path) -> None:
    """Give a file that `replace_file` wrote another name on the same disk, in one step."""
    os.replace(source, path)
    _sync_folder(path.parent)


@contextmanager
def disk_full_said(path: Path) -> Iterator[None]:
    """Turn a full disk into an error that names the file and says what to do.

    Raises:
        ConsilienceError: no space is left, or the quota is used up, while `path` is written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ConsilienceError(
            f"{path}: {FULL[error.errno]}: free some space, then run the same command again; "
            "what was written before is kept"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Put the new name on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
