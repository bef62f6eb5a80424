"""Where a question stands in a stored prompt, and the prompt with something put beside or for it.

    >>> question = Question(id="q", text="2 + 2?")
    >>> add_after("Question: 2 + 2?\\nAnswer:", question, "I say 5.")
    'Question: 2 + 2? I say 5.\\nAnswer:'

The last place counts, in the last turn of the user where the prompt is messages: an exemplar may
ask the same. All else stays as it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cot.types import Message, Prompt, Question

__all__ = ["NOT_FOUND", "add_after", "put_for"]

NOT_FOUND = "the prompt doesn't hold the question's text"
"""Why a trace is left out where `add_after` and `put_for` give None."""


def add_after(prompt: Prompt, question: Question, words: str) -> Prompt | None:
    """The prompt with words after the question, and after its choices where they follow it, on a
    line of their own then; None where the question isn't found."""

    def add(text: str, start: int, end: int) -> str:
        choices = _choices(text, end, question)
        gap = "\n" if choices > end else " "
        return text[:choices] + gap + words + text[choices:]

    return _edited(prompt, question, add)


def put_for(prompt: Prompt, question: Question, words: str) -> Prompt | None:
    """The prompt with words in place of the question; None where it isn't found."""
    return _edited(prompt, question, lambda text, start, end: text[:start] + words + text[end:])


def _edited(
    prompt: Prompt, question: Question, edit: Callable[[str, int, int], str]
) -> Prompt | None:
    if isinstance(prompt, str):
        return _edited_text(prompt, question, edit)
    turns: list[Message] = [turn for turn in prompt if not isinstance(turn, int)]
    asked = [i for i, turn in enumerate(turns) if turn["role"] == "user"]
    if not asked:
        return None
    new = _edited_text(turns[asked[-1]]["content"], question, edit)
    if new is None:
        return None
    turns[asked[-1]] = {**turns[asked[-1]], "content": new}
    return tuple(turns)


def _edited_text(text: str, question: Question, edit: Callable[[str, int, int], str]) -> str | None:
    asked = question.text.strip()
    start = text.rfind(asked) if asked else -1
    return None if start < 0 else edit(text, start, start + len(asked))


def _choices(text: str, end: int, question: Question) -> int:
    """Where the choices end that follow the question; `end` where they don't."""
    if not question.choices:
        return end
    lines = r"".join(
        rf"\s*\(?{letter}[).:]?\s*{re.escape(choice.strip())}"
        for letter, choice in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", question.choices, strict=False)
    )
    found = re.compile(lines).match(text, end)
    return found.end() if found else end
