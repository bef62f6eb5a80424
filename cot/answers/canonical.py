r"""Canonical forms: answers whose forms are equal are equal.

    >>> canonical("$1,234.50", "number")
    '2469/2'
    >>> canonical("50%", "number") == canonical(r"\frac{1}{2}", "number") == "1/2"
    True
    >>> canonical("(b)", "choice", ("12", "15"))
    'B'

In every format but `latex` the converse holds too; for that one see `cot.answers.equivalence`.
Nothing is evaluated, and caps on length keep hostile input cheap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cot.answers.latex import canonical_latex, unwrap_text
from cot.answers.number import NUMBER, WORDS, find_number, read_number, read_words

__all__ = ["LETTERS", "MAX_TEXT", "canonical", "canonical_gold"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_TEXT = 500
"""Characters; a longer answer is not understood."""
YES = frozenset(("yes", "true"))
NO = frozenset(("no", "false"))
OUTSIDE = " .,;:!?\"'`*_()[]{}"
"""What does not count at the ends of a text."""


def canonical(text: str, format: str, choices: Sequence[str] | None = None) -> str | None:
    """The canonical form of an answer, or None where the text is not one of its format.

    Args:
        text: the answer alone, as `extract` finds it.
        format: one of FORMATS, or a regular expression. `number` gives a reduced fraction ("3/4",
            "12"), with 50% = 1/2; `choice` a capital letter; `yesno` "yes" or "no" (true and false
            count); `text` the text in folded case without outer punctuation and repeated white
            space; `latex` a plain number as `number` does, words as `text` does, else the LaTeX in
            one spelling; an expression what is wholly a number as `number` does, else as `text`.
        choices: the options' texts, for `choice`.
    """
    if len(text) > MAX_TEXT:
        return None
    if format == "number":
        return _number(text)
    if format == "choice":
        return _choice(text, choices or ())
    if format == "yesno":
        words = set(re.findall(r"[a-z]+", text.lower()))
        yes, no = bool(words & YES), bool(words & NO)
        return None if yes == no else ("yes" if yes else "no")
    if format == "latex":
        return canonical_latex(text)
    if format != "text" and NUMBER.fullmatch(text.strip()):
        return _number(text)
    return fold(text) or None


def canonical_gold(gold: str, format: str, choices: Sequence[str] | None = None) -> str | None:
    r"""The canonical form of a reference answer; GSM8K's `#### 18` form is understood."""
    return canonical(gold.rpartition("####")[2].strip(), format, choices)


def fold(text: str) -> str:
    """Text in folded case, without outer punctuation, repeated white space and \\text{}."""
    return " ".join(unwrap_text(text).casefold().split()).strip(OUTSIDE)


def _number(text: str) -> str | None:
    value = read_number(find_number(text))
    if value is None and not NUMBER.search(text):
        words = WORDS.search(text)
        whole = read_words(words[0]) if words else None
        return None if whole is None else str(whole)
    return None if value is None else str(value)


def _choice(text: str, choices: Sequence[str]) -> str | None:
    letters = LETTERS[: len(choices)] if choices else LETTERS
    plain = unwrap_text(text).strip().strip("*_`\"'$. ")
    marked = re.match(r"[(\[]\s*([A-Za-z])\s*[)\]]|([A-Za-z])(?=\s*(?:[).:,]|$))", plain)
    if marked:
        letter = (marked[1] or marked[2]).upper()
        return letter if letter in letters else None
    named = [
        letter
        for letter, choice in zip(letters, choices, strict=False)
        if fold(choice) == fold(plain)
    ]
    if len(named) == 1:
        return named[0]
    bare = re.match(r"([A-Z])\s", plain)  # "B 12 apples"; checked after the options' own texts
    return bare[1] if bare and bare[1] in letters else None
