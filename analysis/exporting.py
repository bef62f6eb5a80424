"""Export a run's tables as parquet, CSV or JSON lines.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return; in CSV
such text, which a model may have written, gets an apostrophe in front. Numbers stay as they are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from cot.console import plain
from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.run import Run

__all__ = ["FORMATS", "as_csv", "export"]

log = logging.getLogger("cot")

RAW = ("questions", "traces")
"""What is exported beside the tables."""


def export(run: Run, to: str = "parquet", out: str | Path | None = None) -> list[Path]:
    """Write questions, traces and every table; returns the files.

    A stale table is written too, with a warning.

    Args:
        to: `parquet`, `csv` or `jsonl`.
        out: a folder; by default `export` inside the run.

    Raises:
        InputError: an unknown format.
    """
    if to not in FORMATS:
        raise InputError(f"unknown format {to!r}: choose from {', '.join(FORMATS)}")
    folder = Path(out) if out is not None else run.path / "export"
    files = []
    for name in [*RAW, *run.tables()]:
        if name not in RAW and (reason := run.stale(name)):
            log.warning("table %s is stale: %s", name, reason)
        frame = getattr(run, name)() if name in RAW else run.table(name)
        path = folder / f"{name}.{to}"
        with replace_file(path) as handle:
            FORMATS[to](frame, handle)
        files.append(path)
    return files


def _to_parquet(frame: pd.DataFrame, file: BinaryIO) -> None:
    _flat(frame, dicts_only=True).to_parquet(file, index=False)


def as_csv(frame: pd.DataFrame) -> str:
    """The table as text, formulas defused."""
    return str(_defused(frame).to_csv(index=False))


def _to_csv(frame: pd.DataFrame, file: BinaryIO) -> None:
    _defused(frame).to_csv(file, index=False)


def _defused(frame: pd.DataFrame) -> pd.DataFrame:
    flat = _flat(frame, dicts_only=False)
    for name in flat.columns:
        if not pd.api.types.is_numeric_dtype(flat[name]):
            flat[name] = flat[name].map(_defuse, na_action="ignore")
    return flat


def _to_jsonl(frame: pd.DataFrame, file: BinaryIO) -> None:
    for row in frame.to_dict("records"):
        line = json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n"
        file.write(line.encode())


FORMATS: dict[str, Callable[[pd.DataFrame, BinaryIO], None]] = {
    "parquet": _to_parquet,
    "csv": _to_csv,
    "jsonl": _to_jsonl,
}


def _flat(frame: pd.DataFrame, *, dicts_only: bool) -> pd.DataFrame:
    """Dicts, and lists too where the format has none, as JSON text."""
    flat = frame.copy()
    for name in flat.columns:
        if flat[name].dtype == object:
            flat[name] = [_text(value, dicts_only=dicts_only) for value in flat[name]]
    return flat


def _text(value: Any, *, dicts_only: bool) -> Any:
    nested = isinstance(value, dict) or (not dicts_only and hasattr(value, "__len__"))
    if nested and not isinstance(value, str):
        return json.dumps(plain(value), ensure_ascii=False)
    return value


def _defuse(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
