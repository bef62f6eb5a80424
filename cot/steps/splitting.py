r"""Steps: the sentences and lines of a chain of thought, as exact spans of its raw text.

A step ends at a line break, at a think tag (`cot.answers.reasoning` names them) or `<answer>`,
after `.`, `!` or `?` followed by white space, and after a CJK full stop. Decimals, abbreviations,
initials, ellipses, factorials and the number of a list item don't end one, and nothing but a think
tag does inside a code fence, `\[...\]`, `$$...$$` or a LaTeX environment. Pieces shorter than ten
characters, and bare markers (`**Step 12:**`), join the next, and the last joins the one before it;
none joins over a think tag. White space between steps belongs to none of them, so that spans and
the gaps between them give the text back. Time is linear in the text's length.

    >>> text = "Mia has 5. She buys 7 more, so 5 + 7 = 12. The answer is 12."
    >>> [text[span.start : span.end] for span in segment(text)]
    ['Mia has 5.', 'She buys 7 more, so 5 + 7 = 12.', 'The answer is 12.']
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cot.answers.reasoning import KNOWN, Thinking, stretches
from cot.steps.kinds import RULES, Rule, kinds_of

__all__ = ["MINIMUM_LENGTH", "Part", "Span", "segment"]

Part = Literal["reasoning", "answer"]
MINIMUM_LENGTH = 10
"""Characters; shorter pieces are merged."""

BREAK = re.compile(
    r"(?=[\r\n\u2028\u2029<.!?。！？｡`~$\\])(?:"  # all else is passed over four times as fast
    r"(?P<line>[\r\n\u2028\u2029]++[ \t]*+)"
    r"|(?P<tag></?answer>)"
    r"|(?P<stop>(?<![.!?])[.!?]++)[)\]}\"'*_”’»$`\\]*+(?=\s)"
    r"|[。！？｡]++[)\]}\"'*_”’»」』）】]*+"
    r"|(?P<fence>`{3,}+|~{3,}+)"
    r"|(?<!\\)(?P<display>\$\$|\\\[)"
    r"|\\begin\{(?P<environment>(?:equation|align|gather|alignat|multline|eqnarray|flalign)\*?"
    r"|aligned|gathered|alignedat|split|cases|array|[bpvBV]?matrix|tabular|verbatim)\})"
)
FENCE = {"`": re.compile(r"[^`\r\n]*+(?=[\r\n]|\Z)"), "~": re.compile(r"[^\r\n]*+")}
"""What may follow an opening fence on its line."""
INDENT = re.compile(r"[ \t]*+")
BLANK_LINE = re.compile(r"\n[ \t\r]*+\n")
BARE = re.compile(
    r"(?:</?answer>|\bstep\s+\d{1,3}\b|[\W_])*+"
    r"(?:(?:\d{1,3}|[a-z])[.)])?[\W_]*",
    re.I,
)
"""A piece that says nothing by itself: rules, tags, bullets, the number of an item or a step."""

LIST_NUMBER = re.compile(r"[\W_]*(?:step\s+)?(?:\d{1,3}|[a-z])", re.I)
NEVER_LAST = frozenset("mr mrs ms dr prof st vs e.g i.e viz cf approx".split())
"""Abbreviations that something always follows."""
BEFORE_NUMBER = frozenset("no nos fig figs eq eqs sec p pp vol ch ex".split())
"""Words that a number follows where they are abbreviations."""
INSIDE = frozenset(
    "etc min mins max hr hrs oz lb lbs ft in yd mi cm mm km kg tbsp tsp pt qt gal avg est incl"
    " a.m p.m u.s u.k ph.d al jr sr inc co ltd dept".split()
)
"""Abbreviations that may end a sentence: one goes on where the next letter is a small one."""
BEFORE_CHOICE = frozenset(
    "is are was be not answer option options choice choose select pick point points plan case part"
    " figure line to with and or".split()
)
STARTERS = frozenset(
    "the then so this that it now next he she they we you i if therefore thus hence but and or in"
    " for let since because to a an first finally".split()
)
"""Around a capital letter: a choice ("the answer is B. Then"); else an initial ("J. Smith")."""
NEXT_WORD = re.compile(r"\s*+(\S?[^\W\d_]{0,20})")


@dataclass(frozen=True, slots=True)
class Span:
    """One step's place in the text."""

    start: int
    """First character."""
    end: int
    """One past the last character."""
    kind: str
    """What it does: see `cot.steps.KINDS`."""
    part: Part = "reasoning"
    """Whether it stands inside or outside the think tags; `reasoning` where there are none."""


def segment(text: str, rules: Sequence[Rule] = RULES, thinking: Thinking = KNOWN) -> list[Span]:
    """Steps of a chain of thought, in order; none for white space alone.

    The last piece counts even where nothing ends it. A tag belongs to the reasoning that it opens
    or closes; around reasoning that is blank, to the next step. Where no step outside the tags says
    that it answers, the last of them does.
    """
    places: list[tuple[int, int, Part]] = []
    said: list[str] = []  # what each step says, without the tags around it
    lead: int | None = None  # where tags begin that belong to the next step
    closable, last = False, 0  # whether a tag belongs to the step before it; the last stretch's end
    parts: tuple[Part, Part] = ("answer", "reasoning")
    for begin, end, reasons in stretches(text, thinking):
        if closable:
            places[-1] = (places[-1][0], begin, "reasoning")
        elif lead is None and last < begin:
            lead = last
        inside = text[begin:end]
        pieces = _merge(inside, _split(inside))
        for start, stop in pieces:
            places.append((begin + start if lead is None else lead, begin + stop, parts[reasons]))
            said.append(inside[start:stop])
            lead = None
        closable, last = reasons and bool(pieces), end
    if lead is not None:  # tags that no step follows
        if places:
            places[-1] = (places[-1][0], last, places[-1][2])
        else:
            places, said = [(lead, last, "reasoning")], [""]
    kinds = kinds_of(said, rules)
    answering = [i for i, (_, _, part) in enumerate(places) if part == "answer"]
    if answering and all(kinds[i] != "answer" for i in answering):
        kinds[answering[-1]] = "answer"
    return [
        Span(start, end, kind, part) for (start, end, part), kind in zip(places, kinds, strict=True)
    ]


def _split(text: str) -> list[tuple[int, int]]:
    """Pieces, without white space around them."""
    pieces: list[tuple[int, int]] = []
    start = at = 0
    unclosed: set[str] = set()
    indented = INDENT.match(text)
    head = indented.end() if indented else 0  # where the line begins, its indentation left out
    while match := BREAK.search(text, at):
        end = at = match.end()
        if match["line"]:
            head = end
        if match["fence"]:
            if match.start() == head and (line := FENCE[match["fence"][0]].match(text, end)):
                at = _end_of_fence(text, match["fence"], line.end())
            continue
        if opener := match["display"] or match["environment"]:
            at = _end_of_block(text, opener, at, unclosed)
            continue
        if match["stop"] and _is_inside(text, start, match):
            continue
        if match["tag"] and match["tag"][1] != "/":
            end = match.start()
        if match["tag"] and end == at and pieces and not text[start : match.start()].strip():
            pieces[-1] = (pieces[-1][0], end)  # a closing tag belongs to what it closes
        else:
            _append(pieces, text, start, end)
        start = end
    _append(pieces, text, start, len(text))
    return pieces


def _end_of_fence(text: str, mark: str, at: int) -> int:
    """Where the last line ends of a code fence whose first ends at `at`; one that nothing closes
    runs to the end of the text."""
    closer = re.compile(rf"^[ \t]*+{mark[0]}{{{len(mark)},}}+[ \t]*+(?=[\r\n]|\Z)", re.M)
    found = closer.search(text, at)
    return found.end() if found else len(text)


def _end_of_block(text: str, opener: str, at: int, unclosed: set[str]) -> int:
    """Where the formula that `opener` opened just before `at` ends; `at` where it doesn't."""
    closer = {"$$": "$$", "\\[": "\\]"}.get(opener, rf"\end{{{opener}}}")
    if closer in unclosed:
        return at
    end = text.find(closer, at)
    if end < 0:
        unclosed.add(closer)  # nor will it be found further on
        return at
    if opener == "$$" and BLANK_LINE.search(text, at, end):
        return at
    return end + len(closer)


def _is_inside(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a sentence that began at `start` goes on after this full stop."""
    stop, at = match["stop"], match.start()
    if len(stop) > 1:
        return "!" not in stop and "?" not in stop
    if at == start or not text[at - 1].isalnum():
        return False
    found = NEXT_WORD.match(text, match.end(), match.end() + 60)
    follows = found[1] if found else ""
    if stop[0] != ".":  # 5! = 120
        return stop[0] == "!" and text[at - 1].isdigit() and not follows[:1].isupper()
    head = text[max(start, at - 40) : at]
    if at - start < 40 and LIST_NUMBER.fullmatch(head):
        return True
    before, word = ["", *head.rsplit(maxsplit=2)][-2:]
    word = word.lstrip("*_([\"'")
    is_initial = (
        follows[:1].isupper()
        and word.isupper()
        and max(map(len, word.split("."))) == 1
        and before.lower().strip("*_(:,") not in BEFORE_CHOICE
        and (len(follows) == 1 or follows.lower() not in STARTERS)
    )
    word = word.lower()
    return (
        is_initial
        or word in NEVER_LAST
        or (word in BEFORE_NUMBER and follows[:1].isdigit())
        or (word in INSIDE and follows[:1].islower())
    )


def _append(pieces: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if words := piece.strip():
        start += len(piece) - len(piece.lstrip())
        pieces.append((start, start + len(words)))


def _merge(text: str, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pieces, those that are no step by themselves joined to the next."""
    merged: list[tuple[int, int]] = []
    pending: int | None = None
    for start, end in pieces:
        begin = start if pending is None else pending
        if end - begin < MINIMUM_LENGTH or BARE.fullmatch(text, start, end):
            pending = begin
        else:
            merged.append((begin, end))
            pending = None
    if pending is not None:
        begin = merged.pop()[0] if merged else pending
        merged.append((begin, pieces[-1][1]))
    return merged
