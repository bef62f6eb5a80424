"""What a vote rule is, and how a name with parameters becomes one.

A rule takes valid ballots and gives one vote weight a ballot. Ballots are a DataFrame with
question_id, sample_index, answer, correct, group (the question that folds must keep together), and
the columns of `analysis.columns` that the rule says it needs:

    @weigher("mean_logp")
    def surest(ballots: pd.DataFrame, power: float = 1.0) -> NDArray[np.float64]:
        '''Weight exp(power · mean log-probability).'''
        return np.exp(power * ballots["mean_logp"].to_numpy())

Register it under `votes` (or pass `package.module:surest:power=2`), and check it with
`analysis.voting.contract.check_vote_rule`. A vote weight of NaN is no
ballot: it is counted as excluded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cot.registry import build

__all__ = ["Rule", "Weigher", "load_rule", "weigher"]

Weigher = Callable[..., NDArray[np.float64]]
"""Valid ballots, then parameters with defaults -> one vote weight a ballot, shape [ballot]."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A vote rule, parameters bound."""

    name: str
    """As typed."""
    weigh: Callable[[pd.DataFrame], NDArray[np.float64]]
    """Ballots to vote weights."""
    needs: Sequence[str]
    """Columns that it reads beside the answers."""
    equal: bool
    """Every trace has the same vote weight, so that only counts matter."""
    asks: bool
    """Whether it asks the model about all traces of a question together."""
    note: Callable[[pd.DataFrame], str] | None = None
    """Ballots to what a reader of the vote must know of how it was taken on them."""


def weigher(
    *needs: str, equal: bool = False, asks: bool = False, note: Callable[..., str] | None = None
) -> Callable[[Weigher], Weigher]:
    """Mark a function as a vote rule.

    Args:
        needs: columns that it reads; `{name}` stands for the value of its parameter `name`.
        equal: it gives every trace the same vote weight.
        asks: the model compares all traces of a question, so that a subset is another question.
        note: ballots and the rule's parameters to a clause for the method of its accuracy.
    """

    def mark(function: Weigher) -> Weigher:
        vars(function).update(needs=needs, equal=equal, asks=asks, note=note)
        return function

    return mark


def load_rule(spec: str) -> Rule:
    """The rule that `NAME:key=value,...` names; InputError as `cot.registry.build`."""
    made = build("votes", spec)
    bound = inspect.signature(made.func).bind_partial(**made.keywords)
    bound.apply_defaults()
    note = getattr(made.func, "note", None)
    return Rule(
        name=spec,
        weigh=made,
        needs=[each.format(**bound.arguments) for each in getattr(made.func, "needs", ())],
        equal=getattr(made.func, "equal", False),
        asks=getattr(made.func, "asks", False),
        note=note and partial(note, **bound.arguments),
    )
