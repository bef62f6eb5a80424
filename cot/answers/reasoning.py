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
the prompt. What is not closed goes on to the end.
"""

from __future__ import annotations

import re

__all__ = ["answer_region", "opens_in_prompt"]

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


def answer_region(text: str) -> tuple[int, int]:
    """The last stretch outside reasoning that is not blank; empty, at the end, where all is
    reasoning."""
    tags = _tags(text)
    if not tags:
        return 0, _last(text, 0)
    for i in range(len(tags), -1, -1):
        before, after = tags[i - 1] if i else None, tags[i] if i < len(tags) else None
        if (before is None or _closes(before)) and (after is None or not _closes(after)):
            begin = before.end() if before else 0
            end = after.start() if after else len(text)
            solution = SOLUTION.match(text, begin, end)
            begin = solution.end() if solution else begin
            end = min(end, _last(text, begin))
            if NOT_BLANK.search(text, begin, end):
                return begin, end
    return len(text), len(text)


def opens_in_prompt(text: str) -> bool:
    """Whether a text closes reasoning that it has not opened: the prompt opened it."""
    tags = _tags(text)
    return bool(tags) and _closes(tags[0]) and not tags[0]["final"]


def _tags(text: str) -> list[re.Match[str]]:
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
