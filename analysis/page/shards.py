"""What is shown of each question, in the page or in script files beside it.

A page of more than `max_bytes` is slow to open, so that its questions' details move to
`report-data/0001.js` and so on, which the page loads as questions are opened. A page that is
opened from disk can't fetch, but may load scripts: a file is one call of a function of the page,
with data only. The page's policy then allows `'self'`, which from disk is local files (as Chromium
reads it) and from a server that server's: still no other network.

    consilience("5f2a8c01", 1, [["q00",{...}],["q01",{...}]]);

The stamp is a hash of all details: a page ignores files that were written for another one. Names
are numbers, whatever questions are called; ids and texts are JSON without `<`, `>`, `&`, U+2028 and
U+2029, and stand in pairs, where `__proto__` is a name like any other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cot.store.atomic import replace_file

__all__ = ["FOLDER", "SHARD_BYTES", "Shards", "clear", "shard", "write_shards"]

FOLDER = "report-data"
SHARD_BYTES = 1_000_000
"""A file is closed when it has reached this size."""
NAME = re.compile(r"\d{4,9}\.js")
Shards = Mapping[str, Any]
"""What the page needs to know of the files: `stamp`, `folder`, and `firsts`, the place of each
file's first question in the page's list."""


def shard(details: Sequence[tuple[str, str]], size: int = SHARD_BYTES) -> tuple[Shards, list[str]]:
    """What the page is told, and the text of each file.

    Args:
        details: the JSON of each question's id and of what is shown of it, in the page's order,
            safe in a script (see `as_json`).
        size: bytes from which a file is closed.
    """
    stamp = hashlib.sha256(repr(details).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    groups: list[list[str]] = []
    firsts: list[int] = []
    room = 0
    for place, (key, detail) in enumerate(details):
        if room <= 0:
            groups.append([])
            firsts.append(place)
            room = size
        groups[-1].append(f"[{key},{detail}]")
        room -= len(detail.encode("utf-8", "surrogatepass"))
    texts = [
        f'consilience("{stamp}",{number},[{",".join(group)}]);\n'
        for number, group in enumerate(groups, 1)
    ]
    return {"stamp": stamp, "folder": FOLDER, "firsts": firsts}, texts


def write_shards(folder: Path, texts: Sequence[str]) -> None:
    """Write the files, each whole or not at all; those of an older page are overwritten."""
    for number, text in enumerate(texts, 1):
        with replace_file(folder / f"{number:04d}.js") as handle:
            handle.write(text.encode())


def clear(folder: Path, kept: int) -> None:
    """Remove the files beyond the first `kept`, and the folder where nothing is left in it.

    Nothing but files that this module names is touched.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    for file in folder.iterdir():
        if NAME.fullmatch(file.name) and int(file.stem) > kept:
            file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
