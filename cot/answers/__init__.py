"""Answers: what each trace states last, in a form in which equal answers are equal.

`extract` finds the stated answer in a text, `canonical` brings it into canonical form, `Classes`
groups forms that differ but are equal, as a `Judge` says, and `extract_answers` does all that for a
whole run and compares with gold; `explain_answers` shows what was extracted from where.
"""

from cot.answers.canonical import canonical
from cot.answers.equivalence import Classes
from cot.answers.explain import explain_answers
from cot.answers.extract import extract
from cot.answers.formats import FORMATS, check_format
from cot.answers.gold import canonical_gold, choose_format
from cot.answers.judge import Judge
from cot.answers.table import extract_answers

__all__ = [
    "FORMATS",
    "Classes",
    "Judge",
    "canonical",
    "canonical_gold",
    "check_format",
    "choose_format",
    "explain_answers",
    "extract",
    "extract_answers",
]
