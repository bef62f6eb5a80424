"""Numbers and hostile text as people should see them.

>>> percent(0.4833), interval(0.401, 0.57, percent), visible("\\x1b[31mred")
('48.3%', '40.1% to 57.0%', '\\\\x1b[31mred')
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

__all__ = [
    "chance",
    "count",
    "decimal",
    "flag",
    "interval",
    "number",
    "percent",
    "points",
    "shorten",
    "text",
    "visible",
]

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tab and newline, and those that reorder what is on the screen."""


def visible(text: str) -> str:
    """Text in which control characters are shown as codes instead of obeyed."""
    return UNSAFE.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shorten(text: str, length: int) -> str:
    """Text on one line, cut to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def number(value: Any) -> float | None:
    """A float, or None for null, NaN and infinity, which JSON and a reader can't use."""
    if _missing(value):
        return None
    converted = float(value)
    return converted if math.isfinite(converted) else None


def text(value: Any) -> str | None:
    """A string, or None for null."""
    return None if _missing(value) else str(value)


def flag(value: Any) -> bool | None:
    """True or False, or None for null."""
    return None if _missing(value) else bool(value)


def count(value: Any) -> int | None:
    """An integer, or None for null."""
    return None if _missing(value) else int(value)


def _missing(value: Any) -> bool:
    """None, NaN or pandas' NA."""
    if value is None:
        return True
    import pandas as pd

    return bool(pd.isna(value))


def percent(value: float | None) -> str:
    """0.4833 as 48.3%."""
    return "–" if value is None else f"{_signed(100 * value, 1)}%"


def points(value: float | None) -> str:
    """A difference of shares in percentage points."""
    return "–" if value is None else _signed(100 * value, 1)


def decimal(value: float | None) -> str:
    """Two decimals."""
    return "–" if value is None else _signed(value, 2)


def chance(p: float | None) -> str:
    """A p-value with its sign."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def interval(low: float | None, high: float | None, show: Callable[[float | None], str]) -> str:
    """Both ends, or a dash where there is no interval."""
    return "–" if low is None or high is None else f"{show(low)} to {show(high)}"


def _signed(value: float, digits: int) -> str:
    """A real minus sign, and no minus before zero."""
    text = f"{value:,.{digits}f}"
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return text.replace("-", "\N{MINUS SIGN}")
