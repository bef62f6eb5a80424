r"""Where a text reasons and where it answers: think tags, channels and their like.

>>> text = "<think>Is it 3?</think>It is 4."
>>> text[slice(*answer_region(text))]
'It is 4.'

What models write around their reasoning differs by family:

    <think> <thinking> <thought> <reasoning> <analysis> <scratchpad> <seed:think>   most
    [THINK]…[/THINK]                                                  Mistral's Magistral
    ◁think▷…◁/think▷                                                  Kimi
    <|begin_of_thought|>…<|end_of_thought|><|begin_of_solution|>      Sky-T1, OpenThoughts
    <|START_THINKING|>…<|END_THINKING|><|START_RESPONSE|>             Cohere
    <|channel|>analysis<|message|>…<|channel|>final<|message|>        harmony: gpt-oss
    analysis…assistantfinal…                                          harmony without its tokens
    Here is my thought process: … Here is my response: …              Granite

A closing tag ends all reasoning before it, whether or not it was opened: chat templates open it in
the prompt. What is not closed goes on to the end. A run may say that its model writes other tags
(`--think-tags`), and that its prompts end inside reasoning: `Thinking`, which all functions take.

>>> mine = Thinking(tags=("<plan>", "</plan>"))
>>> text = "<plan>Is it 3?</plan>It is 4."
>>> text[slice(*answer_region(text, mine))]
'It is 4.'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cot.store.identity import Identity

__all__ = [
    "KNOWN",
    "Tag",
    "Thinking",
    "answer_region",
    "closing",
    "opening",
    "opens_in_prompt",
    "stretches",
    "tags_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How a run's texts mark their reasoning."""

    tags: tuple[str, str] | None = None
    """What opens and what closes it, for a model whose tags are not known here; no other text is a
    tag then. None for those that are known."""
    opened: bool = False
    """Whether every text begins inside reasoning that its prompt opened."""

    @classmethod
    def of(cls, identity: Identity) -> Thinking:
        """As a run's identity says."""
        tags = identity.think_tags
        return cls(tags=(tags[0], tags[1]) if tags else None, opened=bool(identity.think_opened))


KNOWN = Thinking()
"""The tags that are known, opened in the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag in a text."""

    start: int
    """First character."""
    end: int
    """One past the last character."""
    closes: bool
    """Whether it ends reasoning."""
    closer: str = ""
    """What ends the reasoning that it begins; empty where it ends some."""
    begins_answer: bool = False
    """Whether it opens the answer's channel, as it does where nothing was reasoned."""


_NAMES = (
    r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|inner_monologue|"
    r"seed:think|internal_thoughts?"
)
TAG = re.compile(
    rf"<(?P<tag>/?)(?:mm:)?(?:{_NAMES})>|\[(?P<bracket>/?)THINK\]|◁(?P<kimi>/?)think▷|"
    r"<\|(?:(?P<begin>begin_of_thought|START_THINKING|thinking|inner_prefix|content_thinking)|"
    r"(?P<end>end_of_thought|END_THINKING|/thinking|inner_suffix|content_text))\|>|"
    r"(?P<open><\|open\|>think<\|sep\|>|<\|channel>thought|"
    r"\AHere(?:'s|’s| is) my thought process:)|"
    r"(?P<close><\|close\|>think<\|sep\|>|<channel\|>|\bHere(?:'s|’s| is) my response:)|"
    r"(?P<channel><\|channel\|>(?:analysis|commentary)[^<]{0,60}<\|message\|>)|"
    r"(?P<final><\|channel\|>final[^<]{0,60}(?:<\|constrain\|>[^<]{0,20})?<\|message\|>)|"
    r"(?P<bare>(?-i:\Aanalysis(?=[A-Z0-9])))|(?P<stripped>assistant\s?final)",
    re.I,
)
"""A tag that opens or closes reasoning."""
NEEDLES = ("<", "THINK]", "think▷", "analysis", "my response:", "[think]", "my thought process:")
"""A text that holds none of them has no tag."""
IN_WORDS = ("my response:", "my thought process:")
"""Marks that begin with a letter, as `analysis` at the head of a text does."""
MARK = re.compile(r"[<\[◁]")
NOT_BLANK = re.compile(r"\S")
SOLUTION = re.compile(
    r"\s*(?:<\|(?:begin_of_solution|START_RESPONSE|START_TEXT)\|>|<\|open\|>response<\|sep\|>|"
    r"<(?:response|output)>)?\s*",
    re.I,
)
LAST = re.compile(
    r"<\|(?:end_of_solution|END_RESPONSE|END_TEXT|return|end|call|end_message)\|>|<\|close\|>response<\|sep\|>",
    re.I,
)


def answer_region(text: str, thinking: Thinking = KNOWN) -> tuple[int, int]:
    """The last stretch outside reasoning that is not blank; empty, at the end, where all is
    reasoning."""
    parts = list(stretches(text, thinking))
    if len(parts) == 1 and not thinking.opened:
        return 0, _last(text, 0)
    for begin, end, reasons in reversed(parts):
        if not reasons:
            solution = SOLUTION.match(text, begin, end)
            begin = solution.end() if solution else begin
            end = min(end, _last(text, begin))
            if NOT_BLANK.search(text, begin, end):
                return begin, end
    return len(text), len(text)


def stretches(text: str, thinking: Thinking = KNOWN) -> Iterator[tuple[int, int, bool]]:
    """What stands before, between and after the tags: its span without them, and whether it is
    reasoning, as all of a text without tags is. A span may be empty."""
    tags = tags_of(text, thinking)
    begin, before = 0, not thinking.opened  # whether what stands before has closed all reasoning
    for tag in tags:
        yield begin, tag.start, tag.closes or not before
        begin, before = tag.end, tag.closes
    yield begin, len(text), not tags or not before


def opens_in_prompt(text: str, thinking: Thinking = KNOWN) -> bool:
    """Whether a text closes reasoning that it has not opened: the prompt opened it."""
    tags = tags_of(text, thinking)
    return bool(tags) and tags[0].closes and not tags[0].begins_answer


def opening(text: str, thinking: Thinking = KNOWN) -> str:
    r"""The tag that opens reasoning at a text's beginning, with the white space around it.

    >>> opening("<think>\n5 + 7 = 12"), opening("5 + 7 = 12")
    ('<think>\n', '')
    """
    tags = tags_of(text, thinking)
    if not tags or tags[0].closes or NOT_BLANK.search(text, 0, tags[0].start):
        return ""
    begin = NOT_BLANK.search(text, tags[0].end)
    return text[: begin.start()] if begin else text


def closing(text: str, prompt: str = "", thinking: Thinking = KNOWN) -> str | None:
    r"""What ends the reasoning that is open at the end of a text; None where none is open.

    Args:
        text: what the model has written so far.
        prompt: what it continues; a tag at its end, as chat templates put it, counts as opened.

    >>> closing("Is it 3?", prompt="<|im_start|>assistant\n<think>\n")
    '</think>'
    >>> closing("<think>Is it 3?</think>It is 4.") is None
    True
    """
    tags = tags_of(text, thinking)
    if not tags:
        tail = prompt[-TAIL:]
        tags = [tag for tag in tags_of(tail, thinking) if not NOT_BLANK.search(tail, tag.end)]
    return None if not tags or tags[-1].closes else tags[-1].closer


TAIL = 100
"""Characters of a prompt's end in which a tag is looked for."""
CLOSERS = {
    "[think]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|END_THINKING|>",
    "<|thinking|>": "<|/thinking|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|content_thinking|>": "<|content_text|>",
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",
    "<|channel>thought": "<channel|>",
    "analysis": "assistantfinal",
}
"""What closes a tag, by the tag in small letters; a tag that is not here is closed by itself with a
slash."""
HARMONY_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


def _closer(tag: re.Match[str]) -> str:
    if tag["channel"]:
        return HARMONY_FINAL
    if tag["open"] and tag["open"].startswith("Here"):
        return "Here is my response:"
    return CLOSERS.get(tag[0].lower(), tag[0].replace("<", "</", 1))


def tags_of(text: str, thinking: Thinking = KNOWN) -> list[Tag]:
    """The tags of a text, in order."""
    if thinking.tags:
        opener, closer = thinking.tags
        return [
            Tag(start=each.start(), end=each.end(), closes=True)
            if each[0] == closer
            else Tag(start=each.start(), end=each.end(), closes=False, closer=closer)
            for each in _either(opener, closer).finditer(text)
        ]
    return [
        Tag(start=each.start(), end=each.end(), closes=True, begins_answer=bool(each["final"]))
        if _closes(each)
        else Tag(start=each.start(), end=each.end(), closes=False, closer=_closer(each))
        for each in _known_tags(text)
    ]


@lru_cache(maxsize=8)
def _either(opener: str, closer: str) -> re.Pattern[str]:
    longer, shorter = sorted((re.escape(opener), re.escape(closer)), key=len, reverse=True)
    return re.compile(f"{longer}|{shorter}")  # a tag may begin with the other one


def _known_tags(text: str) -> list[re.Match[str]]:
    for needle in NEEDLES:
        if needle in text:
            break
    else:
        return []
    if text.startswith("analysis") or any(needle in text for needle in IN_WORDS):
        tags = list(TAG.finditer(text))
    else:  # what every other tag begins with is found much sooner
        places = (mark.start() for mark in MARK.finditer(text))
        tags = [tag for place in places if (tag := TAG.match(text, place))]
    if not any(tag["bare"] for tag in tags):  # the words alone are no channel
        tags = [tag for tag in tags if not tag["stripped"]]
    if tags and not any(tag["open"] for tag in tags):
        tags = [tag for tag in tags if not (tag["close"] or "").startswith("Here")]
    return tags


def _closes(tag: re.Match[str]) -> bool:
    slash = tag["tag"] or tag["bracket"] or tag["kimi"]
    return bool(slash or tag["end"] or tag["close"] or tag["final"] or tag["stripped"])


def _last(text: str, begin: int) -> int:
    """Where the answer's channel ends."""
    if "<|" not in text:
        return len(text)
    end = LAST.search(text, begin)
    return end.start() if end else len(text)
