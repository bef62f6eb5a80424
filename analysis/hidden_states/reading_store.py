"""Numbers that a teacher-forced pass leaves of each trace and prompt, on disk.

Vectors and attention weights become a few numbers as they arrive; nothing else is kept. A folder
holds part-*.parquet, one row a trace or prompt: question_id, sample_index (missing for a prompt),
digest, and lists of float32. The digest names all that the numbers follow from (the model's
revision, the tokens, the places): a row whose digest isn't the one asked for doesn't exist. A
killed reading loses what was not yet flushed, at most 64 rows or 10 seconds.

    with ReadingStore(folder, {("q1", 0): digest}, ["logits"]) as store:
        store.add(("q1", 0), {"logits": logits})
    store.read()["q1", 0]["logits"]
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cot.store.atomic import TEMPORARY
from cot.store.shards import write_parquet

__all__ = ["Key", "ReadingStore"]

Key = tuple[str, int | None]
"""question_id and sample_index; None is the prompt's end."""
Floats = NDArray[np.float32]
FLUSH_ROWS = 64
FLUSH_SECONDS = 10.0
FLUSH_NUMBERS = 2**24
"""Held at most, so that long traces don't fill the memory: 64 MiB."""


class ReadingStore:
    """Adds readings to a folder. Use it as a context manager, holding the run's lock.

    Args:
        folder: made where it isn't there.
        wanted: the digest of each reading that is asked for. Shards that hold nothing but older
            readings of these keys are deleted.
        names: the lists of numbers of each reading.

    Attributes:
        done: keys of the readings that are asked for and there.
    """

    def __init__(self, folder: Path, wanted: Mapping[Key, str], names: Sequence[str]) -> None:
        self.folder, self.wanted, self.names = folder, wanted, tuple(names)
        self._schema = pa.schema(
            [
                ("question_id", pa.string()),
                ("sample_index", pa.int32()),
                ("digest", pa.string()),
                *((name, pa.list_(pa.float32())) for name in names),
            ]
        )
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(TEMPORARY):
            leftover.unlink()
        self.done: set[Key] = set()
        for path in self._shards():
            found = pq.read_table(path, columns=["question_id", "sample_index", "digest"])
            rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
            current = [(a, b) for a, b, digest in rows if wanted.get((a, b)) == digest]
            self.done.update(current)
            if not current and all((a, b) in wanted for a, b, _ in rows):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        self._next = 1 + max((int(path.stem[5:]) for path in self._shards()), default=-1)
        self._clear()

    def add(self, key: Key, numbers: Mapping[str, Floats]) -> None:
        """Keep one reading, an array of any shape a name; it is on disk after at most 64 more."""
        row: dict[str, Any] = {name: numbers[name].ravel() for name in self.names}
        digest = self.wanted[key]
        self._rows.append({"question_id": key[0], "sample_index": key[1], "digest": digest, **row})
        self._held += sum(map(len, (row[name] for name in self.names)))
        self.done.add(key)
        late = time.monotonic() - self._since > FLUSH_SECONDS
        if late or len(self._rows) >= FLUSH_ROWS or self._held >= FLUSH_NUMBERS:
            self.flush()

    def flush(self) -> None:
        """Put everything that was added on disk."""
        if self._rows:
            table = pa.Table.from_pylist(self._rows, schema=self._schema)
            write_parquet(table, self.folder / f"part-{self._next:06d}.parquet")
            self._next += 1
        self._clear()

    def read(self) -> dict[Key, dict[str, Floats]]:
        """What is asked for and on disk: the numbers of each reading, flat."""
        return dict(self.rows())

    def rows(self) -> Iterator[tuple[Key, dict[str, Floats]]]:
        """The same one by one, a file at a time in memory; a reading that was stored twice comes
        twice, alike."""
        for path in self._shards():
            table = pq.read_table(path)
            keys = [table[name].to_pylist() for name in ("question_id", "sample_index", "digest")]
            numbers = [table[name].to_numpy() for name in self.names]
            for a, b, digest, *row in zip(*keys, *numbers, strict=True):
                if self.wanted.get((a, b)) == digest:
                    yield (a, b), dict(zip(self.names, row, strict=True))

    def __enter__(self) -> ReadingStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _clear(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._held = 0
        self._since = time.monotonic()
