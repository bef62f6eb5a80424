"""Traces on disk: immutable parquet shards, written whole or not at all.

A shard is written under a temporary name, synced, then renamed, so that a killed process leaves
either a whole shard or none. Shards are small while sampling goes on (64 traces or 10 seconds) and
are merged when it ends; should that be interrupted, a key may be in two shards for a while, and
readers keep its first copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cot.errors import ConsilienceError
from cot.store.atomic import TEMPORARY, replace_file
from cot.types import SAMPLE_KEY, Trace

__all__ = [
    "TRACE_SCHEMA",
    "ShardWriter",
    "fingerprint",
    "list_shards",
    "next_shard",
    "read_shards",
    "row_digest",
    "to_row",
    "to_table",
    "write_parquet",
]

TRACE_SCHEMA = pa.schema(
    [
        ("question_id", pa.string()),
        ("sample_index", pa.int32()),
        ("variant", pa.string()),
        ("seed", pa.int64()),
        ("prompt_sha", pa.string()),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float32())),
        ("top_means", pa.list_(pa.float32())),
        ("scores", pa.string()),
        ("finish_reason", pa.string()),
        ("meta", pa.string()),
        ("digest", pa.uint64()),
    ]
)
MERGED_ROWS = 20_000
EMPTY = hashlib.blake2b(digest_size=8)
"""Copied for each digest, which is quicker than to make one."""


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table so that `path` holds the old file or the whole new one, never a torn one."""
    with replace_file(path) as handle:
        pq.write_table(table, handle, compression="zstd")


class ShardWriter:
    """Appends traces to a folder of shards. Use it as a context manager, holding the run's lock.

    Raises (from `add`): ValueError if a key is added twice to one writer.
    """

    def __init__(self, folder: Path, flush_rows: int = 64, flush_seconds: float = 10.0) -> None:
        self.folder = folder
        self.flush_rows = flush_rows
        self.flush_seconds = flush_seconds
        self._rows: list[tuple[Any, ...]] = []
        self._keys: set[tuple[str, int, str]] = set()
        self._mutex = threading.Lock()
        self._timer: threading.Timer | None = None
        self._failure: OSError | ConsilienceError | None = None
        self._next = next_shard(folder)

    def add(self, trace: Trace) -> None:
        """Store one trace; it is on disk after at most 64 more, or 10 seconds."""
        key = (trace.question_id, trace.sample_index, trace.variant)
        if key in self._keys:
            raise ValueError(f"duplicate trace {key}: it was added twice")
        with self._mutex:
            if self._failure is not None:
                raise self._failure
            self._keys.add(key)
            self._rows.append(to_row(trace))
            if len(self._rows) >= self.flush_rows:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(self.flush_seconds, self._flush_late)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Put everything that was added on disk."""
        with self._mutex:
            self._write()

    def close(self) -> None:
        """Flush, then merge small shards."""
        self.flush()
        _compact(self.folder)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.flush()

    def _flush_late(self) -> None:
        with self._mutex:
            try:
                self._write()
            except (OSError, ConsilienceError) as error:
                self._failure = error

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._rows:
            return
        write_parquet(to_table(self._rows), self.folder / f"part-{self._next:06d}.parquet")
        self._next += 1
        self._rows = []


def read_shards(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All traces of a folder, each key once; an empty table where there is no folder.

    Args:
        columns: names of TRACE_SCHEMA to read, in this order; all where None.
    """
    wanted = list(columns) if columns is not None else TRACE_SCHEMA.names
    for attempt in range(5):  # a writer may merge shards between the listing and the reading
        paths = list_shards(folder)
        read = (
            wanted
            if len(paths) < 2
            else [*wanted, *(name for name in SAMPLE_KEY if name not in wanted)]
        )
        try:
            parts = [pq.read_table(path, columns=read, partitioning=None) for path in paths]
            break
        except FileNotFoundError:
            if attempt == 4:
                raise
    if not parts:
        return TRACE_SCHEMA.empty_table().select(wanted)
    table = pa.concat_tables(parts)
    return (_first_copies(table) if len(parts) > 1 else table).select(wanted)


def list_shards(folder: Path) -> list[Path]:
    """A folder's shards, oldest first."""
    return sorted(folder.glob("part-*.parquet"))


def next_shard(folder: Path) -> int:
    """The number of a folder's next shard; what a killed writer left is removed. Needs the run's
    lock."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(TEMPORARY):
        leftover.unlink()
    return 1 + max((int(path.stem[5:]) for path in list_shards(folder)), default=-1)


def _first_copies(table: pa.Table) -> pa.Table:
    keys = table.select(SAMPLE_KEY).to_pandas()
    repeated = keys.duplicated().to_numpy()
    return table.filter(pa.array(~repeated)) if repeated.any() else table


def _compact(folder: Path) -> None:
    """Merge shards of fewer than MERGED_ROWS rows, oldest first, into shards of at least that."""
    small = [path for path in list_shards(folder) if pq.read_metadata(path).num_rows < MERGED_ROWS]
    for group in _groups(small):
        merged = _first_copies(pa.concat_tables([pq.read_table(path) for path in group]))
        write_parquet(merged, group[0])
        for path in group[1:]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _groups(paths: Sequence[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    rows = 0
    for path in paths:
        group.append(path)
        rows += pq.read_metadata(path).num_rows
        if rows >= MERGED_ROWS:
            yield group
            group, rows = [], 0
    if len(group) > 1:
        yield group


def to_table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Rows as `to_row` makes them, as a table."""
    columns = zip(*rows, strict=True) if rows else (() for _ in TRACE_SCHEMA)
    arrays = [
        pa.array(column, field.type) for column, field in zip(columns, TRACE_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=TRACE_SCHEMA)


def to_row(trace: Trace) -> tuple[Any, ...]:
    """A trace's values in the order of TRACE_SCHEMA."""
    completion = trace.completion
    forced = {} if completion.forced is None else {"forced_tokens": list(completion.forced)}
    values = (
        trace.question_id,
        trace.sample_index,
        trace.variant,
        trace.seed,
        trace.prompt_sha,
        completion.text,
        None if completion.token_ids is None else list(completion.token_ids),
        _floats(completion.logprobs),
        _floats(completion.top_means),
        json.dumps(dict(completion.scores)) if completion.scores is not None else None,
        completion.finish_reason,
        json.dumps({**trace.meta, **forced}, ensure_ascii=False, sort_keys=True),
    )
    return (*values, row_digest(values))


def row_digest(values: Sequence[Any]) -> int:
    """64 bits of BLAKE2b over a row's values but the digest: the lengths of its texts, its numbers,
    and then the texts one after the other, so that two rows that differ never give one content."""
    question, index, variant, seed, prompt, text, ids, logprobs, means, scores, finish, meta = (
        values
    )
    lists = "" if ids is logprobs is means is None else json.dumps([ids, logprobs, means])
    content = (  # written out, as it is done once a trace: json.dumps takes longer
        f"{len(question)} {len(variant)} {-1 if prompt is None else len(prompt)} {len(text)} "
        f"{len(lists)} {-1 if scores is None else len(scores)} {len(finish)} {index} {seed} "
        f"{question}{variant}{prompt or ''}{text}{lists}{scores or ''}{finish}{meta}"
    )
    hashed = EMPTY.copy()
    hashed.update(content.encode(errors="surrogatepass"))
    return int.from_bytes(hashed.digest(), "little")


def _floats(values: Any) -> list[float] | None:
    return None if values is None else np.asarray(values, np.float32).astype(float).tolist()


def fingerprint(folder: Path) -> str:
    """Identity of a folder's traces, whatever their order or their shards: count and digest sum."""
    digests = read_shards(folder, ["digest"])["digest"]
    total = int(np.asarray(digests, dtype=np.uint64).sum(dtype=np.uint64)) if len(digests) else 0
    return f"{len(digests)}-{total:016x}"
