r"""How a question's answers are read and graded: from its gold, its choices and its wording.

>>> canonical_gold("He has 3 * 6 = <<3*6=18>>18.\n#### 18\nThe answer is: 18", "number")
'18'
>>> choose_format(["(2,7)", "x=9"], [None, None])
Chosen(format='latex', why='a reference answer is mathematics: (2,7)')

The same reader reads gold. A question asks for a *percentage* where its gold is one (`35%`) or its
text asks for one ("what percent of …"): there 35%, 35 and 0.35 are one answer. Elsewhere 35% is
0.35 and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cot.answers.canonical import canonical
from cot.answers.extract import extract
from cot.answers.marks import trim
from cot.answers.number import NUMBER, find_number, is_part, whole_number
from cot.answers.patterns import statements

__all__ = ["Chosen", "canonical_gold", "choose_format", "is_letter", "percent_of", "stated_gold"]

SIGN = re.compile(r"\d\s{0,2}(?:\\?[%％]|per\s?cent|pct\b|\\text\{\s*per\s?cent)", re.I)
ASKS = re.compile(
    r"\b(?:what|which|how\s+many|how\s+much|find|calculate|determine|compute|give|state|in|as|by|the|a|"
    r"its|their)\s+(?:is\s+|was\s+)?(?:the\s+|a\s+)?(?:\w+\s+){0,2}(?:percent(?:age)?|per\s+cent)\b",
    re.I,
)
NUMERIC = re.compile(r"\d\s*(?:percent|per\s+cent|%)", re.I)
MATHEMATICS = re.compile(
    r"\\[A-Za-z]|\^|\$[^$]+\$|[=±√π∞∪]|[\w)]\s?[<>≤≥]\s?[\w(]|^[(\[].*,.*[)\]]$|^-?[\d.]+(?:\s*[,;]\s*-?[\d.]+)+$|"
    r"\d\s?[a-z](?![a-z])|\d!|^\{.*\}$|(?<![A-Za-z])[a-z]\s?[-+*/]|[-+*/]\s?[a-z](?![a-z])|[)\]]\s?[(\[]|^[\[\](].*[)\]]$|^[a-zA-Z]\w{0,2}'+(?![a-z])"
)
"""What makes a gold answer mathematics and no words."""
LETTERED = re.compile(r"\([A-Z]\)\s+\w")
LETTER = re.compile(r"\(?([A-Z])[).]?|\(([a-z])\)")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The format that `auto` chose."""

    format: str
    """One of FORMATS."""
    why: str
    """In one clause."""


def choose_format(golds: Iterable[str | None], choices: Iterable[object]) -> Chosen:
    """The format of a run, from all its golds and choices.

    `choice` where a question has choices, or every gold is a letter; else what every gold answer
    is: `number`, `yesno`; `latex` where one is mathematics; else `text`; `number` where there is
    no gold. One format serves the whole run, so that a question's own gold does not decide how its
    traces are read.
    """
    if any(each is not None for each in choices):
        return Chosen("choice", "questions have choices")
    stated = [stated_gold(gold) for gold in golds if gold is not None]
    if not stated:
        return Chosen("number", "there are no reference answers")
    if all(_is_number(gold) for gold in stated):
        return Chosen("number", "every reference answer is a number")
    if all(gold.lower().strip(".") in ("yes", "no", "true", "false") for gold in stated):
        return Chosen("yesno", "every reference answer is yes or no")
    if all(is_letter(gold) for gold in stated):
        return Chosen("choice", "every reference answer is a letter")
    for gold in stated:
        if len(gold) <= 200 and MATHEMATICS.search(gold):
            return Chosen("latex", f"a reference answer is mathematics: {gold[:40]}")
    return Chosen("text", "not every reference answer is a number, and none is mathematics")


def is_letter(gold: str) -> bool:
    """Whether a reference answer names an option by its letter, alone or in a sentence."""
    stated = stated_gold(gold)
    return LETTER.fullmatch(stated) is not None or LETTERED.match(stated) is not None


def stated_gold(gold: str) -> str:
    """The answer of a reference: GSM8K's, which follows its working after `####`; what a solution
    or a sentence states (`\\boxed{5}`, "The answer is 5."); or all of it."""
    _, mark, final = gold.rpartition("####")
    lines = final.strip().splitlines() if mark else []
    if lines:
        return lines[0].strip()
    if "answer" in gold.lower() or "\\boxed" in gold:
        found = [each for each in statements(gold, 0, len(gold)) if not each.denied]
        if found:
            last = max(found, key=lambda each: each.begin)
            return gold[slice(*trim(gold, last.begin, last.end))]
    return gold.strip()


def canonical_gold(
    gold: str,
    format: str,
    choices: Sequence[str] | None = None,
    percent: Fraction | None = None,
) -> str | None:
    """The canonical form of a reference answer, read as a trace's answer is: alone, or, where it is
    a solution or a sentence, as the answer that it states."""
    stated = stated_gold(gold)
    form = canonical(stated, format, choices, percent)
    if form is None and format == "number":
        form = canonical(stated, format, choices, percent, comma=True)
    if form is None and format in ("number", "choice", "yesno", "latex"):
        answer = extract(stated, format, choices, "stop", percent)
        if answer.pattern not in (None, "last_number", "last_letter"):
            form = answer.canonical
    if form is None and format == "latex":
        form = canonical(stated, format, choices, percent)
    return form


def percent_of(question: str, golds: Sequence[str]) -> Fraction | None:
    """The share that a question's gold is, where it asks for a percentage (1 where the gold is not
    known); else None."""
    signed = any(SIGN.search(stated_gold(gold)) for gold in golds)
    last = re.split(r"(?<=[.!?])\s+", question.strip())[-2:]
    asked = any(ASKS.search(NUMERIC.sub(" ", each)) for each in last)
    if not (signed or asked):
        return None
    for gold in golds:
        stated = stated_gold(gold)
        form = canonical(stated, "number")
        if form is not None:
            value = Fraction(form)
            return value if SIGN.search(stated) or abs(value) < 1 else value / 100
    return Fraction(1)


def _is_number(gold: str) -> bool:
    """Whether a gold answer is a number (units aside), rather than holding one."""
    if "=" in gold or "$$" in gold or gold.count("$") == 2 or "(" in gold:
        return False
    match = whole_number(gold)
    if match is None:
        return False
    alone = NUMBER.match(gold)
    return alone is not None and not is_part(alone) and find_number(gold) is not None
