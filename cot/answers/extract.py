r"""Where a trace states its answer: the last statement wins, read from the tail.

    >>> extract("5 + 7 = 13, no. 5 + 7 = 12. The answer is 12 books.", "number").text
    '12'

A statement is a cue ("the answer is", "Answer:", `####`, `\boxed{`) with what follows it on its
line. Without a cue, a trace that ended by itself states its last number (or letter, or yes/no); one
that was cut off states nothing. What stands before `</think>`, and what follows a marker of a new
question (the recital of a few-shot exemplar), is not a statement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cot.answers.canonical import NUMBER, canonical
from cot.types import Answer, AnswerStatus, FinishReason

__all__ = ["extract", "statement_region"]

TAIL = 20_000
"""Characters at the end of a text that are searched."""
CUE = re.compile(
    r"####|\\boxed\s*\{|"
    r"\banswer(?:\s+to\s+[^.\n]{1,80}?)?(?:\s*(?:[*_`]*:[*_`]*|=)|\s+(?:is|was|would\s+be|must\s+be)\b)",
    re.I,
)
NEW_QUESTION = re.compile(
    r"\n\s*(?:#+\s*)?(?:\*\*)?(?:Q|Question|Problem|User|Human)(?:\*\*)?\s*\d*\s*:|"
    r"<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|</s>"
)
STATED_END = re.compile(r"\n|[.!?](?=\s|$)")
CHOICE = re.compile(r"\(\s*([A-Za-z])\s*\)|(?<![A-Za-z'])([A-Z])(?=[).:,]|\s*$)")
YESNO = re.compile(r"\b(?:yes|no|true|false)\b", re.I)
UNFINISHED = re.compile(r"\*\*\d|\s*[-+*/×÷^]\s*\$?\d")
MARKUP = " \t:*_`\"'$([{"


def extract(
    text: str,
    format: str,
    choices: Sequence[str] | None = None,
    finish_reason: FinishReason = "stop",
) -> Answer:
    """The answer that a trace states last.

    Args:
        text: the trace's raw text; the answer's span indexes it.
        format: one of `cot.answers.FORMATS`.
        choices: the options' texts, for `choice`.
        finish_reason: `length` makes a trace without a statement `truncated`, not `missing`.
    """
    begin, end = statement_region(text)
    cues = list(CUE.finditer(text, begin, end))
    for cue in reversed(cues):
        stop = STATED_END.search(text, cue.end(), end)
        line_end = stop.start() if stop else end
        if not text[cue.end() : line_end].strip(" \t*:"):  # the value stands on the next line
            follow = re.compile(r"\S[^\n]*").search(text, cue.end(), end)
            if not follow:
                continue
            line_end = follow.end()
        if cue[0].startswith("\\boxed"):
            line_end = _closing_brace(text, cue.end(), end)
        return _read(text, cue.end(), line_end, format, choices)
    if finish_reason == "length":
        return Answer(status="truncated")
    return _uncued(text, begin, end, format, choices)


def statement_region(text: str) -> tuple[int, int]:
    """Where an answer may be stated: after the reasoning, before a new question, in the tail."""
    begin = max(0, len(text) - TAIL)
    opened, closed = text.rfind("<think>"), text.rfind("</think>")
    if closed >= 0:
        begin = max(begin, closed + len("</think>"))
    if opened > closed:
        return len(text), len(text)
    marker = NEW_QUESTION.search(text, begin)
    return begin, marker.start() if marker else len(text)


def _read(text: str, begin: int, end: int, format: str, choices: Sequence[str] | None) -> Answer:
    """The answer in a statement; `unparsed` where it is not one of the format."""
    if format == "number":
        equals = max(text.rfind("=", begin, end), text.rfind("≈", begin, end))
        match = NUMBER.search(text, equals + 1, end) if equals >= 0 else None
        match = match or NUMBER.search(text, begin, end)
        if match and UNFINISHED.match(text, match.end(), end):  # "10 - 3" is not evaluated
            while text[begin].isspace():
                begin += 1
            return Answer(status="unparsed", text=text[begin:end], start=begin, end=end)
        if match:
            return _answer(text, match.start(), match.end(), format, choices)
    elif format == "yesno":
        match = YESNO.search(text, begin, end)
        if match:
            return _answer(text, match.start(), match.end(), format, choices)
    while begin < end and text[begin] in MARKUP and not _opens_letter(text, begin):
        begin += 1
    while end > begin and (text[end - 1].isspace() or text[end - 1] in "*_`\"'$."):
        end -= 1
    return _answer(text, begin, end, format, choices)


def _answer(text: str, begin: int, end: int, format: str, choices: Sequence[str] | None) -> Answer:
    stated = text[begin:end]
    form = canonical(stated, format, choices)
    status: AnswerStatus = "unparsed" if form is None else "ok"
    return Answer(status=status, text=stated, canonical=form, start=begin, end=end)


def _uncued(text: str, begin: int, end: int, format: str, choices: Sequence[str] | None) -> Answer:
    if format == "text":
        line = re.compile(r"[^\n]*\S").match(text, text.rstrip().rfind("\n", begin, end) + 1, end)
        if line and len(line[0].strip()) <= 80:
            start = line.end() - len(line[0].lstrip())
            return _answer(text, max(start, begin), line.end(), format, choices)
        return Answer(status="missing")
    pattern = {"number": NUMBER, "choice": CHOICE, "yesno": YESNO}[format]
    found = list(pattern.finditer(text, begin, end))
    if not found:
        return Answer(status="missing")
    last = found[-1]
    return _answer(text, last.start(), last.end(), format, choices)


def _opens_letter(text: str, index: int) -> bool:
    return re.compile(r"[(\[]\s*[A-Za-z]\s*[)\]]").match(text, index) is not None


def _closing_brace(text: str, begin: int, end: int) -> int:
    depth = 1
    for index in range(begin, end):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    return end
