"""The replay, turned into scalars as its vectors arrive: no vector is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.backend import Backend, Replayed
from analysis.hidden_states.plan import Task
from analysis.logit_lens.asked import Asked
from analysis.logit_lens.store import LensStore, Reading
from analysis.logit_lens.unembed import Unembedding
from analysis.state_geometry.chain import chain_of_embedding
from cot.progress import track
from cot.types import TRACE_KEY

__all__ = ["read_traces"]

Floats = NDArray[np.float32]
NOTHING: Floats = np.empty(0, np.float32)


def read_traces(
    asked: Asked,
    tasks: Sequence[Task],
    layers: Sequence[int],
    backend: Backend,
    unembedding: Unembedding,
    store: LensStore,
) -> None:
    """Replay the tasks and store what the lens reads.

    Args:
        layers: all of the model, ascending.
    """
    columns = (asked.traces[name].tolist() for name in (*TRACE_KEY, "token_ids"))
    written = {(name, index): ids for name, index, ids in zip(*columns, strict=True)}
    recipients = {donor: question for question, donor in asked.donors.items()}
    of = {task.job: task for task in tasks}
    total = sum(len(task.job.traces) for task in tasks)
    with track("reading layers", total=total, unit="traces") as advance:
        for done in backend.replay(of, layers):
            key = (done.job.question_id, done.sample_index)
            if done.sample_index is not None:
                reading = _of_trace(asked, of[done.job], done, unembedding, written[key])
                advance(1)
            elif None in of[done.job].places:
                reading = _of_prompt(asked, done, unembedding, recipients.get(key[0]))
            else:
                continue
            if key not in store.done:
                store.add(key, reading)


def _of_trace(
    asked: Asked, task: Task, done: Replayed, unembedding: Unembedding, ids: Sequence[int]
) -> Reading:
    places = task.places[done.sample_index]
    looked = [i for i, place in enumerate(places) if place.position != "mean"]
    (mean,) = (i for i, place in enumerate(places) if place.position == "mean")
    after = {i: (places[i].token or 0) + 1 for i in looked}
    candidates = asked.candidates[done.job.question_id]
    logits = vocabulary = NOTHING
    if candidates.names:
        logits = unembedding.candidates(done.vectors[:, looked].swapaxes(0, 1), candidates.tokens)
    for i in looked:
        if places[i].position == "pre_answer":
            said = unembedding.vocabulary(done.vectors[:, i], int(ids[after[i]]))
            vocabulary = np.stack([said.p, said.entropy])
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
    asked: Asked, done: Replayed, unembedding: Unembedding, recipient: str | None
) -> Reading:
    """Of the prompt's end, with its question's candidates and the recipient's."""
    own = asked.candidates[done.job.question_id].tokens
    others = asked.candidates[recipient].tokens if recipient is not None else ()
    return Reading(
        logits=unembedding.candidates(done.vectors.swapaxes(0, 1), own) if own else NOTHING,
        others=unembedding.candidates(done.vectors[-1, 0], others) if others else NOTHING,
        vocabulary=NOTHING,
        following=NOTHING,
        chain=NOTHING,
    )
