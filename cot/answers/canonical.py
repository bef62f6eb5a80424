"""Canonical forms: two answers of one format are equal if and only if their forms are.

    >>> canonical("$1,234.50", "number")
    '2469/2'
    >>> canonical("50%", "number") == canonical("1/2", "number") == canonical("0.5", "number")
    True
    >>> canonical("(b)", "choice", ("12", "15"))
    'B'

Nothing is evaluated, and caps on length keep hostile input cheap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["FORMATS", "LETTERS", "NUMBER", "canonical", "canonical_gold", "read_number"]

FORMATS = ("number", "choice", "yesno", "text")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_TEXT = 500
"""Characters; a longer answer is not understood."""
MAX_DIGITS = 60
"""Digits, and most decimal exponent, of a number that is understood."""

_UNSIGNED = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
NUMBER = re.compile(
    rf"(?P<sign>(?<![\d.)])[-−–+]\s?)?(?P<currency>[$€£¥]\s?)?"
    rf"(?:(?P<whole>\d{{1,9}})\s+(?P<part>\d{{1,9}}/\d{{1,9}})(?![\d/])|"
    rf"(?P<over>{_UNSIGNED})(?:\s?/\s?(?P<under>\d+(?:\.\d+)?)(?![\d/])|[eE](?P<power>[-+]?\d+))?)"
    rf"(?P<percent>\s?\\?%)?"
)
"""One number as people write it: sign, currency, thousands, decimals, fraction, mixed number,
scientific notation, percent."""

YES = frozenset(("yes", "true"))
NO = frozenset(("no", "false"))


def canonical(text: str, format: str, choices: Sequence[str] | None = None) -> str | None:
    """The canonical form of an answer, or None where the text is not one of its format.

    Args:
        text: the answer alone, as `extract` finds it.
        format: one of FORMATS. `number` gives a reduced fraction ("3/4", "12"), with 50% = 1/2;
            `choice` a capital letter; `yesno` "yes" or "no" (true and false count); `text` the
            text in folded case without outer punctuation and repeated white space.
        choices: the options' texts, for `choice`.
    """
    if len(text) > MAX_TEXT:
        return None
    if format == "number":
        match = NUMBER.search(text)
        value = read_number(match) if match else None
        return None if value is None else str(value)
    if format == "choice":
        return _choice(text, choices or ())
    if format == "yesno":
        words = set(re.findall(r"[a-z]+", text.lower()))
        yes, no = bool(words & YES), bool(words & NO)
        return None if yes == no else ("yes" if yes else "no")
    if format == "text":
        return _fold(text) or None
    raise ValueError(f"unknown format {format!r}: choose from {', '.join(FORMATS)}")


def canonical_gold(gold: str, format: str, choices: Sequence[str] | None = None) -> str | None:
    """The canonical form of a reference answer; GSM8K's `#### 18` form is understood."""
    return canonical(gold.rpartition("####")[2].strip(), format, choices)


def read_number(match: re.Match[str]) -> Fraction | None:
    """The value of a match of NUMBER; None where it is too long, or divides by zero."""
    if len(match[0]) > 2 * MAX_DIGITS:
        return None
    try:
        if match["whole"]:
            value = int(match["whole"]) + Fraction(match["part"])
        else:
            value = Fraction(match["over"].replace(",", ""))
            if match["under"]:
                value /= Fraction(match["under"])
            if match["power"]:
                if len(match["power"]) > 4 or abs(int(match["power"])) > MAX_DIGITS:
                    return None
                value *= Fraction(10) ** int(match["power"])
    except ZeroDivisionError:
        return None
    if match["percent"]:
        value /= 100
    return value if (match["sign"] or "+").strip() == "+" else -value


def _choice(text: str, choices: Sequence[str]) -> str | None:
    letters = LETTERS[: len(choices)] if choices else LETTERS
    plain = text.strip().strip("*_`\"'. ")
    marked = re.match(r"[(\[]\s*([A-Za-z])\s*[)\]]|([A-Za-z])(?=\s*(?:[).:,]|$))", plain)
    if marked:
        letter = (marked[1] or marked[2]).upper()
        return letter if letter in letters else None
    named = [
        letter
        for letter, choice in zip(letters, choices, strict=False)
        if _fold(choice) == _fold(plain)
    ]
    if len(named) == 1:
        return named[0]
    bare = re.match(r"([A-Z])\s", plain)  # "B 12 apples"; checked after the options' own texts
    return bare[1] if bare and bare[1] in letters else None


def _fold(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'`*_()[]{}")
