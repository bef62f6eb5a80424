"""What of many good samples is stored, in columns, and what must be compared between them.

A reader fills a `Batch`, which writes its traces as one shard and gives a `Summary`: small, so that
one process can hold those of a whole file and compare samples that stand far apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cot.importers.fields import Record, Rejected
from cot.store.shards import to_row, to_table, write_parquet
from cot.types import Message

__all__ = ["HAS", "Asked", "Batch", "Shared", "Summary"]

Asked = tuple[str, str, str | None, tuple[str, ...] | None, str]
"""A question's id, text, gold, choices and meta (JSON, or empty)."""
Shared = tuple[str, str | tuple[Message, ...], Sequence[int] | None]
"""A prompt's sha256, the prompt, and its token ids where the file gives them."""
HAS = ("finish reasons", "token ids", "log-probabilities", "prompts", "verdicts")
"""What a trace may have; bit n of a sample's flags is the n-th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is known of a batch whose traces are written."""

    shard: Path
    """Where they are."""
    questions: Sequence[Asked]
    """The questions that differ."""
    question_of: NDArray[np.int32]
    """Each sample's place in `questions`, [sample]."""
    prompts: Sequence[Shared]
    """The prompts that differ."""
    prompt_of: NDArray[np.int32]
    """Each sample's place in `prompts`; -1 where it has none, [sample]."""
    index: NDArray[np.int32]
    """Its sample_index, [sample]."""
    flags: NDArray[np.uint8]
    """What it has (see HAS), [sample]."""
    places: Sequence[Any] | NDArray[np.int64]
    """Where it stands in the file: a name, or a line counted in its block, [sample]."""
    notes: Sequence[tuple[int, str]]
    """(sample, what was left out of it)."""
    rejected: Sequence[tuple[int, Rejected]]
    """(good samples before it, what was left out)."""
    n_lines: int = 0
    """Lines that were read, where the batch is a block of lines."""


@dataclass(slots=True)
class Distinct:
    """Values that differ, and which of them each sample has."""

    values: list[Any] = field(default_factory=list)
    """Each once, as they came."""
    of: list[int] = field(default_factory=list)
    """Each sample's place in `values`; -1 for none."""
    _places: dict[Any, int] = field(default_factory=dict)

    def add(self, contents: Any, value: Any) -> None:
        """Note a sample's value, which its contents tell from others."""
        place = self._places.get(contents)
        if place is None:
            place = self._places[contents] = len(self.values)
            self.values.append(value)
        self.of.append(place)


@dataclass(slots=True)
class Batch:
    """Good samples, as they are read."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """Values in the order of TRACE_SCHEMA."""
    questions: Distinct = field(default_factory=Distinct)
    """Their questions (see Asked)."""
    prompts: Distinct = field(default_factory=Distinct)
    """Their prompts (see Shared), by sha256 and token ids."""
    places: list[Any] = field(default_factory=list)
    """Where each stands in the file."""
    flags: list[int] = field(default_factory=list)
    """What each has."""
    notes: list[tuple[int, str]] = field(default_factory=list)
    """(sample, what was left out of it)."""
    rejected: list[tuple[int, Rejected]] = field(default_factory=list)
    """(good samples before it, what was left out)."""
    size: int = 0
    """Characters, token ids and log-probabilities of the records that were added."""

    def add(self, record: Record | Rejected, place: int | None = None) -> None:
        """Add a sample, or what is left out; a line's number may stand for the record's place."""
        if isinstance(record, Rejected):
            self.rejected.append((len(self.rows), record))
            return
        trace, asked = record.trace, record.question
        completion = trace.completion
        meta = json.dumps(asked.meta, sort_keys=True) if asked.meta else ""
        contents = (asked.id, asked.text, asked.gold, asked.choices, meta)
        self.questions.add(contents, contents)
        if trace.prompt_sha is None or record.prompt is None:
            self.prompts.of.append(-1)
        else:
            sha, ids = trace.prompt_sha, record.prompt_ids
            self.prompts.add((sha, ids), (sha, record.prompt, ids))
        self.notes += [(len(self.rows), note) for note in record.notes]
        has = (
            record.ended is not None,
            completion.token_ids is not None,
            completion.logprobs is not None,
            trace.prompt_sha is not None,
            trace.meta.get("correct") is not None,
        )
        self.flags.append(sum(known << n for n, known in enumerate(has)))
        self.places.append(record.place if place is None else place)
        self.rows.append(to_row(trace))
        lists = (completion.token_ids, completion.logprobs)
        self.size += len(completion.text) + sum(len(each) for each in lists if each is not None)

    def write(self, shard: Path, n_lines: int | None = None) -> Summary:
        """Write the traces; what is left to be compared.

        Args:
            n_lines: how many lines were read, where the places are lines' numbers.
        """
        table = to_table(self.rows)
        write_parquet(table, shard)
        return Summary(
            shard=shard,
            questions=self.questions.values,
            question_of=np.array(self.questions.of, dtype=np.int32),
            prompts=self.prompts.values,
            prompt_of=np.array(self.prompts.of, dtype=np.int32),
            index=table["sample_index"].to_numpy(),
            flags=np.array(self.flags, dtype=np.uint8),
            places=self.places if n_lines is None else np.array(self.places, dtype=np.int64),
            notes=self.notes,
            rejected=self.rejected,
            n_lines=n_lines or 0,
        )
