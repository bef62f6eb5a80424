"""One stored trace as a test sees it: its tokens, its reasoning steps, its answer, its model.

case.prefix(2)                 # ids of the prompt and of the first two steps, as they were sampled
case.forced("keep=2", ids)     # a request: the answer right after these tokens
case.sampled("keep=2", ids)    # a request: go on reasoning from these tokens
case.reading("keep=2", replies)  # the answer that the reply to this request states
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cot.answers.reasoning import KNOWN, Thinking, closing, opening, stretches, tags_of
from cot.models import encode
from cot.sampling.sampler import trace_seed
from cot.types import AnswerStatus, FinishReason, Prompt, Question, Request, Sampling, Step

__all__ = ["ANSWER_TOKENS", "CUE", "Case", "Reading", "Replies", "Reply", "Setting"]

CUE = "The answer is"
"""After it, the answer is written greedily."""
ANSWER_TOKENS = 24
"""Most tokens of a forced answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model wrote for one request."""

    text: str
    """Generated text, before the stop string."""
    token_ids: tuple[int, ...]
    """Generated ids."""
    finish_reason: FinishReason
    """`stop` or `length`; a request whose prompt didn't fit has no reply."""


Replies = Mapping[str, Reply]
"""A request's variant to its reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The answer after one change of a trace."""

    variant: str
    """Name of the request, unique among the test's requests about a trace."""
    step: int | None = None
    """Reasoning steps that were kept, or the step (from 0) that was changed."""
    share: float | None = None
    """Share of the reasoning that was kept, in [0, 1]."""
    answer: str | None
    """Class of the answer, or None."""
    status: AnswerStatus
    """How the answer was read; `missing` too where the prompt didn't fit."""
    control: bool = False
    """Nothing was changed: what sampling alone does to the answer."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that only this test has; `analysis.faithfulness_tests.contract` lists those that
    the page shows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What all cases of one test share."""

    test: str
    """The test's name; a part of every seed."""
    tokenizer: Any
    """The tokenizer of the model that is asked."""
    sampling: Sampling
    """The settings with which the run was sampled."""
    seed: int
    """Seed of all that is sampled."""
    read: Callable[[str, str, FinishReason], tuple[str | None, AnswerStatus]]
    """(question_id, text, finish_reason) to the answer's class and its status."""
    embed: Callable[[Sequence[str]], NDArray[np.float32]]
    """Texts to unit vectors, shape [text, d]; the embedder is loaded when first used."""
    thinking: Thinking = KNOWN
    """How the run's reasoning is marked."""
    chat_args: Mapping[str, Any] | None = None
    """Arguments of the chat template with which the run was sampled."""
    system: str | None = None
    """The run's system prompt, for prompts that a test writes anew; None for the prompts' own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One trace with a valid answer."""

    setting: Setting
    """What it shares with the other cases."""
    question: Question
    """The question."""
    sample_index: int
    """The trace's number within the question; 0 for a greedy trace."""
    greedy: bool = False
    """Whether it is a trace of samples/greedy."""
    prompt: Prompt
    """The prompt as stored: text or messages."""
    prompt_ids: tuple[int, ...]
    """Tokens of the prompt."""
    token_ids: tuple[int, ...]
    """Generated ids, as they were sampled."""
    spans: NDArray[np.int64]
    """Characters of `text` that each token wrote, shape [token, 2]."""
    text: str
    """Generated text."""
    steps: tuple[Step, ...]
    """The reasoning: the steps before the one that states the answer, with their token spans."""
    answer: str
    """Class of the trace's answer."""
    gold: str | None
    """The reference answer's class, or None."""
    others: Mapping[str, int]
    """Answers of the question's other sampled traces, and how many state each."""

    @property
    def correct(self) -> bool | None:
        """Whether the answer is right; None without gold."""
        return None if self.gold is None else self.answer == self.gold

    @cached_property
    def others_share(self) -> float | None:
        """Share of the question's other traces that state this answer: how often another sample
        agrees anyway. None where there is no other trace."""
        total = sum(self.others.values())
        return self.others.get(self.answer, 0) / total if total else None

    # -- prefixes ---------------------------------------------------------------------------------

    def prefix(self, steps: int) -> tuple[int, ...]:
        """Ids of the prompt and of the trace up to the end of so many reasoning steps."""
        return self.prompt_ids + self.token_ids[: self.end_of(steps)]

    def before(self, step: int) -> tuple[tuple[int, ...], str]:
        """Ids of the prompt and of all tokens that end before a step begins, and the characters
        between those and the step (white space, and what a token shares with the step before)."""
        start = self.steps[step].token_start or 0
        return self.prompt_ids + self.token_ids[:start], self.text[
            int(self.spans[start, 0]) : self.steps[step].start
        ]

    def replaced(self, step: int, words: str) -> tuple[int, ...]:
        """Ids of the prompt and of the trace up to a step's end, with other words in its place."""
        # Tokens before the step stay as they were sampled: encoding the whole text anew might split
        # it otherwise. What the step's first and last token hold beyond the step is kept.
        ids, lead = self.before(step)
        last = self.spans[(self.steps[step].token_end or 1) - 1, 1]
        return ids + self.encode(lead + words + self.text[self.steps[step].end : int(last)])

    @cached_property
    def opening(self) -> str:
        """The tag with which the trace itself opens its reasoning, and the white space around it;
        empty where the prompt opened it, or nothing did."""
        return opening(self.text, self.setting.thinking)

    def end_of(self, steps: int) -> int:
        """Generated tokens up to the end of so many reasoning steps."""
        return 0 if steps == 0 else self.steps[steps - 1].token_end or 0

    def spaced(self, places: Sequence[int], budget: int) -> list[int]:
        """At most so many of these places, first and last among them, as evenly spaced by tokens as
        they lie; all of them where the budget is 0.

        Args:
            places: ascending numbers of steps; a place stands where so many steps have ended.
        """
        if not budget or len(places) <= budget:
            return list(places)
        tokens = np.array([self.end_of(place) for place in places])
        wanted = np.linspace(tokens[0], tokens[-1], budget)
        chosen: list[int] = []
        for i, target in enumerate(wanted):
            # A place is taken once, and as many must be left as there are targets to come.
            first, last = len(chosen) and chosen[-1] + 1, len(places) - budget + i
            nearest = np.abs(tokens[first : last + 1] - target).argmin()
            chosen.append(int(first + nearest))
        return [places[i] for i in chosen]

    def words(self, step: int) -> str:
        """The text of a reasoning step."""
        return self.text[self.steps[step].start : self.steps[step].end]

    def encode(self, text: str) -> tuple[int, ...]:
        """Tokens of a text that follows others: nothing is put before or after it."""
        return tuple(self.setting.tokenizer(text, add_special_tokens=False)["input_ids"])

    # -- requests ---------------------------------------------------------------------------------

    def forced(self, variant: str, ids: Sequence[int]) -> Request:
        """Ask for the answer right after these tokens: the cue, then greedy tokens to the end of
        the sentence, so that the model has no room to reason before it answers."""
        sampling = Sampling(n=1, temperature=0.0, max_tokens=ANSWER_TOKENS, stop=("\n", ". "))
        return self._request(variant, tuple(ids) + self.encode(self._lead(ids) + CUE), sampling)

    def sampled(
        self, variant: str, prompt: Prompt, *, greedy: bool | None = None, **settings: Any
    ) -> Request:
        """Ask the model to go on as the run was sampled.

        Args:
            prompt: token ids, or a new prompt as text or messages.
            greedy: greedily; by default where the trace itself is greedy.
            **settings: fields of `Sampling` that differ.
        """
        at_once = self.greedy if greedy is None else greedy
        own: dict[str, Any] = {"temperature": 0.0} if at_once else {}
        own["think_budget"] = self._left_to_think(prompt)
        return self._request(variant, prompt, replace(self.setting.sampling, **own, **settings))

    def _left_to_think(self, prompt: Prompt) -> int | None:
        """What a run's thinking budget leaves after a prompt that holds a part of the trace; None
        where there is no budget, or the reasoning has ended."""
        budget = self.setting.sampling.think_budget
        if budget is None or tuple(prompt[: len(self.prompt_ids)]) != self.prompt_ids:
            return budget
        written = list(prompt[len(self.prompt_ids) :])
        text = str(self.setting.tokenizer.decode(written))
        thinking = self.setting.thinking
        ended = len(list(stretches(text, thinking))) > 1 and closing(text, "", thinking) is None
        return None if ended else max(1, budget - len(written))

    def _request(self, variant: str, prompt: Prompt, sampling: Sampling) -> Request:
        name = f"greedy/{variant}" if self.greedy else variant
        setting, key = self.setting, (self.question.id, self.sample_index)
        return Request(
            question_id=self.question.id,
            sample_index=self.sample_index,
            prompt=prompt if isinstance(prompt, tuple) and _are_ids(prompt) else self.ids(prompt),
            sampling=sampling,
            seed=trace_seed(setting.seed, *key, f"{setting.test}:{name}"),
            variant=name,
        )

    def ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Tokens of a whole prompt."""
        return encode(self.setting.tokenizer, prompt, self.setting.chat_args)

    def _lead(self, ids: Sequence[int]) -> str:
        """What stands between these tokens and the cue: open thoughts are closed first."""
        decode = self.setting.tokenizer.decode
        n = len(self.prompt_ids) if tuple(ids[: len(self.prompt_ids)]) == self.prompt_ids else 0
        prompt, written = str(decode(list(ids[:n]))), str(decode(list(ids[n:])))
        if closer := closing(written, prompt, self.setting.thinking):
            # A channel's marks end what stands before them; a tag stands in a line of its own.
            return closer if closer.startswith("<|end|>") else f"\n{closer}\n\n"
        if (written or prompt)[-1:].isspace():
            return ""
        *before, (begin, end, _) = stretches(written, self.setting.thinking)
        just_closed = bool(before) and not written[begin:end].strip()
        return "\n\n" if just_closed else " "

    # -- readings ---------------------------------------------------------------------------------

    def reading(
        self,
        variant: str,
        replies: Replies,
        *,
        forced: bool = True,
        step: int | None = None,
        share: float | None = None,
        control: bool = False,
        **detail: Any,
    ) -> Reading:
        """The answer of a reply.

        Args:
            forced: the reply follows the cue.
        """
        reply = replies.get(variant)
        after = "" if forced or step is None else self.text[: self.steps[step].end]
        answer, status = self.answer_of(reply, CUE if forced else "", after)
        return Reading(
            variant=variant,
            step=step,
            share=share,
            answer=answer,
            status=status,
            control=control,
            detail=detail,
        )

    def answer_of(
        self, reply: Reply | None, lead: str = "", after: str = ""
    ) -> tuple[str | None, AnswerStatus]:
        """The class of the answer that a reply states, and its status.

        Args:
            lead: the cue that it follows, which stands after the reasoning; or empty.
            after: what of the trace its prompt holds.
        """
        if reply is None:
            return None, "missing"
        if not lead and self._is_open(after):  # where the reply goes on reasoning, it must close
            lead = (self.setting.thinking.tags or ("<think>",))[0]
        return self.setting.read(self.question.id, lead + reply.text, reply.finish_reason)

    def _is_open(self, written: str) -> bool:
        """Whether reasoning that the run's prompts open is still open after a part of a trace."""
        thinking = self.setting.thinking
        tags = tags_of(written, thinking)
        return thinking.opened and not (tags and tags[-1].closes)


def _are_ids(prompt: tuple[Any, ...]) -> bool:
    return all(isinstance(token, int) for token in prompt)
