"""Hide the final answer before embedding; else clusters of reasoning only restate the answers.

Every occurrence of the stated answer is hidden, not just the statement: `5 + 7 = 12` gives it away
as plainly as `The answer is 12`.

    >>> mask_answer("5 + 7 = 12. The answer is 12.", "12", 26, 28)
    '5 + 7 = [answer]. The answer is [answer].'
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

__all__ = ["MASK", "mask_answer", "mask_traces"]

MASK = "[answer]"


def mask_answer(text: str, answer: str | None, start: int | None, end: int | None) -> str:
    """The text without its answer; unchanged where it states none.

    Args:
        answer: the stated answer, or None.
        start: first character of the statement, or None where its place is not known.
        end: one past its last character.
    """
    if not answer or not answer.strip():
        return text
    if start is not None and end is not None:
        text = text[:start] + MASK + text[end:]
    word = answer.strip()
    if not any(character.isdigit() for character in word) and len(word) < 4:
        return text  # "B" or "yes": other occurrences are ordinary words
    whole = rf"(?<![\w.,]){re.escape(word)}(?!\w|[.,]\d)"
    return re.sub(whole, MASK, text)


def mask_traces(texts: Iterable[str], answers: pd.DataFrame) -> list[str]:
    """Each text without the answer that its row of the answers table states."""
    stated = (answers[name] for name in ("text", "start", "end"))
    return [
        mask_answer(text, *(None if pd.isna(value) else value for value in row))
        for text, *row in zip(texts, *stated, strict=True)
    ]
