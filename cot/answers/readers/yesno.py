r"""Format `yesno`: yes or no, true or false, in several languages.

>>> canonical("Yes, it does"), canonical("That is not true"), canonical("yes or no")
('yes', 'no', None)
"""

from __future__ import annotations

import re

from cot.answers.marks import Span, leads
from cot.answers.readers.found import Found

__all__ = ["canonical", "first_line", "in_statement", "unstated"]

YES = frozenset(
    "yes true wahr richtig vrai verdadero ja oui sí sì si sim да "
    "正确 正しい 是 是的 对 はい 예 네".split()
)
NO = frozenset(
    "no false falsch faux falso nein non não нет 错误 不正确 否 不是 不对 いいえ 아니요".split()
)
YESNO = re.compile(
    r"(?P<not>\bnot\s+|n['’]t\s+)?\b(?P<word>yes|no|true|false|ja|nein|oui|non|s[íì]|sim|não|да|нет|"
    r"wahr|falsch|richtig|vrai|faux|verdadero|falso)\b|"
    r"(?P<cjk>不是|不对|不正确|错误|正确|正しい|いいえ|아니요|是的|是|否|对|はい|예|네)",
    re.I,
)
_WORDS = "yes|no|true|false|ja|nein|oui|non|s[íì]|wahr|falsch|richtig|vrai|faux|verdadero|falso"
FIRST_WORD = re.compile(
    rf"(?P<word>{_WORDS}|はい|いいえ|是的|不是|对|不对|正确|错误)"
    r"(?=[\s*_`\"')]*(?:[.,!;:\n–—、，。-]|$|\s(?:and|or|because|since)\b))",
    re.I,
)
FIRST_LINE = re.compile(rf"[\s*_`\"'(]*(?P<word>{_WORDS})[ *_`\"').!]*\n", re.I)
LAST_WORD = re.compile(
    rf"(?P<not>\bnot\s+|n['’]t\s+)?\b(?P<word>{_WORDS})\b(?=[\s*_`\"')]*(?:[.,!;:\n]|$))|"
    r"(?:正确|错误)(?=的?[。！]?\s*$)",
    re.I,
)
SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
BOTH = re.compile(r"\s*(?:and|or|/)\s*(?:yes|no|true|false)\b", re.I)
NEAR = 500
"""Characters of a statement that are looked at."""
ALONE = re.compile(r"[\s*_`\"'$>]*")


def in_statement(text: str, begin: int, end: int) -> Span | None:
    """Where a sentence says yes or no; None where it says neither or both."""
    found = list(YESNO.finditer(text, begin, min(end, begin + NEAR)))
    if not found:
        return None
    if leads(text, begin, found[0].start()):
        following = text[found[0].end() : found[0].end() + 8]
        if re.match(r"\s*(?:/|or\b|and\b)", following):
            return None
        return found[0].span()
    kinds = {canonical(match[0]) for match in found}
    return found[0].span() if len(kinds) == 1 and None not in kinds else None


def first_line(text: str, begin: int, end: int) -> Span | None:
    """Yes or no where it stands alone on the first of several lines."""
    line = FIRST_LINE.match(text, begin, end)
    return line.span("word") if line else None


def unstated(text: str, begin: int, end: int) -> Found | None:
    """The first word, or the last that says it."""
    alone = ALONE.match(text, begin, end)
    first = FIRST_WORD.match(text, alone.end() if alone else begin, end)
    if first and not BOTH.match(text, first.end()):
        return "first_word", first.span("word")
    last = None
    sentence = max((m.end() for m in SENTENCE.finditer(text, begin, end - 1)), default=begin)
    for match in LAST_WORD.finditer(text, sentence, end):
        last = match
    if last is None:
        return None
    if re.search(
        r"\b(?:yes|no|true|false)\s*(?:and|or|/)\s*$",
        text[max(0, last.start() - 12) : last.start()],
        re.I,
    ):
        return "last_word", None
    return "last_word", last.span() if canonical(last[0]) else None


def canonical(text: str) -> str | None:
    """`yes` or `no`, or None where a text says neither or both."""
    said = set()
    for match in YESNO.finditer(text):
        word = (match["word"] or match["cjk"]).lower()
        said.add((word in YES) != bool(match["not"]))
    return None if len(said) != 1 else ("yes" if said.pop() else "no")
