"""What a reader yields for each sample: a record, or why the sample or its line was rejected."""

from __future__ import annotations

from dataclasses import dataclass

from cot.types import Message, Question, Trace

__all__ = ["BadRecordError", "Record", "Rejected"]


class BadRecordError(ValueError):
    """Why a line or a sample of it is rejected."""


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """One bad line, or one bad sample of a line that holds several."""

    place: str
    """Where it stands in the file: a line number from 1, or the name of an entry."""
    reason: str
    """What is wrong with which field."""
