"""What a lens may answer: the answers that a question's traces state, told apart by first token.

The lens looks one token ahead, so that an answer of several tokens is scored by its first one.
Answers that begin alike can't be told apart there and are merged; a digit tokenizer leaves

    12, 14, 7, 70   ->   {12, 14} by "1", {7, 70} by "7"

First tokens are those that the traces were sampled with: nothing is tokenised anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.hidden_states.positions import Spot

__all__ = ["Candidates", "find_candidates", "first_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The candidates of one question, in the order in which its traces first state them."""

    names: tuple[str, ...]
    """The answer class that most traces state, of each candidate's; of several, the first."""
    tokens: tuple[tuple[int, ...], ...]
    """The distinct first tokens of each candidate's classes, ascending."""
    member: Mapping[str, int]
    """Answer class to its candidate; classes that no trace states in its text are not there."""

    @property
    def separable(self) -> bool:
        """Whether all classes differ in their first tokens."""
        return len(self.names) == len(self.member)


def first_tokens(traces: pd.DataFrame, spots: Sequence[Spot]) -> pd.Series[int]:
    """The first token of each trace's stated answer, Int64, missing without a span in the text.

    Args:
        traces: question_id, sample_index, token_ids.
        spots: of the traces; those at `pre_answer` stand right before it.
    """
    at = {spot.place[:2]: spot.start + 1 for spot in spots if spot.place.position == "pre_answer"}
    columns = (traces[name] for name in ("question_id", "sample_index", "token_ids"))
    found = [
        int(ids[at[question_id, int(index)]]) if (question_id, int(index)) in at else None
        for question_id, index, ids in zip(*columns, strict=True)
    ]
    return pd.Series(found, index=traces.index, dtype="Int64")


def find_candidates(traces: pd.DataFrame) -> dict[str, Candidates]:
    """The candidates of each question.

    Args:
        traces: question_id, answer (class), token (its first; missing where unknown).
    """
    return {
        str(question_id): _merge(mine)
        for question_id, mine in traces.groupby("question_id", sort=False)
    }


def _merge(traces: pd.DataFrame) -> Candidates:
    """Classes that share a first token, directly or by way of a third, are one candidate."""
    known = traces.dropna(subset=["token"])
    groups: list[tuple[list[str], set[int]]] = []
    for answer, tokens in known.groupby("answer", sort=False)["token"]:
        own = {int(token) for token in tokens}
        alike = [group for group in groups if group[1] & own]
        first = alike[0] if alike else ([], set())
        for classes, theirs in alike[1:]:
            first[0].extend(classes)
            first[1].update(theirs)
        first[0].append(str(answer))
        first[1].update(own)
        groups = [group for group in groups if group not in alike[1:]]
        groups += [] if alike else [first]
    stated = Counter(known["answer"])
    return Candidates(
        names=tuple(max(classes, key=lambda answer: stated[answer]) for classes, _ in groups),
        tokens=tuple(tuple(sorted(tokens)) for _, tokens in groups),
        member={answer: i for i, (classes, _) in enumerate(groups) for answer in classes},
    )
