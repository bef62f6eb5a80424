r"""Numbers as people and models write them, read exactly.

>>> str(read_number(find_number("about $1,234.50 a year")))
'2469/2'
>>> str(read_number(find_number(r"2\frac{1}{2} cups")))
'5/2'
>>> find_number("10 - 3") is None    # not evaluated
True
>>> read_words("one hundred and five")
105

Nothing is evaluated, and caps on length keep hostile input cheap.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import cache

__all__ = ["NUMBER", "WORDS", "find_number", "is_part", "read_number", "read_words"]

MAX_DIGITS = 60
"""Digits, and most decimal exponent, of a number that is understood."""

_THOUSANDS = "(?:,|\\{,\\}|\\\\,|[ \u00a0\u2009\u202f])"
_UNSIGNED = rf"(?:\d{{1,3}}(?:{_THOUSANDS}\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_FRAC = (
    r"\\[dtc]?frac\s*(?P<top>\d|\{\s*[-−]?\s*\d+(?:\.\d+)?\s*\})"
    r"\s*(?P<bottom>\d|\{\s*\d+(?:\.\d+)?\s*\})"
)
_VULGAR = "[¼-¾⅐-⅞]"
_TIMES_TEN = (
    r"\s?(?:[xX×*·]|\\times|\\cdot)\s?10"
    r"(?:\s?(?:\^|\*\*)\s?(?:(?P<tens>[-−+]?\d+)|\{\s*(?P<braced>[-−+]?\d+)\s*\})|"
    r"(?P<raised>[⁻⁺]?[⁰¹²³⁴-⁹]+))"
)
NUMBER = re.compile(
    r"(?P<sign>(?<![\d.)}])(?<![\d.)}]\s)[-−–+]\s?|\bnegative\s)?(?P<currency>\\?[$€£¥]\s?)?"
    rf"(?:(?P<whole>\d{{1,9}})(?:\s+(?P<part>\d{{1,9}}/\d{{1,9}})(?![\d/])|\s?{_FRAC}|"
    rf"\s?(?P<vulgar>{_VULGAR}))|"
    rf"(?P<over>{_UNSIGNED})"
    rf"(?:\s?/\s?(?P<under>\d+(?:\.\d+)?)(?![\d/])|[eE](?P<power>[-+]?\d+)|{_TIMES_TEN})?|"
    rf"{_FRAC.replace('top', 'upper').replace('bottom', 'lower')}|(?P<only>{_VULGAR}))"
    r"(?P<scale>\s(?:hundred|thousand|million|billion|trillion)\b)?"
    r"(?P<percent>\s?(?:\\?%|per\s?cent\b))?"
)
"""One number: sign, currency, thousands, decimals, fraction, mixed number, scientific notation,
scale, percent; in LaTeX too."""

GOES_ON = re.compile(
    r"\*\*\d|\s*[-−–+*/×÷^]\s*\\?\$?\d|\s?x\s?\d|[:,]\d|\s?\^(?!\{?\\circ)|"
    r"\s*\\(?:[dtc]?frac|sqrt|pi|times|cdot|div|pm)\b|\s+and\s+(?:an?|one)\s+(?:half|third|quarter)|"
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+\\d"
)
"""What follows a number that is only a part: of a calculation, a ratio, a list, a date."""
INSIDE = re.compile(r"(?:\\sqrt\s?(?:\[\d\])?\{?|[_^]\{?)$")
"""What stands before a number that is only a part."""

SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6}
SCALES |= {"billion": 10**9, "trillion": 10**12}
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORD = "|".join(sorted([*ONES, *TENS], key=len, reverse=True))
WORDS = re.compile(
    rf"\b(?:(?:minus|negative)\s)?(?:an?\s(?=hundred|thousand))?(?:{_WORD}|hundred|thousand)"
    rf"(?:(?:\s?-\s?|\s(?:and\s)?)(?:{_WORD}|hundred|thousand)){{0,9}}\b"
    r"(?!\s+(?:and\s+an?|point|dozen|million|billion|percent|per\s+cent)\b|"
    r"[-\s]+(?:half|halves|thirds?|quarters?|[a-z]{3,7}ths?)\b)",
    re.I,
)
"""A whole number in words, below a million."""


def find_number(text: str, begin: int = 0, end: int | None = None) -> re.Match[str] | None:
    """The first number in a text, or None where there is none or it is part of something else."""
    match = NUMBER.search(text, begin, len(text) if end is None else end)
    return None if match is None or is_part(match) else match


def is_part(match: re.Match[str]) -> bool:
    """Whether a match of NUMBER is only a part: of a calculation, a root, a ratio, a date."""
    text, begin = match.string, match.start()
    return bool(
        GOES_ON.match(text, match.end(), match.endpos)
        or (
            text[begin - 1 : begin] in ("{", "^", "_", "t", " ")
            and INSIDE.search(text, begin - 12, begin)
        )
    )


def read_number(match: re.Match[str] | None) -> Fraction | None:
    """The value of a match of NUMBER; None where it is too long, or divides by zero."""
    if match is None or match.end() - match.start() > 2 * MAX_DIGITS:
        return None
    stated = match.groupdict()
    try:
        if stated["over"]:
            value = _unsigned(stated["over"])
            if stated["under"]:
                value /= Fraction(stated["under"])
            power = stated["power"] or stated["tens"] or stated["braced"] or stated["raised"]
            if power:
                power = unicodedata.normalize("NFKC", power).replace("−", "-")
                if len(power) > 4 or abs(int(power)) > MAX_DIGITS:
                    return None
                value *= Fraction(10) ** int(power)
        else:
            value = Fraction(stated["whole"] or 0) + _fraction(stated)
    except ZeroDivisionError:
        return None
    if stated["scale"]:
        value *= SCALES[stated["scale"].strip()]
    if stated["percent"]:
        value /= 100
    return value if (stated["sign"] or "+").strip() == "+" else -value


def read_words(text: str) -> int | None:
    """The value of a match of WORDS; None where the words don't make one number."""
    words = re.sub(r"\band\b|[-\s]+", " ", text.lower()).split()
    negative = words[0] in ("minus", "negative")
    words = words[negative:]
    if words[0] in ("a", "an"):
        words[0] = "one"
    if "thousand" in words:
        cut = words.index("thousand")
        parts = [words[:cut], words[cut + 1 :] or ["zero"]]
    else:
        parts = [["zero"], words]
    values = [_spelled().get(" ".join(part)) for part in parts]
    if values[0] is None or values[1] is None:
        return None
    value = values[0] * 1000 + values[1]
    return -value if negative else value


def _unsigned(text: str) -> Fraction:
    return Fraction(int(text)) if text.isdigit() else Fraction(re.sub(r"[^\d.]", "", text))


def _fraction(stated: dict[str, str]) -> Fraction:
    """What stands after the whole of a mixed number, or alone: a/b, a LaTeX fraction, or ½."""
    if stated["part"]:
        return Fraction(stated["part"])
    vulgar = stated["vulgar"] or stated["only"]
    if vulgar:
        return Fraction(unicodedata.normalize("NFKC", vulgar).replace("⁄", "/"))
    top, bottom = (
        Fraction(re.sub(r"[{}\s]", "", part).replace("−", "-"))
        for part in (stated["top"] or stated["upper"], stated["bottom"] or stated["lower"])
    )
    return top / bottom


@cache
def _spelled() -> dict[str, int]:
    """Every whole number below a thousand, in words without `and` and hyphens, to its value."""
    below = {word: value for value, word in enumerate(ONES)}
    for tens, word in enumerate(TENS, 2):
        below[word] = 10 * tens
        below |= {f"{word} {ONES[one]}": 10 * tens + one for one in range(1, 10)}
    hundreds = {"hundred": 100, **{f"{ONES[one]} hundred": 100 * one for one in range(1, 10)}}
    more = {
        f"{word} {rest}": value + under
        for word, value in hundreds.items()
        for rest, under in below.items()
        if under
    }
    return below | hundreds | more
