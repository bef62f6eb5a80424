r"""What a FORMAT may be: one of five names, or a user's regular expression.

>>> check_format(r"Result:\s*(\S+)")
>>> find_last(r"Result:\s*(\S+)", "Result: 3, no. Result: 4", 0, 24)
(20, 24) (20, 24)
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from typing import Any

from cot.errors import InputError

__all__ = ["FORMATS", "MATCH_SECONDS", "check_format", "find_last"]

FORMATS = ("number", "choice", "yesno", "text", "latex")
MATCH_SECONDS = 0.5
"""Most time that a user's expression may take on one trace."""


def check_format(format: str) -> None:
    """Do nothing if a format is known or is a regular expression.

    Raises:
        InputError: a word that is no format's name, or an expression that does not compile.
    """
    if format not in FORMATS:
        _compile(format)


def find_last(format: str, text: str, begin: int, end: int) -> tuple[int, int] | None:
    """Where the answer of an expression's last match stands, or None where nothing matches.

    The answer is the group named `answer`, else group 1, else the whole match.

    Raises:
        TimeoutError: matching takes more than MATCH_SECONDS, as some expressions do on some texts.
        InputError: as `check_format`.
    """
    pattern = _compile(format)
    group = "answer" if "answer" in pattern.groupindex else min(pattern.groups, 1)
    last = None
    for match in pattern.finditer(text, begin, end, timeout=MATCH_SECONDS):
        if match.start(group) >= 0:
            last = match.span(group)
    return last


@lru_cache(maxsize=64)
def _compile(format: str) -> Any:
    import regex

    known = f"choose from {', '.join(('auto', *FORMATS))}, or give a regular expression"
    if not re.search(r"[\\.^$*+?{}\[\]|()]", format):
        close = difflib.get_close_matches(format, FORMATS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"unknown format {format!r}{hint}: {known}")
    try:
        return regex.compile(format)
    except regex.error as error:
        raise InputError(f"format {format!r} is no regular expression ({error}): {known}") from None
