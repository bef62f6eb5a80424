"""Inputs of the logit lens: positions and answer candidates.

Candidates are the answers that a question's traces state, told apart by first token. The lens looks
one token ahead, so that an answer of several tokens is scored by its first one. Answers that begin
alike can't be told apart there and are merged; a digit tokenizer leaves

    12, 14, 7, 70   ->   {12, 14} by "1", {7, 70} by "7"

First tokens are those that the traces were sampled with: nothing is tokenised anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.answer_table import ballots_of
from analysis.catalogue import need
from analysis.hidden_states.places import Spot
from analysis.hidden_states.planning import Task, Work, plan
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = [
    "POSITIONS",
    "Candidates",
    "Key",
    "LensInputs",
    "find_candidates",
    "first_tokens",
    "lens_inputs",
]

Key = tuple[str, int | None]
"""question_id, and sample_index or, for the prompt, None."""


# -- answer candidates -----------------------------------------------------------------------------


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


# -- positions -------------------------------------------------------------------------------------

log = logging.getLogger("cot")

POSITIONS = ("prompt_end", "step_end", "pre_answer", "mean")
VERSION = 1
"""Of what a reading holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LensInputs:
    """The traces that the lens reads, and the positions and candidates of each."""

    traces: pd.DataFrame
    """Those with a valid answer that can be run again: question_id, sample_index, prompt_sha,
    text, token_ids, logprobs, n_tokens, answer (class), correct, token (the answer's first; Int64),
    n_steps (those that end before it; Int64)."""
    prompts: Mapping[str, Sequence[int]]
    """prompt_sha to token ids."""
    spots: Sequence[Spot]
    """All of them."""
    places: Mapping[Key, Sequence[Spot]]
    """The spots of each trace, and of each prompt's end."""
    candidates: Mapping[str, Candidates]
    """Of each question."""
    donors: Mapping[str, str]
    """Question to the one whose prompt's end is read with its candidates, as a control."""
    digests: Mapping[Key, str]
    """Identity of all that a reading follows from, without a seed where it needs none."""

    def tasks(self, done: set[Key], layers: Sequence[int]) -> list[Task]:
        """What is still to be run through the model."""
        there = {spot.place: layers for key in done for spot in self.places[key]}
        known = {(name, index) for name, index in done if index is not None}
        unscored = self.traces.assign(logprobs=None)
        return plan(unscored, self.prompts, self.spots, layers, there, known)


def lens_inputs(run: Run, work: Work, *, seed: int) -> LensInputs:
    """The lens's inputs of a run.

    Args:
        work: all places of the traces that can be run again, at `POSITIONS`.
        seed: of which question is whose donor.

    Raises:
        InputError: no trace has a valid answer, or none states it in its text.
    """
    ballots = ballots_of(need(run, "answers"))
    traces = work.traces.merge(ballots[[*TRACE_KEY, "answer", "correct"]], on=TRACE_KEY)
    if traces.empty:
        raise InputError(
            f"{run.path}: no trace that can be run through the model again has a valid answer"
        )
    if left := len(work.traces) - len(traces):
        log.info("%d traces without a valid answer are not read", left)
    keys = set(zip(*(traces[name].tolist() for name in TRACE_KEY), strict=True))
    keys |= {(question_id, None) for question_id, _ in keys}
    spots = [spot for spot in work.spots if spot.place[:2] in keys]
    traces["token"] = first_tokens(traces, spots)
    traces["n_steps"] = _steps_before(traces, spots, need(run, "steps"))
    places: dict[Key, list[Spot]] = {}
    for spot in spots:
        places.setdefault(spot.place[:2], []).append(spot)
    candidates = find_candidates(traces)
    if not any(some.names for some in candidates.values()):
        raise InputError(
            f"{run.path}: no trace states its answer in its text (answers that came with an import "
            "have no place in it): make the table anew with `cot answers`"
        )
    donors = _donors([name for name, some in candidates.items() if len(some.names) > 1], seed)
    return LensInputs(
        traces=traces,
        prompts=work.prompts,
        spots=spots,
        places=places,
        candidates=candidates,
        donors=donors,
        digests=_digests(traces, places, candidates, donors, work.model.revision),
    )


def _steps_before(
    traces: pd.DataFrame, spots: Sequence[Spot], steps: pd.DataFrame
) -> pd.Series[int]:
    """How many steps of each trace end before its answer, Int64, missing without a span in the
    text: also those that are not looked at."""
    at = {spot.place[:2]: spot.start for spot in spots if spot.place.position == "pre_answer"}
    read = Counter(
        spot.place[:2]
        for spot in spots
        if spot.place.position == "step_end" and spot.start <= at.get(spot.place[:2], -2)
    )
    known = steps.dropna(subset=["token_start", "token_end"])
    known = known[known["token_start"] < known["token_end"]]
    whole: Counter[Key] = Counter()
    for question_id, index, end in zip(
        *(known[name] for name in (*TRACE_KEY, "token_end")), strict=True
    ):
        key = (question_id, int(index))
        whole[key] += end - 1 <= at.get(key, -2)
    keys = zip(*(traces[name].tolist() for name in TRACE_KEY), strict=True)
    # where the table has no tokens, those that are read are all that is known
    counts = [max(whole[key], read[key]) if key in at else None for key in keys]
    return pd.Series(counts, index=traces.index, dtype="Int64")


def _donors(questions: Sequence[str], seed: int) -> dict[str, str]:
    """Each question's donor: another one, no one twice; none where there is only one question."""
    order = np.random.default_rng(seed).permutation(len(questions))
    pairs = zip(order, np.roll(order, 1), strict=True)
    return {questions[a]: questions[b] for a, b in pairs if a != b}


def _digests(
    traces: pd.DataFrame,
    places: Mapping[Key, Sequence[Spot]],
    candidates: Mapping[str, Candidates],
    donors: Mapping[str, str],
    revision: str,
) -> dict[Key, str]:
    recipients = {donor: question for question, donor in donors.items()}
    columns = (traces[name].tolist() for name in (*TRACE_KEY, "prompt_sha"))
    made: dict[Key, str] = {}
    for question_id, sample_index, sha in zip(*columns, strict=True):
        basis = [VERSION, revision, sha, candidates[question_id].tokens]
        if (question_id, None) not in made:
            other = recipients.get(question_id)
            others = candidates[other].tokens if other is not None else ()
            made[question_id, None] = _digest([*basis, others])
        spots = [
            (*spot.place[2:], spot.start, spot.end) for spot in places[question_id, sample_index]
        ]
        made[question_id, sample_index] = _digest([*basis, spots])
    return made


def _digest(basis: list[Any]) -> str:
    return hashlib.sha256(json.dumps(basis).encode()).hexdigest()[:16]
