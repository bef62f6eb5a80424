r"""Where a trace states its answer, and what it is.

    >>> extract("5 + 7 = 13, no. 5 + 7 = 12. The answer is 12 books.", "number").text
    '12'

In four steps, each in a file of its own:

1. `reasoning`: the text after the reasoning is what may answer.
2. `patterns`: statements ("the answer is …", `\boxed{…}`, …); the surest counts, and of those the
   last. Where nothing is stated, and the trace ended by itself, the format's reader looks for
   the last number, letter, formula or line.
3. `readers`: what of the statement is the answer, in this format.
4. `canonical`: its canonical form.

`plain` is a shortcut for texts that end in "The answer is 12." and nothing else.

What cannot be read as *one* answer is `unparsed`: a wrong answer read is worse than none. What
follows a marker of a new question after a statement (the recital of a few-shot exemplar) doesn't
count; before any statement such a marker restates the question. A regular expression as format
needs no statement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from cot.answers.canonical import canonical
from cot.answers.formats import FORMATS, find_last
from cot.answers.marks import leads, trim
from cot.answers.number import has_decimal_commas, numbers_in
from cot.answers.patterns import EMPTY_CUE, Statement, statements
from cot.answers.plain import plain
from cot.answers.readers import in_statement, unstated
from cot.answers.readers.choice import letter_line
from cot.answers.readers.yesno import first_line
from cot.answers.reasoning import KNOWN, Thinking, answer_region
from cot.types import Answer, AnswerStatus, FinishReason

__all__ = ["Candidate", "candidates", "extract", "pipeline", "recital"]

TAIL = 20_000
"""Characters before the end of what may be a statement that are searched."""
NEW_QUESTION = re.compile(
    r"\n[ \t]{0,20}(?:"
    r"(?:#{1,6} ?)?(?:\*\*)?(?:Q|Question|Problem|User|Human|问题|質問)(?:\*\*)?\s?\d{0,4}\s?[:：]|"
    r"#{1,6} ?(?:Question|Problem|Exercise)\s?\d{1,4}\s*(?=\n)|"
    r"#{2,6} ?(?:Instruction|Input|User|Human)\b:?)"
)
END_OF_TURN = re.compile(
    r"<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|</s>|<end_of_turn>|<\|im_start\|>"
)
BOXES = re.compile(
    r"\}[\s$.\\()\[\]]{0,6}(?:[a-z]{2,15}\s(?=and\b))?(?:,|;|\band\b|\bor\b|\bund\b|\\text\{\s*(?:and|or)\s*\})[\s$,\\()\[\]]{0,6}"
    r"(?:[A-Za-z]\s?=\s?)?$"
)
"""What stands between boxes that are one list."""
CALCULATION = re.compile(r"[\d$(.][^=\n]*=")
"""A field that holds "20 + 6 + 8 = 34" holds a calculation and no answer."""
ALONE = ("letter_line", "first_word", "first_letter")
"""Weaker patterns that go before a statement that can't be read."""
STATED = re.compile(r"[^\W_]|[½¼¾⅐-⅞∞∅]")
"""What a statement must hold, but of words: "The answer is (…" states nothing."""
WORD = re.compile(r"\w{2,}")
MOST_MARKERS = 50
"""Markers of new questions that are looked at."""
VERB = re.compile(
    r"\s?(?:[a-z]+\s){1,4}?(?:is|are|was|were|costs?|will|can|has|have|had|makes?|takes?|needs?)\s",
    re.I,
)
"""What makes the number that leads a sentence its subject: "4 feet is 48 inches"."""
POINTED = re.compile(r"\d,(?:\d\d?|\d{4,})(?![\d,])|\d\.\d{3}(?![\d.])")
"""What is another number in a language with decimal commas."""
EURO = re.compile(r"\s?(?:[€$]|Euros?\b|EUR\b)")
PERCENT = re.compile(r"\}[\s$]{0,2}\\?%")
"""A percent sign behind a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place that may be the answer, and what became of it."""

    answer: Answer
    """As it is read there."""
    why: str
    """`chosen`, or why it was not."""


def extract(
    text: str,
    format: str,
    choices: Sequence[str] | None = None,
    finish_reason: FinishReason = "stop",
    percent: Fraction | None = None,
    question: str | None = None,
    thinking: Thinking = KNOWN,
) -> Answer:
    """The answer that a trace states last.

    Args:
        text: the trace's raw text; the answer's span indexes it.
        format: one of `cot.answers.FORMATS`, or a regular expression, whose last match wins. One
            that takes too long on a text makes its answer `unparsed`, without a text.
        choices: the options' texts, for `choice`.
        finish_reason: `length` makes a trace without a statement `truncated`, not `missing`.
        percent: how a number without a percent sign is meant, see `canonical`.
        question: what was asked, which tells its restatement from the recital of another one.
        thinking: how the trace marks its reasoning.

    Raises:
        InputError: no such format.
    """
    plainly = format == "number" and percent is None and thinking == KNOWN
    if plainly and finish_reason != "length":
        stated = plain(text)
        if stated is not None:
            return stated
    return pipeline(text, format, choices, finish_reason, percent, question, thinking)


def pipeline(
    text: str,
    format: str,
    choices: Sequence[str] | None,
    finish_reason: FinishReason,
    percent: Fraction | None,
    question: str | None = None,
    thinking: Thinking = KNOWN,
) -> Answer:
    """The answer in four steps, without the shortcut of `plain`."""
    begin, end = answer_region(text, thinking)
    if format not in FORMATS:
        return _matched(text, begin, end, format, finish_reason)
    found, begin, end = _stated(text, begin, end, format, question)
    if format == "choice" and finish_reason != "length":
        alone = letter_line(text, begin, end, choices)
        if alone and all(each.begin < alone[0] and _rank(each, format) < 1 for each in found):
            return _answer(text, *alone, format, choices, percent, "letter_line")
    if format == "yesno" and (word := first_line(text, begin, end)):
        return _answer(text, *word, format, choices, percent, "first_word")
    for at in range(len(found) - 1, -1, -1):
        if _refusal(found, at, finish_reason):
            continue
        answer = _read(text, found, at, format, choices, percent)
        if answer.status == "unparsed" and format in ("choice", "yesno"):
            weak = unstated(text, begin, end, format, choices)
            if weak and weak[0] in ALONE and weak[1]:
                return _answer(text, *weak[1], format, choices, percent, weak[0])
        if finish_reason == "length" and _is_cut(text, answer, found[at]):
            return Answer(status="truncated")
        if answer.status != "ok" or not _is_denied(text, found, answer, format, choices, percent):
            return answer
        return _unparsed(text, found[at])
    if finish_reason == "length":
        return Answer(status="truncated")
    if found:  # all that is said is what the answer is not
        return _unparsed(text, found[-1])
    if EMPTY_CUE.search(text, max(begin, end - 40), end):
        return Answer(status="missing")
    weak = unstated(text, begin, end, format, choices)
    if weak is None:
        return Answer(status="missing")
    pattern, span = weak
    if span is None:
        return Answer(status="unparsed", pattern=pattern)
    return _answer(text, *span, format, choices, percent, pattern)


def candidates(
    text: str,
    format: str,
    choices: Sequence[str] | None = None,
    finish_reason: FinishReason = "stop",
    percent: Fraction | None = None,
    question: str | None = None,
    thinking: Thinking = KNOWN,
) -> list[Candidate]:
    """Each place that may be the answer, in the order of the text, and why one was chosen."""
    chosen = extract(text, format, choices, finish_reason, percent, question, thinking)
    if format not in FORMATS:
        return [Candidate(answer=chosen, why="chosen: the expression's last match")]
    found, _, _ = _stated(text, *answer_region(text, thinking), format, question)
    listed = []
    for at in sorted(range(len(found)), key=lambda each: found[each].begin):
        answer = _read(text, found, at, format, choices, percent)
        refusal = _refusal(found, at, finish_reason)
        if (answer.start, answer.pattern) == (chosen.start, chosen.pattern) and not refusal:
            why = "chosen: the last of the surest"
        elif refusal:
            why = refusal
        elif _rank(found[at], format) < max(_rank(each, format) for each in found):
            why = "a surer pattern states an answer"
        else:
            why = "a later statement counts"
        listed.append(Candidate(answer=answer, why=why))
    if not any(each.why.startswith("chosen") for each in listed) and chosen.pattern:
        listed.append(Candidate(answer=chosen, why="chosen: nothing surer is stated"))
    return listed


def recital(text: str, thinking: Thinking = KNOWN) -> int | None:
    """Where a new question begins after the answer: the recital of an exemplar; None without."""
    begin, end = answer_region(text, thinking)
    _, _, stop = _stated(text, begin, end, "number")
    return stop if stop < end else None


def _stated(
    text: str, begin: int, end: int, format: str, question: str | None = None
) -> tuple[list[Statement], int, int]:
    """The statements that count, the best last, and the region that they were sought in: its tail,
    before the recital of a new question."""
    turn = END_OF_TURN.search(text, begin, end)
    if turn and text[begin : turn.start()].strip():
        end = turn.start()
    markers = [match.start() for match in NEW_QUESTION.finditer(text, begin, end)]
    start = begin if markers else max(begin, end - TAIL)
    found = [each for each in statements(text, start, end) if _fits(each, text, format)]
    if markers:
        end = _recital(text, begin, end, markers, found, format, question)
        start = max(begin, end - TAIL)
        found = [each for each in found if start <= each.cue < end]
    found.sort(key=lambda each: (_rank(each, format), each.begin))
    return found, start, end


def _recital(
    text: str,
    begin: int,
    end: int,
    markers: Sequence[int],
    found: Sequence[Statement],
    format: str,
    question: str | None,
) -> int:
    """Where the recital of a new question begins: at the first marker behind an answer, unless it
    restates the question itself."""
    first = min((each.end for each in found if not (each.denied or each.is_supposed)), default=end)
    for marker in markers[:MOST_MARKERS]:
        if question and _restates(text[marker : marker + 2 * len(question) + 40], question):
            continue
        if marker >= first:
            return marker
        answered = (question or first == end) and unstated(text, begin, marker, format, None)
        if answered:
            return marker
    return end


def _restates(text: str, question: str) -> bool:
    """Whether a text holds most of a question's words."""
    words = set(WORD.findall(question.lower()))
    shared = words & set(WORD.findall(text.lower()))
    return len(words) > 5 and len(shared) >= 0.75 * len(words)


def _fits(statement: Statement, text: str, format: str) -> bool:
    """Whether a statement may be one of this format: words for `text`, else more than marks."""
    if format == "text":
        return True
    if statement.is_heading or statement.pattern.is_words:
        return False
    if format == "number" and statement.goes_on and _is_label(text, statement):
        return False
    return statement.is_empty or STATED.search(text, statement.begin, statement.end) is not None


def _is_label(text: str, statement: Statement) -> bool:
    """Whether `Answer:` only labels the reasoning that follows: "Answer: Tom has 3 + 4 = 7. He eats
    2. So he has 5."."""
    first = next(numbers_in(text, statement.begin, statement.end), None)
    if first is None or _is_bold(text, first.span()):
        return False
    if leads(text, statement.begin, first.start()):
        return VERB.match(text, first.end(), statement.end) is not None
    return True


def _rank(statement: Statement, format: str) -> int:
    if format == "latex" and statement.pattern.name == "box":
        return 1
    if statement.is_empty and statement.pattern.name != "box":
        return -2
    return -1 if statement.is_heading else statement.pattern.rank


def _is_cut(text: str, answer: Answer, statement: Statement) -> bool:
    """Whether an answer goes to the end of a text that was cut off: it may go on."""
    return (
        not statement.pattern.is_exact
        and answer.end is not None
        and answer.end == len(text)
        and (answer.text or "")[-1:].isalnum()
    )


def _refusal(found: Sequence[Statement], at: int, finish_reason: FinishReason) -> str | None:
    """Why a statement doesn't count, or None."""
    statement = found[at]
    if statement.denied:
        return "it says what the answer is not"
    if statement.is_supposed:
        return "it is only supposed"
    if statement.is_asked and len(found) > 1:
        return "it is a question"
    if not statement.is_closed and finish_reason == "length":
        return "the trace was cut off inside it"
    return None


def _read(
    text: str,
    found: Sequence[Statement],
    at: int,
    format: str,
    choices: Sequence[str] | None,
    percent: Fraction | None,
) -> Answer:
    """The answer in a statement; `unparsed` where it is not one of the format."""
    statement = found[at]
    begin, end, name = statement.begin, statement.end, statement.pattern.name
    if statement.is_empty and statement.pattern.name != "box":
        return Answer(status="missing", pattern=name)
    if name == "box":
        first = at
        while first and _joins(text, found[first - 1], found[first]):
            first -= 1
        whole = found[first].cue, end + 1
        if first < at and format != "text":
            return _answer(text, *whole, format, choices, percent, name)
        if format in ("number", "latex") and (sign := PERCENT.match(text, end)):
            return _answer(text, statement.cue, sign.end(), format, choices, percent, name)
    span: tuple[int, int] | None
    if statement.pattern.is_exact:
        span = trim(text, begin, end)
        answer = _answer(text, *span, format, choices, percent, name)
        if answer.status == "ok" or name in ("box", "brackets") or format == "text":
            return answer
        if format == "number" and name == "json" and CALCULATION.match(text, *span):
            return answer
    span = in_statement(text, begin, end, format, choices)
    if span is None:
        return _unparsed(text, statement)
    return _answer(text, *span, format, choices, percent, name)


def _is_bold(text: str, span: tuple[int, int]) -> bool:
    return "**" in text[max(0, span[0] - 3) : span[0]]


def _joins(text: str, one: Statement, other: Statement) -> bool:
    """Whether two boxes are one list: nothing but `and` or a comma stands between them."""
    return (
        one.pattern.name == "box"
        and one.is_closed
        and other.cue - one.end < 24
        and BOXES.fullmatch(text[one.end : other.cue]) is not None
    )


def _is_denied(
    text: str,
    found: Sequence[Statement],
    answer: Answer,
    format: str,
    choices: Sequence[str] | None,
    percent: Fraction | None,
) -> bool:
    """Whether a later statement says that this is not the answer."""
    for at, each in enumerate(found):
        if each.denied and answer.end is not None and each.begin >= answer.end:
            denied = _read(text, found, at, format, choices, percent)
            if denied.canonical == answer.canonical:
                return True
    return False


def _matched(text: str, begin: int, end: int, format: str, finish_reason: FinishReason) -> Answer:
    marker = NEW_QUESTION.search(text, begin, end)
    try:
        span = find_last(format, text, begin, marker.start() if marker else end)
        if span is None and marker:
            span = find_last(format, text, begin, end)
    except TimeoutError:
        return Answer(status="unparsed", pattern="expression")
    if span is None:
        return Answer(status="truncated" if finish_reason == "length" else "missing")
    return _answer(text, *span, format, None, None, "expression")


def _answer(
    text: str,
    begin: int,
    end: int,
    format: str,
    choices: Sequence[str] | None,
    percent: Fraction | None,
    pattern: str,
) -> Answer:
    stated = text[begin:end]
    form = canonical(stated, format, choices, percent)
    if (
        format == "number"
        and POINTED.search(stated)
        and (EURO.match(text, end, end + 8) or has_decimal_commas(text))
    ):
        form = canonical(stated, format, choices, percent, comma=True)
    status: AnswerStatus = "unparsed" if form is None else "ok"
    return Answer(status=status, text=stated, canonical=form, start=begin, end=end, pattern=pattern)


def _unparsed(text: str, statement: Statement) -> Answer:
    begin, end = trim(text, statement.begin, statement.end)
    return Answer(
        status="unparsed",
        text=text[begin:end],
        start=begin,
        end=end,
        pattern=statement.pattern.name,
    )
