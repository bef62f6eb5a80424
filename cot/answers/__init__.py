"""Answers: what each trace states last, in a form in which equal answers are equal.

`extract` finds the stated answer in a text, `canonical` brings it into canonical form, `Classes`
groups forms that differ but are equal, as a `Judge` says, and `read_answers` does all that for a
whole run and compares with gold, or has a `Verifier` of the user's do it; `explain_answers` shows
what was extracted from where, and why.
"""

from cot.answers.canonical import canonical
from cot.answers.equivalence import Classes
from cot.answers.explain import explain_answers
from cot.answers.extract import extract
from cot.answers.formats import FORMATS, check_format
from cot.answers.gold import canonical_gold, choose_format
from cot.answers.judge import Judge
from cot.answers.table import read_answers
from cot.answers.verifier import Verdict, Verifier

__all__ = [
    "FORMATS",
    "Classes",
    "Judge",
    "Verdict",
    "Verifier",
    "canonical",
    "canonical_gold",
    "check_format",
    "choose_format",
    "explain_answers",
    "extract",
    "read_answers",
]
