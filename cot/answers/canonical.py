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

from collections.abc import Sequence
from fractions import Fraction

from cot.answers.number import NUMBER
from cot.answers.patterns import MAX_TEXT
from cot.answers.readers import choice, latex, number, yesno
from cot.answers.readers import text as words

__all__ = ["MAX_TEXT", "canonical"]


def canonical(
    text: str,
    format: str,
    choices: Sequence[str] | None = None,
    percent: Fraction | None = None,
    comma: bool = False,
) -> str | None:
    """The canonical form of an answer, or None where the text is not one of its format.

    Args:
        text: the answer alone, as `extract` finds it.
        format: one of FORMATS, or a regular expression. `number` gives a reduced fraction ("3/4",
            "12"), with 50% = 1/2; `choice` a capital letter; `yesno` "yes" or "no" (true and false
            count); `text` the text in folded case without outer punctuation and repeated white
            space; `latex` a plain number as `number` does, words as `text` does, else the LaTeX in
            one spelling; an expression what is wholly a number as `number` does, else as `text`.
        choices: the options' texts, for `choice`.
        percent: the share that the question's gold is (7/20 for 35%), where it asks for a
            percentage: 35 and 0.35 without a sign are then 35% too.
        comma: the text is in a language with a decimal comma.
    """
    if len(text) > MAX_TEXT:
        return None
    if format == "number":
        return number.canonical(text, percent, comma)
    if format == "choice":
        return choice.canonical(text, choices or ())
    if format == "yesno":
        return yesno.canonical(text)
    if format == "latex":
        return latex.canonical(text, percent)
    if format != "text" and NUMBER.fullmatch(text.strip()):
        return number.canonical(text, None, comma)
    return words.canonical(text)
