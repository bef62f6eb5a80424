"""What a reader yields for each sample: a record, or why the sample or its line was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cot.types import Message, Question, Trace

__all__ = ["BadRecordError", "Record", "Rejected"]


class BadRecordError(ValueError):
    """Why a line or a sample of it is rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One good sample."""

    place: str
    """Where it stands in the file: a line number from 1, or the name of an entry."""
    question: Question
    """The question that it answers."""
    trace: Trace
    """The trace."""
    prompt: str | tuple[Message, ...] | None
    """The prompt, where the file gives it."""
    prompt_ids: tuple[int, ...] | None = None
    """The prompt's token ids, where the file gives them."""
    ended: Any = None
    """Why it ended, as the file writes it; None where the file doesn't say."""
    notes: tuple[str, ...] = ()
    """What was left out of the sample and is counted by its wording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One bad line, or one bad sample of a line that holds several."""

    place: str
    """Where it stands in the file: a line number from 1, or the name of an entry."""
    reason: str
    """What is wrong with which field."""
