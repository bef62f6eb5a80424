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
    section_end      the last token of each section
    pre_answer       the token before the answer's first
    answer           the answer's last token
    mean             the mean over all stored generated tokens
    every 8 tokens   the 8th, 16th, … generated token; every:8 for short
    (a name)         the last token of each of a user's character spans

Of a long trace's steps (and sections) at most so many are taken, evenly spaced by tokens: see
`spread`. Tokens are counted from the first generated one; -1 is the prompt's last.

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
from numpy.typing import NDArray

from cot.datasets.rows import SUFFIXES, read_file
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import Place
from cot.tokens import char_to_token, token_spans
from cot.types import TRACE_KEY

__all__ = [
    "ENDS",
    "POSITIONS",
    "STEPS_PER_TRACE",
    "TABLES",
    "LayerSpec",
    "Spans",
    "Spot",
    "check_positions",
    "check_spans",
    "choose_layers",
    "find_spots",
    "read_spans",
    "spread",
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

POSITIONS = ("prompt_end", "step_end", "section_end", "pre_answer", "answer", "mean")
EVERY = re.compile(r"\s*every(?:\s+([1-9]\d*)\s+tokens?|:([1-9]\d*))\s*")
ENDS = {"step_end": "step", "section_end": "section"}
"""The column that numbers what each ends."""
TABLES = {"step_end": "steps", "section_end": "sections"}
TABLES |= {"pre_answer": "answers", "answer": "answers"}
"""Which table each position is read from."""
STEPS_PER_TRACE = 64
"""Most step ends, and most section ends, of a trace, by default."""


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
            f"choose from {', '.join(POSITIONS)}, or `every 8 tokens` (every:8)"
        )
    known = [name for name in POSITIONS if name in positions]
    steps = sorted({int(match[1] or match[2]) for match in matches.values() if match})
    return (*known, *(f"every {step} tokens" for step in steps))


def find_spots(
    traces: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    positions: Sequence[str],
    tokenizer: Any | None,
    spans: Spans | None = None,
    most: int = 0,
) -> Iterator[Spot]:
    """Every spot of the traces, a question's `prompt_end` first.

    Args:
        traces: question_id, sample_index, text, n_tokens, token_ids.
        tables: those that `TABLES` names, for the positions that are asked for. An answer without a
            span in the text (missing, or given by an import) has no spot.
        positions: as `check_positions` returns them.
        tokenizer: finds the tokens that wrote some characters, where no table says; None counts
            characters as tokens, so that places are right in number and not in where they are.
        spans: a user's; a span that no token wrote has no spot.
        most: steps, and sections, of a trace; 0 is all.
    """
    ends = {name: _ends(tables[TABLES[name]], ENDS[name]) for name in ENDS if name in positions}
    stated = [name for name in ("pre_answer", "answer") if name in positions]
    answers = _answers(tables["answers"]) if stated else {}
    own: Spans = spans or {}
    gaps = {name: int(match[1]) for name in positions if (match := EVERY.fullmatch(name))}
    seen: set[str] = set()
    columns = (traces[name] for name in (*TRACE_KEY, "n_tokens", "text", "token_ids"))
    for question_id, sample_index, length, text, ids in zip(*columns, strict=True):
        key = (question_id, int(sample_index))
        locate = _Locator(tokenizer, ids, text)
        if "prompt_end" in positions and question_id not in seen:
            seen.add(question_id)
            yield Spot(Place(question_id, None, "prompt_end", None, -1), -1, 0)
        for name, found in ends.items():
            tokens = {
                number: range(*span) if span[1] >= 0 else locate(*characters)
                for number, span, characters in found.get(key, ())
            }
            # a step that no token wrote (the text goes on after the last one) has no spot
            known = {number: span.stop for number, span in tokens.items() if span}
            for number in spread(known, most):
                yield _at(key, name, known[number] - 1, number)
        for characters in answers.get(key, ()):
            if written := locate(*characters):
                places = {"pre_answer": written.start - 1, "answer": written.stop - 1}
                for name in stated:
                    yield _at(key, name, places[name])
        if "mean" in positions and length:
            yield Spot(Place(*key, "mean", None, None), 0, length)
        for name, gap in gaps.items():
            for token in range(gap - 1, length, gap):
                yield _at(key, name, token)
        last = [(name, locate(*characters)) for name, *characters in own.get(key, ())]
        for name, token in dict.fromkeys((name, span.stop - 1) for name, span in last if span):
            yield _at(key, name, token)


def spread(ends: Mapping[int, int], most: int) -> list[int]:
    """At most so many of some steps, evenly spaced by tokens, the last one among them.

    The whole length is cut into `most` equal parts; of each part's steps, the one that ends last is
    taken.

        >>> spread({0: 10, 1: 20, 2: 90, 3: 100}, 2)
        [1, 3]

    Args:
        ends: step to one past its last token, ascending.
        most: 0 is all.
    """
    if not most or len(ends) <= most:
        return list(ends)
    whole = max(ends.values())
    # ceil(end * most / whole) is the part, from 1, that an end falls into; a later one replaces it
    return list({-(-end * most // whole): number for number, end in ends.items()}.values())


def _at(key: tuple[str, int], name: str, token: int, step: int | None = None) -> Spot:
    return Spot(Place(*key, name, step, token), token, token + 1)


class _Locator:
    """Finds the tokens that wrote some characters of a trace; its ids are decoded when first asked.
    Without a tokenizer, it counts characters as tokens."""

    def __init__(self, tokenizer: Any | None, ids: Sequence[int], text: str) -> None:
        self._tokenizer, self._ids, self._text = tokenizer, ids, text
        self._written: NDArray[np.int64] | None = None

    def __call__(self, start: int, end: int) -> range:
        if self._tokenizer is None:
            return range(start, end)
        if self._written is None:
            self._written = token_spans(self._tokenizer, self._ids, self._text)
        return range(*char_to_token(self._written, start, end))


def _ends(
    table: pd.DataFrame, number: str
) -> dict[tuple[str, int], list[tuple[int, tuple[int, int], tuple[int, int]]]]:
    """Of each trace: number, tokens (start, end; -1 where they are missing) and characters."""
    found: dict[tuple[str, int], list[Any]] = {}
    names = ("sample_index", number, "token_start", "token_end", "start", "end")
    numbers = (
        table[name].astype("Int64").to_numpy(np.int64, na_value=-1).tolist() for name in names
    )
    for question_id, sample_index, n, first, after, *characters in zip(
        table["question_id"], *numbers, strict=True
    ):
        row = (n, (first, after), tuple(characters))
        found.setdefault((question_id, sample_index), []).append(row)
    return found


def _answers(table: pd.DataFrame) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """Of each trace that states its answer in its text: its characters."""
    known = table.dropna(subset=["start", "end"])
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    columns = (known[name] for name in (*TRACE_KEY, "start", "end"))
    for question_id, sample_index, start, end in zip(*columns, strict=True):
        found.setdefault((question_id, int(sample_index)), []).append((int(start), int(end)))
    return found


# -- a user's spans --------------------------------------------------------------------------------

REQUIRED = ("question_id", "sample_index", "start", "end")
TAKEN = r"prompt_end|step_end|section_end|pre_answer|answer|mean|every\b.*"
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
