"""Which format a file has: by its suffix and its first records."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.importers.fields import listed
from cot.importers.jsonl import REQUIRED
from cot.importers.lines import parse
from cot.importers.record import BadRecordError
from cot.importers.wide import find_list

__all__ = ["detect"]

LOOKED_FOR = {
    "jsonl": "question_id, question, sample_index, text",
    "wide": "question_id, question and a list: samples, responses, completions, outputs or "
    "generations",
    "lm-eval": "doc_id and resps",
    "inspect": "a zip with samples/, or eval and samples",
    "openai-batch": "custom_id and response",
}
FIRST = 20
"""Lines that are looked at."""


def detect(path: Path) -> str:
    """The file's format.

    Raises:
        InputError: none fits; the message says what was looked for, and what the file has.
    """
    with open(path, "rb") as handle:
        head = handle.read(4096)
        handle.seek(0)
        if path.suffix == ".eval" or head.startswith(b"PK"):
            return "inspect"
        if head.lstrip().startswith(b"["):
            return _of_list(path, head)
        first = ""
        for number, line in enumerate(islice(handle, FIRST), start=1):
            try:
                fields = parse(line)
            except BadRecordError:
                continue
            if found := _match(fields):
                return found
            first = first or f"line {number} has {listed(fields.keys())}"
    if first:
        raise _unknown(path, first)
    if b'"version"' in head and b'"eval"' in head:
        return "inspect"
    return "jsonl"  # whose reader says what is wrong with the lines


def _of_list(path: Path, head: bytes) -> str:
    if b'"doc_id"' in head:
        return "lm-eval"
    raise _unknown(path, "the file is one JSON list")


def _match(fields: Mapping[str, Any]) -> str | None:
    if {"custom_id", "response"} <= fields.keys():
        return "openai-batch"
    if {"doc_id", "resps"} <= fields.keys():
        return "lm-eval"
    if {"eval", "version"} <= fields.keys():
        return "inspect"
    if "question" in fields and find_list(fields):
        return "wide"
    if len(fields.keys() & set(REQUIRED)) >= 3:
        return "jsonl"
    return None


def _unknown(path: Path, there: str) -> InputError:
    formats = "; ".join(f"{name} ({what})" for name, what in LOOKED_FOR.items())
    return InputError(f"{path}: unknown layout: {there}. Looked for: {formats}. See --format")
