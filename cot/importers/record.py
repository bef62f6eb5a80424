"""What a reader yields for each line: a record, or why the line was rejected."""

from __future__ import annotations

from dataclasses import dataclass

from cot.types import Message, Question, Trace

__all__ = ["Record", "Rejected"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One good line."""

    line: int
    """Line number, from 1."""
    question: Question
    """The question that it answers."""
    trace: Trace
    """The trace."""
    prompt: str | tuple[Message, ...] | None
    """The prompt, where the line gives it."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """One bad line."""

    line: int
    """Line number, from 1."""
    reason: str
    """What is wrong with which field."""
