"""Stopping rules: after which sample a question needs no more.

A rule reads a question's ballots so far, in order of sample_index, and decides. `cot stop` replays
it over stored traces; `cot sample --adaptive` asks it while sampling. To add one, write a function,
check it with `cot.stopping.contract.check_stopping_rule`, and name it as `package.module:function`
or register it under the entry points `cot.stops`:

    def three_in_a_row(ballots: Sequence[Ballot], length: int = 3) -> Decision:
        last = [ballot.answer for ballot in ballots][-length:]
        alike = len(last) == length and None not in last and len(set(last)) == 1
        return Decision(stop=alike, answer=leader(ballots))

A class works too: it is made with the parameters, and its instances are asked. The rules here are
such classes, and replay a million traces at once (`cot.stopping.codes`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cot.registry import build
from cot.types import Ballot

__all__ = ["Decision", "StoppingRule", "leader", "make_rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a rule says of the ballots so far."""

    stop: bool
    """No further sample is needed."""
    answer: str | None
    """The answer as things stand, whether or not to stop; None without a valid ballot."""


StoppingRule = Callable[[Sequence[Ballot]], Decision]
"""All ballots of a question so far, in order of sample_index, missing answers among them."""


def make_rule(spec: str) -> Any:
    """The rule that `NAME:key=value,...` names, ready to be asked; a `StoppingRule`.

    Raises:
        InputError: an unknown rule or parameter (the message lists the valid ones), or a value out
            of range.
    """
    rule = build("stops", spec)
    return rule() if inspect.isclass(rule.func) else rule


def leader(ballots: Sequence[Ballot]) -> str | None:
    """The answer with most ballots, the first to appear among equals; None without a valid one."""
    answers = [ballot.answer for ballot in ballots if ballot.answer is not None]
    return max(answers, key=answers.count, default=None)
