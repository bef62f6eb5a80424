"""Readings of the lens: scalars of each trace and prompt, made by forward passes and kept on disk.

States become scalars as they arrive; no vector is kept. They lie in activations/lens (see
`analysis.hidden_states.reading_store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.planning import Task
from analysis.hidden_states.reading_store import ReadingStore
from analysis.hidden_states.shared_pass import Settings
from analysis.hidden_states.teacher_forcing import ForcedStates, TeacherForcing
from analysis.logit_lens.chain_of_embedding import chain_of_embedding
from analysis.logit_lens.inputs import LensInputs
from analysis.logit_lens.tokens import TokenReader, of_tokens
from analysis.logit_lens.unembedding import Unembedding, Vocabulary
from cot.types import TRACE_KEY

__all__ = ["NUMBERS", "LensEye", "LensReader", "Reading"]

# -- on disk ---------------------------------------------------------------------------------------

Floats = NDArray[np.float32]
NUMBERS = ("logits", "others", "vocabulary", "following", "chain")
"""What is stored of a reading."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What was read of one trace, or of a prompt's end."""

    logits: Floats
    """Of the question's candidates, shape [place, layer, candidate]."""
    others: Floats
    """A prompt's: of another question's candidates at the last layer, shape [candidate]."""
    vocabulary: Floats
    """At `pre_answer`, over the vocabulary: the probability of the token that was written, then
    the entropy, shape [2, layer]; empty without that place."""
    following: Floats
    """At the last layer, the log-probability of the token that was written next, shape [place]; NaN
    at the trace's end. Empty for a prompt."""
    chain: Floats
    """A trace's chain-of-embedding R and C, shape [2]; empty for a prompt."""


# -- forward passes --------------------------------------------------------------------------------

NOTHING: Floats = np.empty(0, np.float32)


class LensReader:
    """A `Reader` of a teacher-forced pass: stores the readings that its eye makes of states.

    Attributes:
        tasks: traces and prompts that lack a reading.
    """

    doing = "reading layers"

    def __init__(
        self,
        inputs: LensInputs,
        layers: Sequence[int],
        settings: Settings,
        store: ReadingStore,
        tokens: TokenReader,
    ) -> None:
        self.inputs, self.settings, self.store, self.tokens = inputs, settings, store, tokens
        self.tasks = inputs.tasks(store.done, layers)
        every = tuple(layers)
        self.asked = [(task.job, every) for task in self.tasks]
        self.asked += [(job, every) for job in tokens.jobs]
        self.eye = LensEye(inputs, self.tasks, tokens.answers)

    def keep(self, number: int, sample_index: int | None, seen: Reading | Vocabulary) -> None:
        """Store a reading."""
        if isinstance(seen, Vocabulary):
            self.tokens.keep(number - len(self.tasks), seen)
            return
        key = (self.tasks[number].job.question_id, sample_index)
        if key not in self.store.done:
            self.store.add(key, {name: getattr(seen, name) for name in NUMBERS})


class LensEye:
    """Makes readings of states as they come.

    Args:
        tasks: of the first jobs.
        answers: of each job after them, which is read token by token, the answer's first token.
    """

    def __init__(
        self, inputs: LensInputs, tasks: Sequence[Task], answers: Sequence[int | None]
    ) -> None:
        self.inputs, self.tasks, self.answers = inputs, tasks, answers
        columns = (inputs.traces[name].tolist() for name in (*TRACE_KEY, "token_ids"))
        self._written = {(name, index): ids for name, index, ids in zip(*columns, strict=True)}
        self._recipients = {donor: question for question, donor in inputs.donors.items()}

    def begin(self, forcing: TeacherForcing) -> None:
        """Find the model's unembedding; see `Unembedding` for what is raised."""
        assert isinstance(forcing, HookTeacherForcing)
        self._unembedding = Unembedding(forcing.model, forcing.head)

    def see(self, number: int, done: ForcedStates) -> Reading | Vocabulary | None:
        """What the lens reads of a trace or a prompt's end."""
        if number >= len(self.tasks):
            if done.sample_index is None:
                return None
            return of_tokens(done, self._unembedding, self.answers[number - len(self.tasks)])
        task, name = self.tasks[number], done.job.question_id
        if done.sample_index is not None:
            ids = self._written[name, done.sample_index]
            return _of_trace(self.inputs, task, done, self._unembedding, ids)
        if None in task.places:
            recipient = self._recipients.get(name)
            return _of_prompt(self.inputs, done, self._unembedding, recipient)
        return None

    def close(self) -> None:
        """Let go of the model."""
        del self._unembedding


def _of_trace(
    inputs: LensInputs, task: Task, done: ForcedStates, unembedding: Unembedding, ids: Sequence[int]
) -> Reading:
    places = task.places[done.sample_index]
    looked = [i for i, place in enumerate(places) if place.position != "mean"]
    (mean,) = (i for i, place in enumerate(places) if place.position == "mean")
    after = {i: (places[i].token or 0) + 1 for i in looked}
    candidates = inputs.candidates[done.job.question_id]
    logits = vocabulary = NOTHING
    if candidates.names:
        logits = unembedding.candidates(done.vectors[:, looked].swapaxes(0, 1), candidates.tokens)
    for i in looked:
        if places[i].position == "pre_answer":
            words = unembedding.vocabulary(done.vectors[:, i], int(ids[after[i]]))
            vocabulary = np.stack([words.p, words.entropy])
    following = np.full(len(looked), np.nan, np.float32)
    if known := [i for i in looked if after[i] < len(ids)]:
        tokens = [int(ids[after[i]]) for i in known]
        following[np.isin(looked, known)] = unembedding.log_probs(done.vectors[-1, known], tokens)
    chain = chain_of_embedding(done.vectors[:, mean])
    return Reading(
        logits=logits,
        others=NOTHING,
        vocabulary=vocabulary,
        following=following,
        chain=np.array(chain, np.float32),
    )


def _of_prompt(
    inputs: LensInputs, done: ForcedStates, unembedding: Unembedding, recipient: str | None
) -> Reading:
    """Of the prompt's end, with its question's candidates and the recipient's."""
    own = inputs.candidates[done.job.question_id].tokens
    others = inputs.candidates[recipient].tokens if recipient is not None else ()
    return Reading(
        logits=unembedding.candidates(done.vectors.swapaxes(0, 1), own) if own else NOTHING,
        others=unembedding.candidates(done.vectors[-1, 0], others) if others else NOTHING,
        vocabulary=NOTHING,
        following=NOTHING,
        chain=NOTHING,
    )
