r"""A shortcut for the commonest statements of a number, which must say what the pipeline says.

>>> plain("5 + 7 = 12. The answer is 12 apples.").text
'12'
>>> plain("The answer is 12 or 13.") is None    # for the pipeline
True

Most traces of a million end in "The answer is 12." and hold nothing else that may be an answer.
The pipeline's regular expressions cost several times as much as reading the rest of such a run.
`tests/answers/test_plain.py` holds the two against each other.
"""

from __future__ import annotations

import re

from cot.answers.number import CALCULATING, SCALES
from cot.answers.patterns import is_conditional
from cot.answers.readers import number
from cot.types import Answer

__all__ = ["plain"]

ELSEWHERE = (
    *("<", "◁", "THINK]", "[think]", "analysis", "assistant", "process:", "response:"),
    *('nswer"', "nswer'", "[[", "[ANSWER]", "\\fbox", "\\framebox"),
)
"""Marks of reasoning and of surer statements: a text that holds one is for the pipeline."""
NEW_QUESTION = re.compile(r"\n[^\n]{0,30}[:：]|\n[^\n]{0,8}#[^\n]{0,20}\n")
"""More than what may begin a new question."""
STATED = re.compile(
    r"(?:(?:(?:(?<=\s)The|\b(?:[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore),? the) (?:final )?answer is |"
    r"(?<=\n)Answer: |(?<=[\n ]\*\*)Answer:\*\* |(?<=[\n ])(?P<mark>#### ))"
    r"(?:\d{1,9} [+*-] \d{1,9} = )?(?P<number>-?\$?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,9})?)"
    r"(?: (?P<unit>[a-z]{4,20}))?|"
    r"\$?\\boxed\{(?P<boxed>-?\d{1,15}(?:\.\d{1,9})?)\}\$?)\.?\s*\Z"
)
NO_UNITS = CALCULATING | set(SCALES) | {"percent", "percentage", "prozent"}


def plain(text: str) -> Answer | None:
    """The number that a text ends in stating; None where that is for the pipeline to say."""
    at = max(text.rfind("nswer"), text.rfind("####"), text.rfind("\\boxed"))
    match = STATED.search(text, max(0, at - 24)) if at >= 0 else None
    if match is None or match["unit"] in NO_UNITS:
        return None
    for mark in ELSEWHERE:
        if mark in text:
            return None
    if "\n" in text and NEW_QUESTION.search(text, 0, match.start() - 1):
        return None
    if text.count("\\boxed") > 1:
        return None
    if is_conditional(text, match.start()):
        return None
    group, pattern = ("boxed", "box") if match["boxed"] else ("number", "cue")
    if match["mark"]:
        pattern = "mark"
    begin, end = match.span(group)
    form = number.canonical(match[group])
    if form is None:
        return None
    return Answer(
        status="ok", text=match[group], canonical=form, start=begin, end=end, pattern=pattern
    )
