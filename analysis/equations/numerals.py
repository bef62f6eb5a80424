"""Numbers as they are written: mixed, vulgar, repeating, in a base, with powers of ten.

>>> from analysis.equations.token_patterns import TOKEN
>>> number, end = read_numeral(TOKEN.match("2 1/4 cups"))
>>> str(number.value), end
('9/4', 5)
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from analysis.equations.expressions import Number
from analysis.equations.token_patterns import SCALES

__all__ = ["MAX_CHARACTERS", "read_numeral"]

MAX_CHARACTERS = 120
"""A longer number has no value."""
MAX_POWER = 60
"""Most decimal exponent of a number that has a value."""


def read_numeral(match: re.Match[str]) -> tuple[Number, int]:
    """A number with all that may belong to it, and the place after it."""
    stated, end = match.groupdict(), match.end()
    amount = stated["amount"] or ""
    if not amount.isdecimal():
        amount = re.sub(r"[^\d.]", "", amount)
    if end - match.start() > MAX_CHARACTERS:
        return Number(value=None), end
    top, _, bottom = (stated["part"] or "").partition("/")
    if top and (not int(top) < int(bottom) or "." in amount):  # 5 12/4: no mixed number
        end, top, stated = match.start("part") - 1, "", dict.fromkeys(stated)
    elif stated["cut"] and "." not in amount:
        end = match.start("cut")
        stated |= dict.fromkeys(("cut", "scale", "percent"))
    whole, _, decimals = amount.partition(".")
    places: int | None = len(decimals)
    value = Fraction(int(whole + decimals or 0), 10 ** len(decimals))
    known = len(amount) < 2 or amount[0] != "0" or amount[1] == "."  # 0130 is a time
    vulgar, base = stated["vulgar"] or stated["only"], stated["base"] or stated["lowered"]
    if top or vulgar:
        value += Fraction(int(top or 0), int(bottom or 1))
        value += Fraction(unicodedata.normalize("NFKC", vulgar or "0").replace("⁄", "/"))
        places = None
    if base:
        digits = _in_base(amount, int(unicodedata.normalize("NFKC", base)))
        value, known = digits or Fraction(0), digits is not None
    elif stated["repeat"]:
        repeat = stated["repeat"]
        value += Fraction(int(repeat), (10 ** len(repeat) - 1) * 10 ** (places or 0))
        places, known = None, "." in match[0].partition("\\")[0]
    scale: Fraction | int = SCALES[stated["scale"].strip().lower()] if stated["scale"] else 1
    if stated["power"]:
        known = known and abs(int(stated["power"])) <= MAX_POWER
        scale = scale * Fraction(10) ** (int(stated["power"]) if known else 0)
    percent = bool(stated["percent"])
    if scale != 1:  # sums and products of fractions cost more than all the rest
        value *= scale
    if percent:
        value /= 100
    number = Number(
        value=value if known else None,
        places=places,
        percent=percent,
        scale=scale,
        cut=bool(stated["cut"]),
    )
    return number, end


def _in_base(digits: str, base: int) -> Fraction | None:
    """The value of digits in a base, as 101 in base 2."""
    try:
        return Fraction(int(digits, base)) if 2 <= base <= 36 else None
    except ValueError:
        return None
