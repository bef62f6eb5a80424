"""A run that shares another's samples: its traces are hard links, its tables are its own.

    link_run(open_run("sweep/clusterer=kmeans"), Path("sweep/clusterer=hdbscan"))

Shards are never written to once they are there, so that two folders may have the same file: it
takes its space once, and either folder may be moved or deleted. Where the file system has no hard
links, shards are copied.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cot.store.atomic import replace_file
from cot.store.run import Run, create_run
from cot.store.shards import read_shards
from cot.types import SAMPLE_KEY

__all__ = ["link_run"]

SHARED = ("traces", "samples/greedy")
"""Folders of shards that sampling writes."""
COPIED = ("questions.parquet", "prompts.parquet")


def link_run(source: Run, path: Path) -> Run:
    """Make a run with the questions, traces and greedy traces of another, or add what it lacks.

    Killed at any moment, it goes on from there when it is called again.

    Raises:
        InputError: `path` is something else than a run with the same identity.
    """
    run = create_run(path, source.identity)
    with run.lock(), source.lock():
        for name in COPIED:
            content = (source.path / name).read_bytes()
            if not (path / name).exists() or (path / name).read_bytes() != content:
                with replace_file(path / name) as handle:
                    handle.write(content)
        linked = [_link(source.path / name, path / name) for name in SHARED]
        if any(linked):
            run.log_call("link", source=source.path.name)
    return run


def _link(source: Path, target: Path) -> bool:
    """Link the shards that the target lacks; whether there were any."""
    ours, theirs = _shards(target), _shards(source)
    new = [shard for shard in theirs if not any(map(shard.samefile, ours))]
    known = _keys(target)
    if not new or known.issuperset(_keys(source)):
        return False
    target.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(shard.stem[5:]) for shard in ours), default=-1)
    for shard in new:
        _share(shard, target / f"part-{number:06d}.parquet")
        number += 1
    there = _keys(source)
    for shard in ours:  # once the source was sampled further, its shards were merged anew
        if not any(map(shard.samefile, theirs)) and there.issuperset(_keys_of(shard)):
            shard.unlink()
    return True


def _share(shard: Path, name: Path) -> None:
    try:
        os.link(shard, name)
    except OSError:  # no hard links here, or too many of this file
        with open(shard, "rb") as whole, replace_file(name) as handle:
            shutil.copyfileobj(whole, handle)


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _keys(folder: Path) -> set[tuple[str, int, str]]:
    table = read_shards(folder, SAMPLE_KEY)
    return set(zip(*(table[name].to_pylist() for name in SAMPLE_KEY), strict=True))


def _keys_of(shard: Path) -> set[tuple[str, int, str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(shard, columns=SAMPLE_KEY, partitioning=None)
    return set(zip(*(table[name].to_pylist() for name in SAMPLE_KEY), strict=True))
