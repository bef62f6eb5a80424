"""What a format's reader finds in a text that states no answer."""

from __future__ import annotations

from typing import Protocol

from cot.answers.marks import Span

__all__ = ["TAIL", "Found", "Reader"]

Found = tuple[str, Span | None]
"""A pattern's name, and where the answer stands; None where it can't be read as one."""
TAIL = 4_000
"""Characters before the end that are looked at."""


class Reader(Protocol):
    """A module that reads the answers of one format."""

    def in_statement(self, text: str, begin: int, end: int) -> Span | None:
        """Where the answer stands in a sentence that states it."""

    def unstated(self, text: str, begin: int, end: int) -> Found | None:
        """What a text answers that states nothing."""
