"""Blocks of JSON lines of single traces, read over several processes.

A line of plain fields (see `cot.importers.jsonl`) is checked here, without the objects that carry
other formats. It is taken only where nothing can be wrong with it; any other line goes to
`trace_record`, which finds the same in it or says what is wrong. `tests/importers/test_trace_lines`
holds the two against each other.

msgspec reads what Python's json module reads, a third as long; what it refuses (NaN, half of a
surrogate pair, a byte order mark) is json's to read.
"""

from __future__ import annotations

import codecs
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cot.importers import fields as check
from cot.importers.batches import Batch, Summary
from cot.importers.fields import BadRecordError, Rejected
from cot.importers.jsonl import KNOWN, prompt_of, trace_record
from cot.importers.lines import parse
from cot.processes import spread
from cot.store.shards import row_digest

__all__ = ["is_lines", "read_blocks"]

BLOCK = 8 << 20
"""Bytes that a process reads at a time."""
DECODE = msgspec.json.Decoder().decode
ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
OPTIONAL = KNOWN - {"question_id", "question", "sample_index", "text", "gold", "finish_reason"}
"""Fields that most lines don't have, beside those that stay in meta."""
INT64 = 2**63
REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises on a line; json may yet read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A part of a file that begins and ends with whole lines."""

    path: Path
    """The file."""
    start: int
    """Its first byte."""
    stop: int
    """One past its last byte."""
    shard: Path
    """Where its traces are written."""


def is_lines(path: Path) -> bool:
    """Whether a file is JSON lines, and not one JSON list or a Parquet table."""
    with open(path, "rb") as handle:
        head = handle.read(1024).removeprefix(codecs.BOM_UTF8)
    return not head.startswith(b"PAR1") and not head.lstrip().startswith(b"[")


def read_blocks(path: Path, folder: Path) -> Iterator[Summary]:
    """The samples of a file of JSON lines, block by block, in its order.

    Args:
        folder: where each block's traces are written, as a shard.
    """
    line, blocks = 1, _blocks(path, folder)
    for block in spread(_read_block, blocks, len(blocks)):
        yield replace(
            block,
            places=np.asarray(block.places) + line,
            rejected=[
                (before, replace(bad, place=str(line + int(bad.place))))
                for before, bad in block.rejected
            ],
        )
        line += block.n_lines


def _blocks(path: Path, folder: Path) -> list[_Block]:
    """The file in blocks of about BLOCK bytes."""
    starts, size = [0], path.stat().st_size
    with open(path, "rb") as handle:
        while starts[-1] + BLOCK < size:
            handle.seek(starts[-1] + BLOCK)
            handle.readline()  # a line that is longer than a block makes the block longer
            starts.append(handle.tell())
    stops = [*starts[1:], size]
    return [
        _Block(path=path, start=start, stop=stop, shard=folder / f"part-{number:06d}.parquet")
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
        if start < stop or not number
    ]


def _read_block(block: _Block) -> Summary:
    """Check a block's lines and write their traces. Places are counted from 0 in the block."""
    with open(block.path, "rb") as handle:
        handle.seek(block.start)
        lines = handle.read(block.stop - block.start).split(b"\n")
    last = lines.pop()  # what follows the last line's end
    if last:
        lines.append(last)
    batch = Batch()
    with _uncollected():
        for number, line in enumerate(lines):
            try:
                fields = DECODE(line)
            except REFUSED:
                fields = None
            if type(fields) is not dict or not _add_plain(batch, number, fields):
                end = b"" if last and number == len(lines) - 1 else b"\n"
                _add_careful(batch, number, line + end)
        return batch.write(block.shard, len(lines))


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: the rows of a block hold no cycles, and a tenth of its time would go
    into looking for some."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _add_careful(batch: Batch, number: int, line: bytes) -> None:
    if not line.strip():
        return
    try:
        batch.add(trace_record(str(number), parse(line)), number)
    except BadRecordError as error:
        batch.add(Rejected(place=str(number), reason=str(error)))


def _add_plain(batch: Batch, number: int, fields: dict[str, Any]) -> bool:
    """Add the trace of a line if it is surely good; what is left of `fields` then is its meta."""
    try:
        name, asked = fields.pop("question_id"), fields.pop("question")
        index, text = fields.pop("sample_index"), fields.pop("text")
    except KeyError:
        return False
    gold, reason = fields.pop("gold", None), fields.pop("finish_reason", None)
    finish = "stop" if reason is None else check.FINISH.get(reason) if type(reason) is str else None
    if type(name) is int:
        name = str(name)
    if not (
        type(name) is type(asked) is type(text) is str
        and type(index) is int
        and 0 <= index < check.INT32
        and finish
        and type(gold) is not list
    ):
        return False
    choices = prompt = sha = seed = ids = logprobs = None
    flags, meta = int(reason is not None), "{}"
    if fields or type(gold) is not str:
        try:
            gold = check.gold(gold)
            if not OPTIONAL.isdisjoint(fields):
                if _reasons(fields):
                    return False
                choices = check.choices(fields.pop("choices", None))
                prompt = prompt_of(fields.pop("prompt", None))
                seed = fields.pop("seed", None)
                ids, logprobs = fields.pop("token_ids", None), fields.pop("logprobs", None)
                if not (_is_seed(seed) and _are_ids(ids) and _are_logprobs(logprobs, ids)):
                    return False
            check.check_verdict(fields)
        except BadRecordError:
            return False
        if any(type(value) in (dict, list) for value in fields.values()) and not check.is_shallow(
            fields, check.DEPTH - 1
        ):
            return False
        if logprobs is not None:
            logprobs = np.asarray(logprobs, dtype=np.float32).astype(float).tolist()
        flags |= (ids is not None) << 1 | (logprobs is not None) << 2 | (prompt is not None) << 3
        flags |= (fields.get("correct") is not None) << 4
    if reason not in (None, "stop", "length"):
        fields["finish_reason"] = reason
    if fields:
        meta = ENCODE(fields)
    if prompt is None:
        batch.prompts.of.append(-1)
    else:
        sha = check.prompt_sha(prompt)
        batch.prompts.add((sha, None), (sha, prompt, None))
    question = (name, asked, gold, choices, "")
    batch.questions.add(question, question)
    row = (name, index, "", seed, sha, text, ids, logprobs, None, None, finish, meta)
    batch.rows.append((*row, row_digest(row)))
    batch.places.append(number)
    batch.flags.append(flags)
    return True


def _reasons(fields: dict[str, Any]) -> bool:
    """Whether there is reasoning apart from the text; empty fields of it are taken off."""
    given = (fields.pop("reasoning", None), fields.pop("reasoning_content", None))
    return any(not (value is None or value == "") for value in given)


def _is_seed(seed: Any) -> bool:
    return seed is None or (type(seed) is int and -INT64 <= seed < INT64)


def _are_ids(ids: Any) -> bool:
    if ids is None or ids == []:
        return True
    return (
        type(ids) is list
        and set(map(type, ids)) == {int}
        and min(ids) >= 0
        and max(ids) < check.INT32
    )


def _are_logprobs(logprobs: Any, ids: list[int] | None) -> bool:
    if logprobs is None:
        return True
    if type(logprobs) is not list or (ids is not None and len(ids) != len(logprobs)):
        return False
    return not logprobs or (
        set(map(type, logprobs)) <= {int, float}
        and max(logprobs) <= check.ABOVE
        and min(logprobs) >= check.BELOW
        and check.UNKNOWN not in logprobs
    )
