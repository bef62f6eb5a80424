"""Logs of Inspect (inspect.aisi.org.uk): `.eval`, a zip of one JSON a sample, and `.json`.

    samples/q1_epoch_2.json: {"id": "q1", "epoch": 2, "input": "5 + 7?", "target": "12",
        "messages": [...], "output": {"model": "...", "choices": [{"stop_reason": "stop",
            "message": {"role": "assistant", "content": "The answer is 12."}}]},
        "scores": {"match": {"value": "C", "answer": "12"}}, "metadata": {}}

Epochs are samples: epoch 1 is `sample_index` 0. The prompt is what stands before the model's last
message; the text is `output`'s first choice, which Inspect scores. Of several targets, any of which
counts as right, the first is gold and all are `targets` in the question's meta; with choices all of
them must be chosen (scorer/_choice.py), which no single letter says, so that there is no gold. What
each scorer says stands under `scores` in the trace's meta, without its explanation, which repeats
the text. A sample that failed is rejected; one that hit a limit of its own is `length`. Follows
inspect_ai 0.3.285 (`EvalSample` in log/_log.py, log version 2), and is read without it.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cot.errors import InputError
from cot.importers import chat
from cot.importers import fields as check
from cot.importers.fields import BadRecordError, Record, Rejected
from cot.importers.lines import parse
from cot.types import Message, Question

__all__ = ["read_inspect"]


def read_inspect(path: Path) -> Iterator[Record | Rejected]:
    """Each sample, checked; a `.eval` log is read one sample at a time.

    Raises:
        InputError: the file is neither kind of log.
    """
    with open(path, "rb") as handle:
        packed = handle.read(2) == b"PK"
    for place, read in _packed(path) if packed else _whole(path):
        try:
            sample = read()
            if not isinstance(sample, dict):
                raise BadRecordError("not a JSON object")
            yield _record(place, sample)
        except BadRecordError as error:
            yield Rejected(place=place, reason=str(error))


def _packed(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with open(path, "rb") as handle, zipfile.ZipFile(handle) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}  # the last counts
            samples = [name for name in entries if re.match(r"samples/.+\.json\Z", name, re.DOTALL)]
            if not samples:
                raise InputError(f"{path}: no Inspect log with samples: it has no samples/ in it")
            for name in samples:
                yield (
                    name,
                    lambda name=name: parse(read_entry(archive, handle, entries[name]), nan=None),
                )
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: not a zip that can be read: {error}") from None


def _whole(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        log = parse(path.read_bytes(), nan=None)
    except BadRecordError as error:
        raise InputError(f"{path}: no Inspect log: {error}") from None
    samples = log.get("samples")
    if not isinstance(samples, list):
        there = check.listed(log.keys())
        raise InputError(f"{path}: no Inspect log with samples; it has: {there}")
    for number, sample in enumerate(samples):
        yield f"samples[{number}]", lambda sample=sample: sample


def _record(place: str, sample: Mapping[str, Any]) -> Record:
    missing = [name for name in ("id", "epoch", "input", "output") if name not in sample]
    if missing:
        there = check.listed(sample.keys())
        raise BadRecordError(f"no field {', '.join(missing)}; the sample has: {there}")
    if error := sample.get("error"):
        message = error.get("message") if isinstance(error, dict) else error
        raise BadRecordError(f"the sample failed: {message!r}")
    output, epoch = sample["output"], sample["epoch"]
    choices = output.get("choices") if isinstance(output, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadRecordError("output has no choices: the model said nothing")
    if not check.is_int(epoch) or epoch < 1:
        raise BadRecordError(f"epoch is {epoch!r}: a whole number from 1")
    choice = choices[0]
    notes = ["choices after the first, which is the one that Inspect scores"] * (len(choices) > 1)
    question = _question(sample, notes)
    completion = chat.completion(
        chat.reply(choice.get("message")),
        choice.get("stop_reason"),
        choice.get("logprobs"),
        notes,
        cut=bool(sample.get("limit")),
    )
    return check.make_record(
        place=place,
        question=question,
        index=check.sample_index(epoch - 1),
        prompt=_prompt(sample.get("messages")),
        completion=completion,
        meta=_meta(sample, choice),
        ended=choice.get("stop_reason"),
        notes=notes,
    )


def _question(sample: Mapping[str, Any], notes: list[str]) -> Question:
    asked = sample["input"]
    if not isinstance(asked, str):
        if not isinstance(asked, list):
            raise BadRecordError("input is neither a string nor a list of messages")
        asked = chat.last_user(asked)
    target, choices = sample.get("target"), check.choices(sample.get("choices"))
    gold, several = check.targets(target)
    if several and choices:
        notes.append("gold answers of several choices, all of which must be chosen")
        gold, several = None, {"chosen": several["targets"]}
    return Question(
        id=check.identifier(sample, "id"),
        text=asked,
        gold=gold or None,
        choices=choices,
        dataset="imported",
        meta=several,
    )


def _prompt(messages: Any) -> tuple[Message, ...] | None:
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        return None
    replies = [number for number, each in enumerate(messages) if each.get("role") == "assistant"]
    return chat.plain_prompt(messages[: replies[-1]]) if replies else None


def _meta(sample: Mapping[str, Any], choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Scores without their explanations, which repeat the text; the sample's own metadata."""
    scores = sample.get("scores")
    kept = {
        "scores": {
            name: {part: score[part] for part in ("value", "answer") if part in score}
            for name, score in (scores.items() if isinstance(scores, dict) else ())
            if isinstance(score, dict)
        },
        "metadata": sample.get("metadata"),
        "model": sample["output"].get("model"),
        "stop_reason": choice.get("stop_reason"),
        "limit": sample.get("limit"),
    }
    return {name: value for name, value in kept.items() if value}


ZSTD = 93
"""Inspect packs entries with zstd where it can (PKWARE's APPNOTE 6.3.10, 4.4.5); Python's zipfile
reads that itself only from 3.14."""
LARGEST = 2**30
"""Bytes that an entry may hold when unpacked."""


def read_entry(archive: zipfile.ZipFile, handle: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes, or BadRecordError.

    Args:
        archive: the open zip.
        handle: the file it was opened on.
        entry: one of its entries.
    """
    if entry.flag_bits & 1:
        raise BadRecordError("it is encrypted")
    if entry.file_size > LARGEST:
        raise BadRecordError(f"it holds {entry.file_size} bytes; at most {LARGEST} are read")
    try:
        if entry.compress_type != ZSTD:
            return archive.read(entry)
        return _zstd(handle, entry)
    except NotImplementedError:
        raise BadRecordError(f"it is packed by method {entry.compress_type}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error) as error:
        raise BadRecordError(f"it cannot be unpacked: {error}") from None


def _zstd(handle: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    import pyarrow as pa

    handle.seek(entry.header_offset)
    name, extra = struct.unpack("<26xHH", handle.read(30))
    handle.seek(name + extra, 1)
    packed = handle.read(entry.compress_size)
    content: bytes = pa.Codec("zstd").decompress(packed, entry.file_size, asbytes=True)
    if zlib.crc32(content) != entry.CRC:
        raise zipfile.BadZipFile("its checksum is wrong")
    return content
