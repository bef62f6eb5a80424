"""Hide the final answer before embedding; else clusters of reasoning only restate the answers.

Every occurrence of the stated answer is hidden, not just the statement: `5 + 7 = 12` gives it away
as plainly as `The answer is 12`, and so does `12.00`.

    >>> mask_answer("5 + 7 = 12.00. The answer is 12.", "12", 29, 31)
    '5 + 7 = [answer]. The answer is [answer].'
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

__all__ = ["MASK", "MASKED_NUMBER", "mask_answer", "mask_numbers", "mask_traces"]

MASK = "[answer]"
MASKED_NUMBER = "[number]"
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"


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
    text = re.sub(whole, MASK, text)
    if re.fullmatch(rf"[$€£]?\s?{NUMBER}", word):
        value = _value(word.lstrip("$€£ "))
        text = re.sub(
            rf"(?<![\w.,]){NUMBER}(?!\w|[.,]\d)",
            lambda found: MASK if _value(found[0]) == value else found[0],
            text,
        )
    return text


def mask_numbers(text: str) -> str:
    """The text with [number] for every number in digits."""
    return re.sub(r"\d+(?:[.,]\d+)*", MASKED_NUMBER, text)


def mask_traces(texts: Iterable[str], answers: pd.DataFrame, numbers: bool = False) -> list[str]:
    """Each text without the answer that its row of the answers table states.

    Args:
        texts: shape [trace].
        answers: text, start and end of each trace's answer, row for row.
        numbers: hide every number too.
    """
    stated = (answers[name] for name in ("text", "start", "end"))
    masked = [
        mask_answer(text, *(None if pd.isna(value) else value for value in row))
        for text, *row in zip(texts, *stated, strict=True)
    ]
    return [mask_numbers(text) for text in masked] if numbers else masked


def _value(number: str) -> float:
    return float(number.replace(",", ""))
