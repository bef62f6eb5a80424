"""Which characters of a trace's text each generated token wrote.

Text is never tokenised again: the stored ids are decoded, one by one, and laid along the stored
text. A character that several byte-level tokens spell is shared by them; what the text leaves out
(special tokens, the stop string) gets an empty span.

    ids  " 5", " +", " 7", "<|im_end|>"   text " 5 + 7"   spans (0, 2) (2, 4) (4, 6) (6, 6)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

__all__ = ["char_to_token", "token_spans"]

REPLACEMENT = "\ufffd"
LONGEST_CHARACTER = 8
"""Most tokens that are tried as the parts of one character (UTF-8 has at most 4 bytes)."""
REACH = 32
"""Characters of text that may be skipped to find a token that isn't where it should be."""

_pieces: WeakKeyDictionary[Any, dict[int, str]] = WeakKeyDictionary()


def token_spans(tokenizer: Any, token_ids: Sequence[int], text: str) -> NDArray[np.int64]:
    """Character span of each generated token in the trace's raw text, in time linear in tokens.

    Args:
        tokenizer: a transformers tokenizer.
        token_ids: the generated ids as they were sampled, stop tokens included.
        text: the stored text; it may end before the stop string.

    Returns:
        Array [token, 2] of (start, end). Starts and ends never decrease.
    """
    anchor = tokenizer.encode("a", add_special_tokens=False)[-1:]
    known = _pieces.setdefault(tokenizer, {-1: tokenizer.decode(anchor)})
    special = set(tokenizer.all_special_ids)

    def decode(ids: Sequence[int]) -> str:
        whole = tokenizer.decode(
            [*anchor, *ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(whole)[len(known[-1]) :]  # after another token, a leading space is kept

    def piece(token: int) -> str:
        if token not in known:
            known[token] = "" if token in special else decode([token])
        return known[token]

    ids = np.asarray(token_ids, np.int64).tolist()
    starts: list[int] = []
    ends: list[int] = []
    here = 0
    while len(ends) < len(ids):
        at = len(ends)
        written, count = piece(ids[at]), 1
        if text.startswith(written, here):  # nearly always
            start, end = here, here + len(written)
        else:
            if REPLACEMENT in written:
                written, count = _character(decode, ids[at : at + LONGEST_CHARACTER], text, here)
            start, end = _place(written, text, here)
        starts += [start] * count
        ends += [end] * count
        here = end
    return np.array([starts, ends], np.int64).T.copy()


def char_to_token(spans: NDArray[np.int64], start: int, end: int) -> tuple[int, int]:
    """The tokens (first, one past the last) that wrote any of the characters `start` to `end`."""
    first = int(np.searchsorted(spans[:, 1], start, side="right"))
    return first, max(first, int(np.searchsorted(spans[:, 0], end, side="left")))


def _character(decode: Any, ids: list[int], text: str, here: int) -> tuple[str, int]:
    """What the fewest tokens write together that stands at `here`, and how many they are."""
    for count in range(2, len(ids) + 1):
        together = decode(ids[:count])
        if text.startswith(together, here):
            return together, count
    return "", 1


def _place(written: str, text: str, here: int) -> tuple[int, int]:
    """Where in the text a token's characters stand, at `here` or a little after."""
    if not written or here == len(text):
        return here, here
    if text.startswith(written, here):  # so is a character that several tokens spell
        return here, here + len(written)
    if written.startswith(text[here : here + len(written)]):  # the text ends inside the token
        return here, len(text)
    bare = written.lstrip()
    found = text.find(bare, here, here + REACH + len(bare)) if bare else -1
    return (here, here) if found < 0 else (found, found + len(bare))
