"""What is shown of each question, as the page stores it: plain, packed, or packed beside the page.

Up to `PLAIN_BYTES` it is one JSON object in the page. Above, it is cut into blocks of whole
questions, each packed as downloads are (gzip, base64) and unpacked by the browser when a question
of it is opened: long traces shrink to a third. A page that would still be larger than `max_bytes`
has its blocks in `report-data/0001.js` and so on (a page of comparisons in `compare-data`). A page
that is opened from disk can't fetch, but may load scripts: a file is one call of a function of the
page, with data only. The page's policy then allows `'self'`, which from disk is local files (as
Chromium reads it) and from a server that server's: still no other network.

    consilience("5f2a8c01", 1, "H4sIAAAA...");      unpacked: [["q00",{...}],["q01",{...}]]

The stamp is a hash of all details: a page ignores files that were written for another one. Names
are numbers, whatever questions are called; ids and texts stand in pairs, where `__proto__` is a
name like any other.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cot.store.atomic import replace_file

__all__ = [
    "BLOCK_BYTES",
    "PLAIN_BYTES",
    "Blocks",
    "as_files",
    "clear",
    "pack_blocks",
    "packed",
    "write_shards",
]

PLAIN_BYTES = 2_000_000
"""Characters of details up to which they stand in the page as they are."""
BLOCK_BYTES = 1_000_000
"""A block is closed when it has reached this size, before it is packed."""
NAME = re.compile(r"\d{4,9}\.js")
Blocks = Mapping[str, Any]
"""What the page needs to know of the blocks: `stamp`; `folder`, or None where they are in the page;
and `firsts`, the place of each block's first question in the page's list."""


def packed(text: str) -> str:
    """gzip of a text's UTF-8, in base64, which needs no escape in markup, JSON or a script."""
    data = gzip.compress(text.encode("utf-8", "surrogatepass"), compresslevel=6, mtime=0)
    return base64.b64encode(data).decode("ascii")


def pack_blocks(
    details: Sequence[tuple[str, str]], size: int = BLOCK_BYTES
) -> tuple[Blocks, list[str]]:
    """What the page is told, and each block, packed.

    Args:
        details: the JSON of each question's id and of what is shown of it, in the page's order.
        size: bytes from which a block is closed.
    """
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
    blocks = [packed(f"[{','.join(group)}]") for group in groups]
    stamp = hashlib.sha256("\n".join(blocks).encode("ascii")).hexdigest()[:16]
    return {"stamp": stamp, "folder": None, "firsts": firsts}, blocks


def as_files(told: Blocks, blocks: Sequence[str], folder: str) -> tuple[Blocks, list[str]]:
    """What the page is told where the blocks are beside it, and the text of each file."""
    stamp = told["stamp"]
    texts = [f'consilience("{stamp}",{n},"{block}");\n' for n, block in enumerate(blocks, 1)]
    return {**told, "folder": folder}, texts


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
