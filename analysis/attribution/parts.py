"""What an attribution is summed over: the prompt's parts, the reasoning's steps, the answer's cue.

    You are a careful solver.            instruction
    Q: Mia has 5 books. … A: … 12.       exemplars
    Q:                                   instruction
    Hal has 9 stamps. …                  question
    A:                                   instruction
     Hal has 9 + 5 = 14.                 step 0
     The answer is                       answer_cue

The question is found by its text, which the run stores; exemplars by what stands right before it
("Q: ", or the user's turn), where that begins a line earlier in the prompt too. A prompt in which
the question can't be found is one part, `prompt`. Each token is in one part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.interventions.cases import Case, Pair
from cot.tokens import char_to_token, token_spans

__all__ = ["PARTS", "PROMPT_PARTS", "Part", "Target", "prompt_parts", "target_of"]

PROMPT_PARTS = ("exemplars", "question", "instruction", "prompt")
PARTS = (*PROMPT_PARTS, "step", "answer_cue")
"""Names of parts, in the order of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some tokens of prompt and trace whose attributions are summed."""

    name: str
    """One of PARTS."""
    step: int | None = None
    """Number of a step, as in the table `steps`."""
    spans: tuple[range, ...]
    """Its tokens, ascending; 0 is the first generated one, -1 the prompt's last."""

    @property
    def n_tokens(self) -> int:
        """Tokens."""
        return sum(map(len, self.spans))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What is attributed: a trace's log-odds of its own answer against another one, and the parts
    of all that is read before it."""

    case: Case
    """The trace."""
    pair: Pair
    """The two answers, and where they are read."""
    parts: Sequence[Part]
    """They hold each token up to `pair.read` once."""

    @property
    def key(self) -> tuple[str, int]:
        """question_id and sample_index."""
        return self.case.key

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Prompt and trace up to where the answers part."""
        return (*self.case.prompt_ids, *self.case.token_ids[: self.pair.read + 1])

    @property
    def steps(self) -> Sequence[Part]:
        """All steps of the reasoning."""
        return [part for part in self.parts if part.step is not None]

    def some_steps(self, most: int) -> Sequence[Part]:
        """At most so many steps, evenly by tokens; 0 is all."""
        taken = self.case.some_steps(most)
        return [part for part in self.steps if part.step in taken]

    def summed(self, values: NDArray[np.float64]) -> dict[Part, float]:
        """The sum over each part's tokens.

        Args:
            values: of each token, those of the prompt first, shape [token].
        """
        first = len(self.case.prompt_ids)
        return {
            part: float(sum(values[first + at.start : first + at.stop].sum() for at in part.spans))
            for part in self.parts
        }


def target_of(case: Case, pair: Pair, prompt: Sequence[Part]) -> Target:
    """A trace's parts.

    Args:
        prompt: what `prompt_parts` gives.
    """
    steps = [Part(name="step", step=step, spans=(tokens,)) for step, tokens in case.steps.items()]
    end = max((tokens.stop for tokens in case.steps.values()), default=0)
    cue = range(end, pair.read + 1)
    rest = [Part(name="answer_cue", spans=(cue,))] if cue else []
    return Target(case=case, pair=pair, parts=[*prompt, *steps, *rest])


def prompt_parts(tokenizer: Any, ids: Sequence[int], question: Mapping[str, Any]) -> list[Part]:
    """The parts of a prompt, in the order of PARTS; empty ones are left out.

    Args:
        ids: the prompt's tokens.
        question: `text` and `choices` of it.
    """
    n = len(ids)
    written = tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    asked = str(question["text"] or "").strip()
    at = written.rfind(asked) if asked else -1
    if at < 0:
        return [Part(name="prompt", spans=(range(-n, 0),))]
    end = _choices_end(written, at + len(asked), question["choices"])
    spans = token_spans(tokenizer, ids, written)
    own = range(*char_to_token(spans, at, end))
    shots = range(0)
    if (begins := _exemplars(written[:at])) is not None:
        shots = range(*char_to_token(spans, *begins))
        shots = range(shots.start, min(shots.stop, own.start))
    rest = _runs([place for place in range(n) if place not in own and place not in shots])
    found = {"exemplars": (shots,), "question": (own,), "instruction": rest}
    return [
        Part(name=name, spans=tuple(range(at.start - n, at.stop - n) for at in some if at))
        for name, some in found.items()
        if any(some)
    ]


def _choices_end(written: str, end: int, choices: Any) -> int:
    """Where the question ends: after its choices, where all of them follow it."""
    here = end
    for choice in () if choices is None else choices:
        found = written.find(str(choice).strip(), here)
        if found < 0:
            return end
        here = found + len(str(choice).strip())
    return here


def _exemplars(before: str) -> tuple[int, int] | None:
    """First and one past the last character of the exemplars in what stands before the question;
    None where there are none.

    >>> _exemplars("Add.\\nQ: 1 + 1?\\nA: 2\\nQ: ")
    (5, 20)
    """
    last = re.search(r"[^\n]*\n*\Z", before)
    marker = last.group() if last else ""
    if not marker.strip():
        return None
    end = len(before) - len(marker)
    first = 0 if before.startswith(marker) else before.find("\n" + marker) + 1
    return (first, end) if before[first:].startswith(marker) and first < end else None


def _runs(places: Sequence[int]) -> tuple[range, ...]:
    """Ascending numbers as ranges without gaps.

    >>> _runs([0, 1, 4])
    (range(0, 2), range(4, 5))
    """
    starts = [place for i, place in enumerate(places) if not i or places[i - 1] != place - 1]
    stops = [place + 1 for i, place in enumerate(places) if places[i + 1 : i + 2] != [place + 1]]
    return tuple(map(range, starts, stops))
