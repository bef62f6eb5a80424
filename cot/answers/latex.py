r"""LaTeX answers: where they stand, and one spelling for what is written in many.

>>> normalise(r"$\left[0,\, \dfrac{1}{2}\right)$")
'[0,\\frac{1}{2})'
>>> canonical_latex(r"\dfrac{1}{2}"), canonical_latex(r"12\text{ cm}"), canonical_latex("Monday.")
('1/2', '12', 'monday')

A plain number has the canonical form of format `number`, a word that of `text`; whether other
forms are equal is for math-verify to say.
"""

from __future__ import annotations

import re
from typing import Literal

from cot.answers.number import NUMBER, find_number, read_number

__all__ = ["MATH", "canonical_latex", "kind_of", "normalise", "unwrap_text"]

MATH = re.compile(
    r"\$\$(?P<display>[^$]{1,500})\$\$|(?<![\\$])\$(?P<inline>(?=\S)[^$\n]{1,500}(?<=\S))(?<!\\)\$(?!\d)|"
    r"\\\[(?P<bracket>(?:[^\\]|\\[^\]]){1,500})\\\]|\\\((?P<parenthesis>(?:[^\\\n]|\\[^)\n]){1,500})\\\)"
)
"""Mathematics in a text; dollars as in Pandoc, so that "$5 and $6" is none."""
TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}")
LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![A-Za-z])|"
    r"(?<!\\)\\(?:[!,;:>$]|(?=\s))|~|\\q?quad(?![A-Za-z])|"
    r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})"
)
END = re.compile(r"(?:\\[,;:! ]|[.,;\s])+$")
SYMBOLS = dict(
    pair.split(maxsplit=1)
    for pair in (
        r"π \pi|∞ \infty|× \times|· \cdot|÷ \div|− -|– -|≤ \le|≥ \ge|≠ \ne|± \pm|∪ \cup|∩ \cap|"
        r"∈ \in|∅ \emptyset|² ^2|³ ^3|√ \sqrt|θ \theta|α \alpha|β \beta|° ^\circ|′ '"
    ).split("|")
)
UNIT = re.compile(
    r"(?:\s*\\(?:text|mathrm|mbox)\s*\{[^{}\d]*\}|"
    r"(?:\s+(?:[cmk]m|[km]g|ft|in|lbs?|hr|mi|m[lL]|(?!(?:and|sqrt|log|sin|cos|tan)\b)[A-Za-z]{3,})\b)"
    r"{1,5})(?:\s*\^\s*(?:[23]|\{[23]\}))?"
)
"""A unit after a number, in \\text or in words."""
WORDS = re.compile(r"[^\W\d_]{3,}(?:[ -][^\W\d_]+)*")
RATIONAL = re.compile(r"-?\d+(?:/\d+)?")


def canonical_latex(text: str) -> str | None:
    """The canonical form of a LaTeX answer, or None where there is none."""
    form = normalise(text)
    match = NUMBER.match(form)
    if match and (match.end() == len(form) or UNIT.fullmatch(form, match.end())):
        value = read_number(find_number(form))
        return None if value is None else str(value)
    words = form.strip(" .!?\"'()")
    return words.casefold() if WORDS.fullmatch(words) else form or None


def kind_of(form: str) -> Literal["number", "words", "latex"]:
    """What a canonical form is: only `latex` leaves open what equals it."""
    if RATIONAL.fullmatch(form):
        return "number"
    return "words" if WORDS.fullmatch(form) else "latex"


def normalise(text: str) -> str:
    """One spelling of a LaTeX answer: without delimiters, layout and space that means nothing."""
    form = END.sub("", text.strip())
    for wrapping in (MATH, TEXT):
        whole = wrapping.fullmatch(form)
        if whole:
            form = next((each for each in whole.groups() if each), "")
            form = END.sub("", form.strip())
    form = "".join(f"{SYMBOLS[each]} " if each in SYMBOLS else each for each in form)
    form = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", form)
    form = re.sub(r"\{,\}(?=\d{3})", ",", LAYOUT.sub("", form))
    form = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", form)
    form = " ".join(form.replace("$", "").split())
    return re.sub(r"(?<![A-Za-z0-9}]) | (?![A-Za-z0-9\\])", "", form)


def unwrap_text(text: str) -> str:
    """The text with what stands in \\text{} and the like without it."""
    return TEXT.sub(r"\1", text) if "\\" in text else text
