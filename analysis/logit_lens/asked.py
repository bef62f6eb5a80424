"""What is asked of the lens: which places of which traces, and which candidates."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.hidden_states.plan import Task, plan
from analysis.hidden_states.positions import Spot
from analysis.hidden_states.preparing import Work
from analysis.logit_lens.candidates import Candidates, find_candidates, first_tokens
from analysis.logit_lens.store import Key
from analysis.voting import ballots_of
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["POSITIONS", "Asked", "ask"]

log = logging.getLogger("cot")

POSITIONS = ("prompt_end", "step_end", "pre_answer", "mean")
VERSION = 1
"""Of what a reading holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """The traces that the lens reads, and what it is asked at each."""

    traces: pd.DataFrame
    """Those with a valid answer that can be replayed: question_id, sample_index, prompt_sha,
    text, token_ids, logprobs, answer (class), correct, token (the answer's first; Int64)."""
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
        """What is still to be replayed."""
        there = {spot.place: layers for key in done for spot in self.places[key]}
        replayed = {(name, index) for name, index in done if index is not None}
        unscored = self.traces.assign(logprobs=None)
        return plan(unscored, self.prompts, self.spots, layers, there, replayed)


def ask(run: Run, work: Work, *, seed: int) -> Asked:
    """What the lens is asked of a run.

    Args:
        work: all places of the traces that can be replayed, at `POSITIONS`.
        seed: of which question is whose donor.

    Raises:
        InputError: no trace has a valid answer, or none states it in its text.
    """
    ballots = ballots_of(need(run, "answers"))
    traces = work.traces.merge(ballots[[*TRACE_KEY, "answer", "correct"]], on=TRACE_KEY)
    if traces.empty:
        raise InputError(f"{run.path}: no trace that can be replayed has a valid answer")
    if left := len(work.traces) - len(traces):
        log.info("%d traces without a valid answer are not read", left)
    keys = set(zip(*(traces[name].tolist() for name in TRACE_KEY), strict=True))
    keys |= {(question_id, None) for question_id, _ in keys}
    spots = [spot for spot in work.spots if spot.place[:2] in keys]
    traces["token"] = first_tokens(traces, spots)
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
    return Asked(
        traces=traces,
        prompts=work.prompts,
        spots=spots,
        places=places,
        candidates=candidates,
        donors=donors,
        digests=_digests(traces, places, candidates, donors, work.model.revision),
    )


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
