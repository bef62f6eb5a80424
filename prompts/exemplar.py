"""Worked examples shown before the question, read from TOML or JSON Lines.

TOML holds one `[[exemplar]]` table each, JSON Lines one object a line, with the same fields:

    [[exemplar]]
    question = "Which of these is frozen water?"
    choices = ["steam", "ice"]          # only for multiple choice
    reasoning = "Water that freezes becomes ice."
    answer = "B"                        # a letter where there are choices
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompts.errors import PromptError
from prompts.render import letters

__all__ = ["Exemplar", "read_exemplars"]

FIELDS = ("question", "choices", "reasoning", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """One worked example."""

    question: str
    """The question, without choices."""
    reasoning: str
    """The worked solution, without the sentence that states the answer."""
    answer: str
    """The answer; a letter where there are choices."""
    choices: tuple[str, ...] | None = None
    """Texts of the options in order, without letters, or None."""

    @property
    def stated_answer(self) -> str:
        """The answer as a solution states it: `12`, or `(B)` where there are choices."""
        return f"({self.answer})" if self.choices else self.answer


def read_exemplars(path: Path) -> tuple[Exemplar, ...]:
    """All exemplars of a `.toml` or `.jsonl` file, in order.

    Raises:
        PromptError: naming the file, the line or entry, and the field.
    """
    readers = {".toml": _read_toml, ".jsonl": _read_jsonl}
    if path.suffix not in readers:
        raise PromptError(f"{path}: exemplars are read from .toml or .jsonl files")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PromptError(f"{path}: is not UTF-8 text") from None
    found = tuple(_exemplar(entry, at) for entry, at in readers[path.suffix](text, path))
    if not found:
        raise PromptError(f"{path}: holds no exemplar; in TOML each is an [[exemplar]] table")
    return found


def _read_toml(text: str, path: Path) -> Iterator[tuple[Any, str]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path}: is not TOML: {error}") from None
    entries = document.get("exemplar", [])
    if document.keys() - {"exemplar"} or not isinstance(entries, list):
        raise PromptError(f"{path}: only [[exemplar]] tables are understood")
    for number, entry in enumerate(entries, start=1):
        yield entry, f"{path}: exemplar {number}"


def _read_jsonl(text: str, path: Path) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line), f"{path}:{number}"
        except json.JSONDecodeError as error:
            raise PromptError(f"{path}:{number}: is not JSON: {error.msg}") from None


def _exemplar(entry: Any, at: str) -> Exemplar:
    if not isinstance(entry, dict):
        raise PromptError(f"{at}: must be an object with the fields {', '.join(FIELDS)}")
    if unknown := entry.keys() - set(FIELDS):
        raise PromptError(
            f"{at}: unknown field {', '.join(sorted(unknown))}: use {', '.join(FIELDS)}"
        )
    choices = entry.get("choices")
    answer = _text(entry, "answer", at)
    if choices is not None:
        if not isinstance(choices, list) or not all(isinstance(text, str) for text in choices):
            raise PromptError(f"{at}: field choices must be a list of texts")
        valid = letters(len(choices))
        if answer not in tuple(valid):
            raise PromptError(
                f"{at}: field answer is {answer!r}, but must be a letter of {valid or 'a choice'}"
            )
    return Exemplar(
        question=_text(entry, "question", at),
        reasoning=_text(entry, "reasoning", at),
        answer=answer,
        choices=None if choices is None else tuple(choices),
    )


def _text(entry: dict[str, Any], field: str, at: str) -> str:
    if field not in entry:
        raise PromptError(f"{at}: field {field} is missing")
    value = entry[field]
    if field == "answer" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise PromptError(f"{at}: field {field} must be a text that is not empty")
    return value.strip()
