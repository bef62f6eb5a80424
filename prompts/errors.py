"""The one way in which a prompt can be wrong."""

from __future__ import annotations

__all__ = ["PromptError"]


class PromptError(ValueError):
    """A prompt or exemplar file that cannot be used; one line: where, what, and what to do."""
