"""Text of a completion, token by token, and the stop string that ends it.

A token alone is often no text: one character may take several byte-level tokens, and a word's
leading space depends on what stands before it. So a token is decoded together with the last piece
of text, and is text once the pieces end in a whole character. Work per token doesn't grow with
the completion.

    tokens " caf", byte c3, byte a9, "Q", ":"  with stop "Q:"   ->   " caf" "" "é" "Q" stop; " café"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["TextStream"]

CONTEXT = 8
"""Prompt tokens decoded before the first token, for its leading space."""
PENDING = 8
"""Tokens held back for an incomplete character; no character takes more."""


class TextStream:
    """Grows a completion's text and says when a stop string is complete."""

    def __init__(self, tokenizer: Any, prompt_ids: Sequence[int], stop: Sequence[str]) -> None:
        self._decode = tokenizer.decode
        self._stop = tuple(filter(None, stop))
        self._reach = max(map(len, self._stop), default=1) - 1
        self._ids = list(prompt_ids[-CONTEXT:])
        self._before = self._spell(self._ids)
        self._n_before = len(self._ids)
        self._parts: list[str] = []
        self._length = 0
        self._tail = ""

    def push(self, token: int) -> bool:
        """Add a token; True if it completes a stop string, which the text then ends before."""
        self._ids.append(token)
        spelled = self._spell(self._ids)
        if not spelled.startswith(self._before):  # the decoder rewrote what it had: start afresh
            self._ids, self._before, self._n_before = [token], "", 0
            spelled = self._spell(self._ids)
        if spelled.endswith("\ufffd") and len(self._ids) - self._n_before < PENDING:
            return False
        new = spelled[len(self._before) :]
        if not new:
            return False
        del self._ids[: self._n_before]
        self._before, self._n_before = self._spell(self._ids), len(self._ids)
        return self._append(new)

    @property
    def text(self) -> str:
        """The text so far, without an incomplete last character."""
        return "".join(self._parts)

    def _append(self, new: str) -> bool:
        """Add text; look for stop strings where they could end in it, the first to end wins."""
        self._parts.append(new)
        self._length += len(new)
        window = self._tail + new
        ends = [
            (at + len(stop), at)
            for stop in self._stop
            if (at := window.find(stop, max(0, len(self._tail) - len(stop) + 1))) >= 0
        ]
        if ends:
            start = self._length - len(window) + min(ends)[1]
            self._parts = [self.text[:start]]
            return True
        self._tail = window[len(window) - self._reach :] if self._reach < len(window) else window
        return False

    def _spell(self, ids: list[int]) -> str:
        return str(self._decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
