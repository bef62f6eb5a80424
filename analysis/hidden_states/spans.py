"""A user's character spans of traces: `capture` keeps the state at each span's last token.

    question_id,sample_index,start,end,name
    q1,0,12,30,plan

`start` and `end` count characters of the trace's raw text, as Python slices do; `name` is the
position's name, `span` where none is given.

    >>> capture(run, spans=pd.DataFrame([{"question_id": "q1", "sample_index": 0,
    ...                                   "start": 12, "end": 30}]))             # doctest: +SKIP
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cot.datasets.rows import SUFFIXES, read_file
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["Spans", "check_spans", "read_spans"]

REQUIRED = ("question_id", "sample_index", "start", "end")
TAKEN = r"prompt_end|step_end|pre_answer|answer|mean|every\b.*"
"""Names that mean something else."""
Spans = Mapping[tuple[str, int], Sequence[tuple[str, int, int]]]
"""(question_id, sample_index) to (name, start, end) of each span."""


def read_spans(path: Path) -> pd.DataFrame:
    """The rows of a `.jsonl`, `.json`, `.csv` or `.parquet` file; `place` says where each stands.

    Raises:
        InputError: no such file, or a row that can't be read or lacks a field.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: spans are read from {', '.join(SUFFIXES)} files")
    names = (*REQUIRED, "name")
    rows = [
        {name: row[name] for name in names if name != "name" or name in row.values}
        | {"place": row.place}
        for row in read_file(path)
    ]
    return pd.DataFrame(rows, columns=[*names, "place"]).astype(object)


def check_spans(run: Run, frame: pd.DataFrame) -> Spans:
    """The spans of each trace, checked against the stored text.

    Args:
        frame: question_id, sample_index, start, end; name where given.

    Raises:
        InputError: a column that isn't there, a trace that isn't in the run, a span that isn't in
            its text, or a name that means another position.
    """
    if missing := [name for name in REQUIRED if name not in frame]:
        there = ", ".join(map(str, frame.columns)) or "none"
        raise InputError(f"spans have no column {', '.join(missing)}; there are: {there}")
    stored = run.traces(["text"])
    keys = zip(stored["question_id"], stored["sample_index"], strict=True)
    lengths = dict(zip(keys, stored["text"].map(len), strict=True))
    found: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for number, row in enumerate(frame.to_dict("records")):
        place = row.get("place") or f"spans, row {number}"
        sample, start, end = (_whole(row[name], name, place) for name in REQUIRED[1:])
        key = (str(row["question_id"]), sample)
        if key not in lengths:
            raise InputError(
                f"{place}: question_id {key[0]!r}, sample_index {sample}: there is no such trace "
                f"in {run.path}"
            )
        if not 0 <= start < end <= lengths[key]:
            raise InputError(
                f"{place}: start {start}, end {end}: give 0 <= start < end <= {lengths[key]}, "
                "the characters of the trace's text"
            )
        found.setdefault(key, []).append((_name(row.get("name"), place), start, end))
    return found


def _whole(value: Any, name: str, place: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(value, bool) or not number.is_integer():
        raise InputError(f"{place}: {name} is {value!r}: give a whole number")
    return int(number)


def _name(value: Any, place: str) -> str:
    if value is None or value == "" or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return "span"
    if not isinstance(value, str) or re.fullmatch(TAKEN, value) or not value.isprintable():
        raise InputError(f"{place}: name {value!r} can't be that of spans: choose another")
    return value
