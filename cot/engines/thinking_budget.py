"""A thinking budget: the end of the reasoning is forced, and the answer is sampled after it.

Budget forcing (s1, arXiv:2501.19393): a completion that has no end tag after `think_budget` tokens
gets `think_end`'s tokens next, whatever the model would have drawn, and is sampled on. One that
ended its reasoning before is left alone. Forced tokens stand among the completion's ids with the
log-probabilities that the model gave them; `Completion.forced` says which they are.

    budget of 3 tokens:  Let me think | </think> | The answer is 7.
                                        forced
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cot.errors import InputError
from cot.types import Sampling

__all__ = ["ThinkingBudget", "thinking_budget"]


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """A budget in a model's tokens."""

    n_tokens: int
    """Tokens after which the end is forced."""
    end_ids: tuple[int, ...]
    """Tokens that are forced."""
    end_tag: str
    """Text by which reasoning that ended is known: `think_end` without white space around it."""
    tokenizer: Any
    """The model's tokenizer."""

    def due(self, ids: Sequence[int]) -> bool:
        """Whether the end is forced after these tokens; decodes them only where they are so many
        as the budget."""
        if len(ids) != self.n_tokens:
            return False
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return self.end_tag not in text


def thinking_budget(tokenizer: Any, sampling: Sampling) -> ThinkingBudget | None:
    """The budget that the settings ask for, or None.

    Raises:
        InputError: a negative budget, an end tag without text, or a stop string in the end tag.
    """
    if sampling.think_budget is None:
        return None
    if sampling.think_budget < 0:
        raise InputError(f"think_budget is {sampling.think_budget}: give at least 0")
    tag = sampling.think_end.strip()
    if not tag:
        raise InputError(f"think_end is {sampling.think_end!r}: give the text that ends reasoning")
    for stop in filter(None, sampling.stop):
        if stop in sampling.think_end:
            raise InputError(
                f"the stop string {stop!r} stands in think_end {sampling.think_end!r}, so that a "
                "forced end would end the trace: leave one of them out"
            )
    ids = tokenizer(sampling.think_end, add_special_tokens=False)["input_ids"]
    return ThinkingBudget(sampling.think_budget, tuple(ids), tag, tokenizer)
