"""Where the model is looked into: layers, positions in a trace, and a user's own spans.

Layer k is the residual stream after k blocks: 0 is the embeddings (what enters the first block),
and L, the number of blocks, is the last block's output *before* the final norm.

    >>> choose_layers("every 4th", 30)
    [4, 8, 12, 16, 20, 24, 28, 30]
    >>> choose_layers("0, 10-12", 30)
    [0, 10, 11, 12]
    >>> choose_layers("0.25,0.5,1.0", 30)
    [8, 15, 30]

Positions of a trace:

    prompt_end       the prompt's last token: the same for all of a question's traces, captured once
    step_end         the last token of each step
    pre_answer       the token before the answer's first
    answer           the answer's last token
    mean             the mean over all stored generated tokens
    every 8 tokens   the 8th, 16th, … generated token
    (a name)         the last token of each of a user's character spans

Tokens are counted from the first generated one; -1 is the prompt's last.

A user's spans are a file of characters of traces; the state at each span's last token is kept:

    question_id,sample_index,start,end,name
    q1,0,12,30,plan

`start` and `end` count characters of the trace's raw text, as Python slices do; `name` is the
position's name, `span` where none is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cot.datasets.rows import SUFFIXES, read_file
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import Place
from cot.tokens import char_to_token, token_spans

__all__ = [
    "POSITIONS",
    "LayerSpec",
    "Spans",
    "Spot",
    "check_positions",
    "check_spans",
    "choose_layers",
    "find_spots",
    "read_spans",
]

# -- layers ----------------------------------------------------------------------------------------

LayerSpec = str | int | float | Sequence[int | float]
"""A number, a list of them, or text: `all`, `every 4th` (the last one too), `0,8,16`, `8-12`. A
number with a decimal point is a fraction of the depth, rounded to the nearest layer: `0.25,0.5`."""


def choose_layers(spec: LayerSpec, n_blocks: int) -> list[int]:
    """The layers that are meant, ascending.

    Raises:
        InputError: not understood, or a layer that the model doesn't have.
    """
    if not isinstance(spec, str):
        numbers = [spec] if isinstance(spec, int | float) else spec
        chosen = [_layer(number, n_blocks) for number in numbers]
    elif spec.strip() == "all":
        chosen = list(range(n_blocks + 1))
    elif match := re.fullmatch(r"\s*every ([1-9]\d*)(?:st|nd|rd|th)?\s*", spec):
        chosen = [*range(int(match[1]), n_blocks, int(match[1])), n_blocks]
    else:
        chosen = [layer for part in spec.split(",") for layer in _range(part, spec, n_blocks)]
    wrong = [layer for layer in chosen if not 0 <= layer <= n_blocks]
    if wrong or not chosen:
        raise InputError(
            f"no layer {', '.join(map(str, wrong)) or 'named'}: the model has layers 0 "
            f"(embeddings) to {n_blocks} (output of the last block)"
        )
    return sorted(set(chosen))


def _range(part: str, spec: str, n_blocks: int) -> Sequence[int]:
    if re.fullmatch(r"\s*\d*\.\d+\s*|\s*\d+\.\s*", part):
        return [_layer(float(part), n_blocks)]
    match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
    if not match:
        raise InputError(
            f"layers {spec!r} not understood: write all, every 4th, 0,8,16, 8-12 or 0.25,0.5"
        )
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def _layer(number: int | float, n_blocks: int) -> int:
    if not isinstance(number, float):
        return int(number)
    if not 0 <= number <= 1:
        raise InputError(f"layer {number} is not a fraction of the depth: from 0.0 to 1.0")
    return int(number * n_blocks + 0.5)


# -- positions -------------------------------------------------------------------------------------

POSITIONS = ("prompt_end", "step_end", "pre_answer", "answer", "mean")
EVERY = re.compile(r"\s*every\s+([1-9]\d*)\s+tokens?\s*")


class Spot(NamedTuple):
    """A place and the generated tokens whose mean state is its vector (most often one token)."""

    place: Place
    """Where the vector is from."""
    start: int
    """First token; -1 is the prompt's last."""
    end: int
    """One past the last token."""


def check_positions(positions: Sequence[str]) -> tuple[str, ...]:
    """The positions, each once, in the order of `POSITIONS` and then `every … tokens`.

    Raises:
        InputError: an unknown position, or none.
    """
    matches = {name: EVERY.fullmatch(name) for name in positions}
    unknown = [name for name, match in matches.items() if not match and name not in POSITIONS]
    if unknown or not positions:
        raise InputError(
            f"unknown position {', '.join(map(repr, unknown)) or '(none given)'}: "
            f"choose from {', '.join(POSITIONS)}, or `every 8 tokens`"
        )
    known = [name for name in POSITIONS if name in positions]
    steps = sorted({int(match[1]) for match in matches.values() if match})
    return (*known, *(f"every {step} tokens" for step in steps))


def find_spots(
    traces: pd.DataFrame,
    answers: pd.DataFrame | None,
    steps: pd.DataFrame | None,
    positions: Sequence[str],
    tokenizer: Any,
    spans: Spans | None = None,
) -> Iterator[Spot]:
    """Every spot of the traces, a question's `prompt_end` first.

    Args:
        traces: question_id, sample_index, text, token_ids.
        answers: the table; needed for `pre_answer` and `answer`. An answer without a span in the
            text (missing, or given by an import) has no spot.
        steps: the table; needed for `step_end`.
        positions: as `check_positions` returns them.
        spans: a user's; a span that no token wrote has no spot.
    """
    keys = ["question_id", "sample_index"]
    known = None if answers is None else answers.dropna(subset=["start", "end"])
    stated = {} if known is None else _spans(known, keys)
    stepped = {} if steps is None else _spans(steps, [*keys, "step"])
    own: Spans = spans or {}
    gaps = {name: int(match[1]) for name in positions if (match := EVERY.fullmatch(name))}
    seen: set[str] = set()
    for question_id, sample_index, text, ids in zip(
        *(traces[name] for name in (*keys, "text", "token_ids")), strict=True
    ):
        if "prompt_end" in positions and question_id not in seen:
            seen.add(question_id)
            yield Spot(Place(question_id, None, "prompt_end", None, -1), -1, 0)
        key = (question_id, int(sample_index))
        if key in stepped or key in stated or key in own:
            written = token_spans(tokenizer, ids, text)
        for step, start, end in stepped.get(key, ()):
            first, after = char_to_token(written, start, end)
            if first < after:
                yield _at(key, "step_end", after - 1, step)
        for start, end in stated.get(key, ()):
            first, after = char_to_token(written, start, end)
            for name, token in (("pre_answer", first - 1), ("answer", after - 1)):
                if name in positions and first < after:
                    yield _at(key, name, token)
        if "mean" in positions and len(ids):
            yield Spot(Place(*key, "mean", None, None), 0, len(ids))
        for name, gap in gaps.items():
            for token in range(gap - 1, len(ids), gap):
                yield _at(key, name, token)
        ends = [(name, char_to_token(written, *span)) for name, *span in own.get(key, ())]
        for name, token in dict.fromkeys((name, b - 1) for name, (a, b) in ends if a < b):
            yield _at(key, name, token)


def _at(key: tuple[str, int], name: str, token: int, step: int | None = None) -> Spot:
    return Spot(Place(*key, name, step, token), token, token + 1)


def _spans(frame: pd.DataFrame, names: list[str]) -> Mapping[Any, list[tuple[int, ...]]]:
    """Each trace's rows in the table's order: what `names` has after the key, then start, end."""
    found: dict[tuple[str, int], list[tuple[int, ...]]] = {}
    columns = (frame[name] for name in (*names, "start", "end"))
    for question_id, sample_index, *numbers in zip(*columns, strict=True):
        row = tuple(int(number) for number in numbers)
        found.setdefault((question_id, int(sample_index)), []).append(row)
    return found


# -- a user's spans --------------------------------------------------------------------------------

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
        frame: see `read_spans`.

    Raises:
        InputError: a trace that isn't in the run, a span that isn't in its text, or a name that
            means another position.
    """
    stored = run.traces(["text"])
    keys = zip(stored["question_id"], stored["sample_index"], strict=True)
    lengths = dict(zip(keys, stored["text"].map(len), strict=True))
    found: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for row in frame.to_dict("records"):
        place = row["place"]
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
        found.setdefault(key, []).append((_name(row["name"], place), start, end))
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
