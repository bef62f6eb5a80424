"""A prompt: a template with its exemplars, rendered as chat messages or as plain text.

The plain-text form is a page of solved questions with the last one left open:

    Question: <exemplar's question>
    Answer: <exemplar's reasoning> The answer is 12.

    Question: <the question>
    (A) <first choice, where there are choices>
    Answer:

Few-shot chains of thought: Wei et al. 2022, arXiv 2201.11903. A prefill such as "Let's think step
by step." begins the answer for the model: Kojima et al. 2022, arXiv 2205.11916.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from prompts.exemplar import Exemplar
from prompts.render import letters, render

__all__ = ["Template"]


@dataclass(frozen=True, kw_only=True)
class Template:
    """A loaded prompt."""

    name: str
    """Name of a bundled prompt, or the stem of the user's file."""
    description: str
    """One line for lists."""
    user: str
    """Jinja source of the user's turn; sees `question` and `choices` (lines such as `(A) ice`)."""
    assistant: str = ""
    """Jinja source of an exemplar's answer; sees `reasoning` and `answer` too."""
    system: str = ""
    """Text of the system's turn, as it stands, or empty."""
    prefill: str = ""
    """Beginning of the model's answer, written for it, or empty."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion of the plain-text form."""
    uses_exemplars: bool = False
    """Whether the file asks for exemplars."""
    exemplars: tuple[Exemplar, ...] = ()
    """The worked examples shown, in order."""

    def messages(
        self, question: str, choices: Sequence[str] | None = None
    ) -> tuple[dict[str, str], ...]:
        """Chat turns: the system's, the exemplars as user and assistant, then the question.

        With a prefill the last turn is the assistant's and holds it: render such messages with
        `apply_chat_template(..., continue_final_message=True)`, all others with
        `add_generation_prompt=True`.
        """
        turns = [{"role": "system", "content": self.system}] if self.system else []
        for exemplar in self.exemplars:
            turns.append(
                {"role": "user", "content": self._ask(exemplar.question, exemplar.choices)}
            )
            turns.append({"role": "assistant", "content": self._solve(exemplar)})
        turns.append({"role": "user", "content": self._ask(question, choices)})
        if self.prefill:
            turns.append({"role": "assistant", "content": self.prefill})
        return tuple(turns)

    def text(self, question: str, choices: Sequence[str] | None = None) -> str:
        """Plain text for a completion; it has no white space at its end."""
        blocks = [self.system] if self.system else []
        for exemplar in self.exemplars:
            asked = self._ask(exemplar.question, exemplar.choices)
            blocks.append(f"Question: {asked}\nAnswer: {self._solve(exemplar)}")
        blocks.append(f"Question: {self._ask(question, choices)}\nAnswer: {self.prefill}".rstrip())
        return "\n\n".join(blocks)

    @cached_property
    def sha256(self) -> str:
        """Identity: hash of the sources, the prefill, the stop strings and the exemplars used."""
        parts = [self.system, self.user, self.assistant, self.prefill, self.stop]
        shown = [
            [exemplar.question, exemplar.choices, exemplar.reasoning, exemplar.answer]
            for exemplar in self.exemplars
        ]
        return sha256(json.dumps([*parts, shown]).encode()).hexdigest()

    def _ask(self, question: str, choices: Sequence[str] | None) -> str:
        return render(self.user, question=question, choices=_lines(choices))

    def _solve(self, exemplar: Exemplar) -> str:
        return render(
            self.assistant,
            question=exemplar.question,
            choices=_lines(exemplar.choices),
            reasoning=exemplar.reasoning,
            answer=exemplar.stated_answer,
        )


def _lines(choices: Sequence[str] | None) -> list[str]:
    given = choices or ()
    return [f"({letter}) {text}" for letter, text in zip(letters(len(given)), given, strict=True)]
