"""A stored trace as an intervention sees it, and the answer that it is compared with.

Log P(own answer) − log P(other answer) is read at one place. Both answers are tokens as they were
sampled; what both begin with is passed over, and the next token decides:

    own    … The answer is ␣ 1 4 .        both begin with "1"; after it, the model's
    other  … The answer is ␣ 1 5 .        logits of "4" and "5" are compared

The last token that both share is where the trace is *read*: right before the answer, where the
answers differ in their first token.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.answer_table import ballots_of
from analysis.catalogue import need
from analysis.hidden_states.places import spread
from analysis.hidden_states.planning import Work
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["Case", "Pair", "Rivals", "make_cases", "pair_of", "reasoning_steps"]

log = logging.getLogger("cot")
MOST_CUE = 8
"""Most tokens of the cue, the end of what is written before the answer."""
MOST_SHARED = 16
"""Most tokens with which two answers may both begin."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One trace with a valid answer that stands in its text."""

    question_id: str
    """The question."""
    sample_index: int
    """The trace's number within it."""
    prompt_ids: tuple[int, ...]
    """Token ids of the prompt."""
    token_ids: tuple[int, ...]
    """Generated ids, as they were sampled."""
    answer: str
    """Class of its answer."""
    correct: bool | None
    """Whether that is right; None without gold."""
    pre_answer: int
    """The token before the answer's first; -1 is the prompt's last."""
    steps: Mapping[int, range]
    """Reasoning steps that end before the answer's step begins, and their tokens."""
    cue: range
    """The last tokens of the answer's step up to `pre_answer`, at most MOST_CUE."""

    @property
    def key(self) -> tuple[str, int]:
        """question_id and sample_index."""
        return self.question_id, self.sample_index

    def token(self, place: int) -> int:
        """The token id at a place; -1 is the prompt's last."""
        return self.token_ids[place] if place >= 0 else self.prompt_ids[place]

    def some_steps(self, most: int) -> dict[int, range]:
        """At most so many steps, evenly by tokens; 0 is all."""
        ends = {step: tokens.stop for step, tokens in self.steps.items()}
        return {step: self.steps[step] for step in spread(ends, most)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two answers, and where a trace decides between them."""

    other: Case
    """A trace that states the other answer."""
    read: int
    """The token of the own trace after which they part."""
    other_read: int
    """The same in the other trace."""
    own_token: int
    """What the own answer goes on with."""
    other_token: int
    """What the other answer goes on with."""

    @property
    def shared(self) -> int:
        """Tokens with which both answers begin."""
        return self.other_read - self.other.pre_answer


def pair_of(case: Case, other: Case) -> Pair | None:
    """The pair of two traces' answers; None where they stand after different tokens, or don't part
    within MOST_SHARED tokens.

    Both must follow the same token: after "$" and after a space, other tokens than the answers
    would decide.
    """
    if case.token(case.pre_answer) != other.token(other.pre_answer):
        return None
    own = case.token_ids[case.pre_answer + 1 :][: MOST_SHARED + 1]
    theirs = other.token_ids[other.pre_answer + 1 :][: MOST_SHARED + 1]
    for shared, (mine, yours) in enumerate(zip(own, theirs, strict=False)):
        if mine != yours:
            return Pair(
                other=other,
                read=case.pre_answer + shared,
                other_read=other.pre_answer + shared,
                own_token=mine,
                other_token=yours,
            )
    return None


class Rivals:
    """Which trace states the answer that a trace's own is compared with.

    Args:
        cases: all of them.
        seed: of the order.

    Attributes:
        order: the questions, shuffled: each is another one's control, and goes before it.
    """

    def __init__(self, cases: Sequence[Case], seed: int) -> None:
        self._of: dict[str, list[Case]] = {}
        for case in cases:
            self._of.setdefault(case.question_id, []).append(case)
        self._stated = {
            question: Counter(case.answer for case in some) for question, some in self._of.items()
        }
        names = sorted(self._of)
        mixed = np.random.default_rng(seed).permutation(len(names))
        self.order = [names[place] for place in mixed]

    def question(self, question_id: str) -> Sequence[Case]:
        """All cases of a question, in the run's order."""
        return self._of[question_id]

    def other_answer(
        self, case: Case, labels: Mapping[tuple[str, int], bool] | None = None
    ) -> Pair | None:
        """The pair with the most frequent other answer; with labels, among the traces whose label
        is the other one."""
        stated = self._stated[case.question_id]
        others = [other for other in self._of[case.question_id] if other.answer != case.answer]
        if labels is not None:
            own = labels.get(case.key)
            others = [other for other in others if labels.get(other.key, own) != own]
        # of equally frequent answers, the one that is stated first
        for other in sorted(others, key=lambda each: -stated[each.answer]):
            if pair := pair_of(case, other):
                return pair
        return None

    def same_answer(self, case: Case) -> Case | None:
        """Another trace of the question that states the same answer; the next one in order."""
        same = [other for other in self._of[case.question_id] if other.answer == case.answer]
        place = same.index(case)
        return same[(place + 1) % len(same)] if len(same) > 1 else None

    def other_question(self, case: Case) -> Case | None:
        """A trace of another question, the next one in `order`: that one's number `sample_index`,
        counted around."""
        if len(self.order) < 2:
            return None
        place = self.order.index(case.question_id)
        some = self._of[self.order[(place + 1) % len(self.order)]]
        return some[case.sample_index % len(some)]


def beyond_gap(run: Run) -> set[tuple[str, int]]:
    """Traces that a capture found to be another model's; none where nothing was captured."""
    if "logprob_gaps" not in run.tables():
        return set()
    gaps = need(run, "logprob_gaps")
    flagged = gaps[gaps["flagged"].astype(bool)]
    return set(zip(flagged["question_id"], flagged["sample_index"].tolist(), strict=True))


def make_cases(
    run: Run, work: Work, *, traces: int | None, beyond_gap: Collection[tuple[str, int]] = ()
) -> list[Case]:
    """The cases of the traces that can be run through the model again, in the run's order.

    Args:
        work: of these traces, with the spots of all their steps and answers.
        traces: the first so many of each question.
        beyond_gap: traces whose log-probabilities the model doesn't give again.

    Raises:
        InputError: none is left.
    """
    if traces is not None and traces < 1:
        raise InputError(f"--traces is {traces}, but must be at least 1")
    ballots = ballots_of(need(run, "answers"))
    rows = work.traces.merge(ballots[[*TRACE_KEY, "answer", "correct"]], on=TRACE_KEY)
    if left := len(work.traces) - len(rows):
        log.info("%d traces without a valid answer are left out", left)
    if traces is not None:
        rows = rows[rows.groupby("question_id").cumcount() < traces]
    at = {spot.place[:2]: spot.start for spot in work.spots if spot.place.position == "pre_answer"}
    steps = reasoning_steps(need(run, "steps"), work)
    cases, unplaced, gapped = [], 0, 0
    for row in rows.to_dict("records"):
        key = (row["question_id"], int(row["sample_index"]))
        if key not in at:
            unplaced += 1
        elif key in beyond_gap:
            gapped += 1
        else:
            cases.append(_case(key, row, work.prompts[row["prompt_sha"]], at[key], steps))
    if unplaced:
        log.info("%d traces whose answer has no place in the text are left out", unplaced)
    if gapped:
        log.warning("%d traces beyond the log-probability gap are left out", gapped)
    if not cases:
        raise InputError(f"{run.path}: no trace states a valid answer in its text")
    return cases


def _case(
    key: tuple[str, int],
    row: Mapping[str, object],
    prompt: Sequence[int],
    at: int,
    steps: Mapping[tuple[str, int], Sequence[tuple[int, range]]],
) -> Case:
    mine = steps.get(key, ())
    # the step that states the answer: the first that goes on beyond the token before it
    begins = next((tokens.start for _, tokens in mine if tokens.stop > at + 1), at + 1)
    correct = row["correct"]
    return Case(
        question_id=key[0],
        sample_index=key[1],
        prompt_ids=tuple(map(int, prompt)),
        token_ids=tuple(map(int, row["token_ids"])),  # type: ignore[call-overload]
        answer=str(row["answer"]),
        correct=None if pd.isna(correct) else bool(correct),
        pre_answer=at,
        steps={step: tokens for step, tokens in mine if tokens.stop <= begins},
        cue=range(max(begins, at + 1 - MOST_CUE), at + 1),
    )


def reasoning_steps(
    table: pd.DataFrame, work: Work
) -> dict[tuple[str, int], list[tuple[int, range]]]:
    """Of each trace its reasoning steps that tokens wrote, in order: number and tokens."""
    parts = table[table["part"] == "reasoning"]
    reasoning = set(zip(*(parts[name] for name in (*TRACE_KEY, "step")), strict=True))
    found: dict[tuple[str, int], list[tuple[int, range]]] = {}
    for spot in work.spots:
        question_id, sample_index, position, step, token = spot.place
        if position != "step_end" or (question_id, sample_index, step) not in reasoning:
            continue
        mine = found.setdefault((str(question_id), int(sample_index or 0)), [])
        # a step's tokens are those since the one before it ended: a token belongs to one step
        before = mine[-1][1].stop if mine else 0
        if step is not None and token is not None and token >= before:
            mine.append((step, range(before, token + 1)))
    return found
