"""What was measured, trace by trace and method by method, on disk so that a killed run goes on.

Interventions and what else runs traces one by one each have a folder of their own.

    FOLDER/part-*.parquet    one row a unit: question_id, sample_index, method, digest, rows (JSON)

A unit's digest names all that its numbers follow from; a unit with another digest doesn't exist. At
most 64 units or 10 seconds of them are lost.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.interventions.cases import Case
from analysis.interventions.contract import Profile, Row
from cot.store.atomic import TEMPORARY
from cot.store.shards import write_parquet

__all__ = ["Unit", "UnitStore", "plain", "profile_table", "row_table"]

Unit = tuple[str, int, str]
"""question_id, sample_index and the method as typed."""
SCHEMA = pa.schema(
    [
        ("question_id", pa.string()),
        ("sample_index", pa.int32()),
        ("method", pa.string()),
        ("digest", pa.string()),
        ("rows", pa.string()),
    ]
)
FLUSH_UNITS = 64
FLUSH_SECONDS = 10.0


class UnitStore:
    """Adds units to a folder. Use it as a context manager, holding the run's lock.

    Args:
        folder: made where it isn't there.
        wanted: the digest of each unit that is asked for. Shards that hold nothing but older units
            of the same traces and methods are deleted.

    Attributes:
        done: rows of the units that are asked for and there.
    """

    def __init__(self, folder: Path, wanted: Mapping[Unit, str]) -> None:
        self.folder, self.wanted = folder, wanted
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(TEMPORARY):
            leftover.unlink()
        self.done: dict[Unit, list[dict[str, Any]]] = {}
        for path in self._shards():
            rows = pq.read_table(path).to_pylist()
            keys = [(row["question_id"], row["sample_index"], row["method"]) for row in rows]
            current = [
                (key, row)
                for key, row in zip(keys, rows, strict=True)
                if wanted.get(key) == row["digest"]
            ]
            self.done |= {key: json.loads(row["rows"]) for key, row in current}
            if not current and all(key in wanted for key in keys):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        self._next = 1 + max((int(path.stem[5:]) for path in self._shards()), default=-1)
        self._clear()

    def add(self, unit: Unit, measured: Iterable[Mapping[str, Any]]) -> None:
        """Keep a unit's rows, of JSON values; it is on disk after at most 64 more."""
        rows = [dict(each) for each in measured]
        self.done[unit] = rows
        self._waiting.append(
            {
                **dict(zip(("question_id", "sample_index", "method"), unit, strict=True)),
                "digest": self.wanted[unit],
                "rows": json.dumps(rows, allow_nan=False),
            }
        )
        if len(self._waiting) >= FLUSH_UNITS or time.monotonic() - self._since > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Put everything that was added on disk."""
        if self._waiting:
            table = pa.Table.from_pylist(self._waiting, schema=SCHEMA)
            write_parquet(table, self.folder / f"part-{self._next:06d}.parquet")
            self._next += 1
        self._clear()

    def __enter__(self) -> UnitStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _clear(self) -> None:
        self._waiting: list[dict[str, Any]] = []
        self._since = time.monotonic()


# -- of interventions ------------------------------------------------------------------------------


def plain(each: Row | Profile) -> dict[str, Any]:
    """A row as JSON values; a number that is not finite is a fault of the method."""
    if isinstance(each, Profile):
        return {"profile": True, **asdict(each)}
    row = {field.name: getattr(each, field.name) for field in fields(Row) if field.name != "pair"}
    row = {name: float(value) if isinstance(value, float) else value for name, value in row.items()}
    wrong = [name for name, value in row.items() if isinstance(value, float) and _bad(value)]
    if wrong:
        raise RuntimeError(f"{wrong[0]} of an intervention is {row[wrong[0]]}")
    return {"profile": False, **row, "other": each.pair.other.answer}


def _bad(value: float) -> bool:
    return not math.isfinite(value)


ROWS = (
    *("question_id", "sample_index", "method", "target", "measure", "layer", "position", "step"),
    *("strength", "control", "draw", "other", "before", "after", "effect", "gap"),
)
ROW_TYPES = {"sample_index": "int32", "layer": "Int64", "step": "Int64", "draw": "Int64"}
ROW_TYPES |= dict.fromkeys(("strength", "before", "after", "effect", "gap"), "float64")
PROFILES = (
    *("question_id", "sample_index", "step", "later", "kl", "control_kl", "effect"),
    *("control_effect", "n_tokens"),
)
PROFILE_TYPES = {"sample_index": "int32", "step": "int64", "later": "Int64", "n_tokens": "int64"}
PROFILE_TYPES |= dict.fromkeys(("kl", "control_kl", "effect", "control_effect"), "float64")


def row_table(
    cases: Sequence[Case], methods: Sequence[str], done: Mapping[Unit, Sequence[dict[str, Any]]]
) -> pd.DataFrame:
    """The table `interventions`, in the order of methods and traces."""
    rows = [
        {**row, "question_id": case.question_id, "sample_index": case.sample_index, "method": spec}
        for spec in methods
        for case in cases
        for row in done.get((*case.key, spec), ())
        if not row["profile"]
    ]
    return pd.DataFrame(rows, columns=list(ROWS)).astype(ROW_TYPES)


def profile_table(
    cases: Sequence[Case], methods: Sequence[str], done: Mapping[Unit, Sequence[dict[str, Any]]]
) -> pd.DataFrame:
    """The table `intervention_steps`, in the same order."""
    rows = [
        {**row, "question_id": case.question_id, "sample_index": case.sample_index}
        for spec in methods
        for case in cases
        for row in done.get((*case.key, spec), ())
        if row["profile"]
    ]
    return pd.DataFrame(rows, columns=list(PROFILES)).astype(PROFILE_TYPES)
