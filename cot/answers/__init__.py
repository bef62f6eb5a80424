"""Answers: what each trace states last, in a form in which equal answers are equal.

`extract` finds the stated answer in a text, `canonical` brings it into canonical form, and
`extract_answers` does both for a whole run and compares with gold.
"""

from cot.answers.canonical import FORMATS, canonical, canonical_gold
from cot.answers.extract import extract
from cot.answers.table import extract_answers

__all__ = ["FORMATS", "canonical", "canonical_gold", "extract", "extract_answers"]
