"""What a row's cell means: a text, a gold answer, choices, or a JSON value to keep.

>>> gold(51.0), gold("She makes 9 * 2 = 18.\\n#### 1,018")
('51', '1018')
>>> options(["A)36", "B)15"])
('36', '15')
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from cot.errors import InputError

__all__ = ["LETTERS", "choice", "gold", "options", "plain", "text", "worked"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def text(value: Any, place: str, column: str) -> str:
    """A question's text, which may not be empty."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{place}: column {column} must be a text that is not empty")
    return value.strip()


def gold(value: Any, place: str = "", column: str = "answer") -> str | None:
    """A gold answer as text: whole floats without `.0`, GSM8K's `#### 1,018` as 1018."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) or math.isfinite(value) else None
    if not isinstance(value, str):
        raise InputError(f"{place}: column {column} must be a text or a number")
    stated = worked(value)
    return (stated[1] if stated else value.strip()) or None


def worked(answer: str) -> tuple[str, str] | None:
    """(worked solution, final answer) of GSM8K's form `... #### 18`, or None.

    The final answer is the line that the last `####` marks, or the next line with text; what
    follows it (MetaMath restates it as `The answer is: 18`) is neither.

    GSM8K: Cobbe et al. 2021, arXiv 2110.14168; MetaMath: Yu et al. 2023, arXiv 2309.12284.
    """
    solution, mark, rest = answer.rpartition("####")
    if not mark:
        return None
    final = rest.lstrip().partition("\n")[0].strip()
    thousands = re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", final)
    return solution.strip(), final.replace(",", "") if thousands else final


def options(value: Any, place: str = "", column: str = "choices") -> tuple[str, ...] | None:
    """Texts of the choices, without letters: a list, a list in JSON, or `{"text": [...]}`."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise InputError(f'{place}: column {column} must be a list as in ["a", "b"]') from None
    if isinstance(value, dict):
        value = value.get("text")
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        raise InputError(f"{place}: column {column} must be a list of 2 to {len(LETTERS)} texts")
    texts = [str(gold(each, place, column) or "") for each in value]
    parts = [
        re.fullmatch(rf"\s*\(?{letter}[).:]\s*(.*)", each, re.DOTALL)
        for letter, each in zip(LETTERS, texts, strict=False)
    ]
    lettered = [part[1].strip() for part in parts if part]
    return tuple(lettered if len(lettered) == len(texts) else texts)


def choice(value: Any, choices: Sequence[str], labels: Any, place: str, column: str) -> str | None:
    """The letter of the gold choice.

    A gold answer may be a letter, an index from 0 (an integer), one of the dataset's own `labels`
    (as ARC's 1 to 4), or the choice's text. An integer that could be both an index and a text is
    an index, as in the datasets library's class labels.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices):
        return LETTERS[value]
    given = gold(value, place, column)
    if given is None:
        return None
    if isinstance(labels, list) and given in labels:
        return LETTERS[labels.index(given)]
    letter = re.fullmatch(r"\(?([A-Z])[).]?", given)
    if letter and letter[1] in LETTERS[: len(choices)]:
        return letter[1]
    if given in choices:
        return LETTERS[list(choices).index(given)]
    raise InputError(f"{place}: column {column} is {given!r}, which is none of the choices")


def plain(value: Any) -> Any:
    """The value as JSON can hold it: no NaN, and other kinds as text."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
