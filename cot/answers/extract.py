r"""Where a trace states its answer: the last statement wins, read from the tail.

    >>> extract("5 + 7 = 13, no. 5 + 7 = 12. The answer is 12 books.", "number").text
    '12'

A statement is a cue ("the answer is", "Answer:", `####`, `\boxed{`) with what follows it on its
line. Without a cue, a trace that ended by itself states its last number (or letter, or yes/no, or
mathematics); one that was cut off states nothing. Reasoning in `<think>`, and what follows a marker
of a new question (the recital of a few-shot exemplar), is not a statement. In format `latex` a
`\boxed{}` goes before other cues; a regular expression needs no cue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cot.answers.canonical import MAX_TEXT, canonical
from cot.answers.formats import FORMATS, find_last
from cot.answers.latex import MATH
from cot.answers.number import NUMBER, WORDS, is_part, read_number
from cot.types import Answer, AnswerStatus, FinishReason

__all__ = ["NEW_QUESTION", "extract", "statement_region"]

TAIL = 20_000
"""Characters before the end of what may be a statement that are searched."""
CUE = re.compile(
    r"####|\\(?:boxed|fbox)\s*\{|"
    r"\banswer(?:\s+to\s+[^.\n]{1,80}?)?(?:\s*(?:[*_`]*:[*_`]*|=)|"
    r"\s+(?:is|was|would\s+be|must\s+be)\b(?!\s+(?:correct|right|wrong|incorrect)\b))",
    re.I,
)
NEW_QUESTION = re.compile(
    r"\n[ \t]{0,20}(?:#{1,6} ?)?(?:\*\*)?(?:Q|Question|Problem|User|Human)(?:\*\*)?\s?\d{0,4}\s?:|"
    r"<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|</s>"
)
THINK = re.compile(r"<(/?)think(?:ing)?>")
STATED_END = re.compile(r"\n|(?<!\bRs)[.!?](?=\s|$)")
CHOICE = re.compile(r"\(\s*([A-Za-z])\s*\)|(?<![A-Za-z'])([A-Z])(?=[).:,]|\s*$)")
YESNO = re.compile(r"\b(?:yes|no|true|false)\b", re.I)
LETTER = re.compile(r"[(\[]\s*[A-Za-z]\s*[)\]]")
NEXT_LINE = re.compile(r"\S[^\n]*")
LAST_LINE = re.compile(r"[^\n]*\S")
NOT_BLANK = re.compile(r"\S")
ONE = re.compile(r"one\s+(?:of|that|who|which|more|another|can|could|must|should)\b", re.I)
BRACE = re.compile(r"\\.|[{}]", re.S)
MARKUP = " \t\n:*_`\"'$([{"


def extract(
    text: str,
    format: str,
    choices: Sequence[str] | None = None,
    finish_reason: FinishReason = "stop",
) -> Answer:
    """The answer that a trace states last.

    Args:
        text: the trace's raw text; the answer's span indexes it.
        format: one of `cot.answers.FORMATS`, or a regular expression, whose last match wins. One
            that takes too long on a text makes its answer `unparsed`, without a text.
        choices: the options' texts, for `choice`.
        finish_reason: `length` makes a trace without a statement `truncated`, not `missing`.

    Raises:
        InputError: no such format.
    """
    begin, end = statement_region(text)
    if format not in FORMATS:
        return _matched(text, begin, end, format, finish_reason)
    cues = list(CUE.finditer(text, begin, end))
    if format == "latex":
        cues.sort(key=lambda cue: cue[0][0] == "\\")  # stable: boxes last, each kind in order
    for cue in reversed(cues):
        start = cue.end()
        if cue[0][0] == "\\":
            closed = _closing_brace(text, start, end)
            if closed is not None:
                return _read(text, start, closed, format, choices)
            if finish_reason == "length":  # cut off inside the box
                continue
        stop = STATED_END.search(text, start, end)
        line_end = stop.start() if stop else end
        if not text[start:line_end].strip(" \t*:"):  # the value stands on the next line
            follow = NEXT_LINE.search(text, start, end)
            if not follow:
                continue
            line_end = follow.end()
        if format == "latex":
            formula = MATH.search(text, start, end)
            if formula and formula.start() < line_end:
                return _answer(text, *formula.span(formula.lastgroup or 0), format, choices)
        return _read(text, start, line_end, format, choices)
    if finish_reason == "length":
        return Answer(status="truncated")
    return _uncued(text, begin, end, format, choices)


def statement_region(text: str) -> tuple[int, int]:
    """Where an answer may be stated: after the reasoning, before a new question, in the tail."""
    begin, end = _outside_thinking(text) if "think" in text else (0, len(text))
    marker = NEW_QUESTION.search(text, begin, end)
    end = marker.start() if marker else end
    return max(begin, end - TAIL), end


def _outside_thinking(text: str) -> tuple[int, int]:
    """The last stretch outside <think> that is not blank. A closing tag ends all thinking before
    it, whether or not it was opened; what was not closed goes on to the end."""
    tags = list(THINK.finditer(text))
    for i in range(len(tags), -1, -1):
        before, after = tags[i - 1] if i else None, tags[i] if i < len(tags) else None
        if (before is None or before[1]) and (after is None or not after[1]):
            begin = before.end() if before else 0
            end = after.start() if after else len(text)
            if NOT_BLANK.search(text, begin, end):
                return begin, end
    return len(text), len(text)


def _matched(text: str, begin: int, end: int, format: str, finish_reason: FinishReason) -> Answer:
    try:
        span = find_last(format, text, begin, end)
    except TimeoutError:
        return Answer(status="unparsed")
    if span is None:
        return Answer(status="truncated" if finish_reason == "length" else "missing")
    return _answer(text, *span, format, None)


def _read(text: str, begin: int, end: int, format: str, choices: Sequence[str] | None) -> Answer:
    """The answer in a statement; `unparsed` where it is not one of the format."""
    if format == "number":
        equals = max(text.rfind(sign, begin, end) for sign in ("=", "≈", "\\approx"))
        match = NUMBER.search(text, equals + 1, end) if equals >= 0 else None
        match = match or NUMBER.search(text, begin, end)
        if match:
            return _unparsed(text, begin, end) if is_part(match) else _number(match)
        words = list(WORDS.finditer(text, begin, end))
        if len(words) == 1 and not ONE.match(text, words[0].start(), end):
            return _answer(text, *words[0].span(), format, None)
        return _unparsed(text, begin, end)
    if format == "yesno":
        match = YESNO.search(text, begin, end)
        if match:
            return _answer(text, match.start(), match.end(), format, choices)
    return _answer(text, *_trim(text, begin, end), format, choices)


def _number(match: re.Match[str]) -> Answer:
    value = read_number(match)
    begin, end = match.span()
    form = None if value is None else str(value)
    status: AnswerStatus = "unparsed" if value is None else "ok"
    return Answer(status=status, text=match[0], canonical=form, start=begin, end=end)


def _answer(text: str, begin: int, end: int, format: str, choices: Sequence[str] | None) -> Answer:
    stated = text[begin:end]
    form = canonical(stated, format, choices)
    status: AnswerStatus = "unparsed" if form is None else "ok"
    return Answer(status=status, text=stated, canonical=form, start=begin, end=end)


def _unparsed(text: str, begin: int, end: int) -> Answer:
    begin, end = _trim(text, begin, end)
    return Answer(status="unparsed", text=text[begin:end], start=begin, end=end)


def _uncued(text: str, begin: int, end: int, format: str, choices: Sequence[str] | None) -> Answer:
    if format == "text":
        line = LAST_LINE.match(text, text.rstrip().rfind("\n", begin, end) + 1, end)
        if line and len(line[0].strip()) <= 80:
            start = line.end() - len(line[0].lstrip())
            return _answer(text, max(start, begin), line.end(), format, choices)
        return Answer(status="missing")
    if format == "latex":
        formulas = list(MATH.finditer(text, begin, end))
        if formulas:
            return _answer(text, *formulas[-1].span(formulas[-1].lastgroup or 0), format, choices)
    pattern = {"choice": CHOICE, "yesno": YESNO}.get(format, NUMBER)
    found = list(pattern.finditer(text, begin, end))
    if not found:
        return Answer(status="missing")
    last = found[-1]
    return _answer(text, last.start(), last.end(), format, choices)


def _trim(text: str, begin: int, end: int) -> tuple[int, int]:
    """A statement without markup and white space around it."""
    while begin < end and text[begin] in MARKUP and not LETTER.match(text, begin, end):
        begin += 1
    while end > begin and (text[end - 1].isspace() or text[end - 1] in "*_`\"'$."):
        end -= 1
    return begin, end


def _closing_brace(text: str, begin: int, end: int) -> int | None:
    """Where the brace closes that opened before `begin`; None if too late for an answer."""
    depth = 1
    for brace in BRACE.finditer(text, begin, min(end, begin + MAX_TEXT + 1)):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None
