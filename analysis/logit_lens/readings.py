"""Readings of the lens: scalars of each trace and prompt, made by forward passes and kept on disk.

States become scalars as they arrive; no vector is kept. On disk, activations/lens/part-*.parquet
has one row a trace or prompt. Each holds a digest of all that it follows from (the model's
revision, the candidates' tokens, the places): a row whose digest isn't the one asked for doesn't
exist. A killed reading loses what was not yet flushed, at most 64 rows or 10 seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.planning import Task
from analysis.hidden_states.shared_pass import Settings
from analysis.hidden_states.teacher_forcing import ForcedStates, TeacherForcing
from analysis.logit_lens.chain_of_embedding import chain_of_embedding
from analysis.logit_lens.inputs import Key, LensInputs
from analysis.logit_lens.tokens import TokenReader
from analysis.logit_lens.unembedding import Unembedding
from cot.store.atomic import TEMPORARY
from cot.store.shards import write_parquet
from cot.types import TRACE_KEY

__all__ = ["LensReader", "LensStore", "Reading"]

# -- on disk ---------------------------------------------------------------------------------------

Floats = NDArray[np.float32]
NUMBERS = ("logits", "others", "vocabulary", "following", "chain")
SCHEMA = pa.schema(
    [
        ("question_id", pa.string()),
        ("sample_index", pa.int32()),
        ("digest", pa.string()),
        *((name, pa.list_(pa.float32())) for name in NUMBERS),
    ]
)
FLUSH_ROWS = 64
FLUSH_SECONDS = 10.0


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


class LensStore:
    """Adds readings to a folder. Use it as a context manager, holding the run's lock.

    Args:
        folder: made where it isn't there.
        wanted: the digest of each reading that is asked for. Shards that hold nothing but older
            readings of these keys are deleted.
    """

    def __init__(self, folder: Path, wanted: Mapping[Key, str]) -> None:
        self.folder = folder
        self.wanted = wanted
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(TEMPORARY):
            leftover.unlink()
        self.done: set[Key] = set()
        for path in self._shards():
            found = pq.read_table(path, columns=["question_id", "sample_index", "digest"])
            rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
            current = [(a, b) for a, b, digest in rows if wanted.get((a, b)) == digest]
            self.done.update(current)
            if not current and all((a, b) in wanted for a, b, _ in rows):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        self._next = 1 + max((int(path.stem[5:]) for path in self._shards()), default=-1)
        self._clear()

    def add(self, key: Key, reading: Reading) -> None:
        """Keep one reading; it is on disk after at most 64 more."""
        row: dict[str, Any] = {name: getattr(reading, name).ravel() for name in NUMBERS}
        digest = self.wanted[key]
        self._rows.append({"question_id": key[0], "sample_index": key[1], "digest": digest, **row})
        self.done.add(key)
        if len(self._rows) >= FLUSH_ROWS or time.monotonic() - self._since > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Put everything that was added on disk."""
        if self._rows:
            table = pa.Table.from_pylist(self._rows, schema=SCHEMA)
            write_parquet(table, self.folder / f"part-{self._next:06d}.parquet")
            self._next += 1
        self._clear()

    def read(self) -> dict[Key, dict[str, Floats]]:
        """What is asked for and on disk: the numbers of each reading, flat."""
        found: dict[Key, dict[str, Floats]] = {}
        for path in self._shards():
            table = pq.read_table(path)
            keys = [table[name].to_pylist() for name in ("question_id", "sample_index", "digest")]
            numbers = [table[name].to_numpy() for name in NUMBERS]
            for a, b, digest, *row in zip(*keys, *numbers, strict=True):
                if self.wanted.get((a, b)) == digest:
                    found[a, b] = dict(zip(NUMBERS, row, strict=True))
        return found

    def __enter__(self) -> LensStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _clear(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._since = time.monotonic()


# -- forward passes --------------------------------------------------------------------------------

NOTHING: Floats = np.empty(0, np.float32)


class LensReader:
    """A `Reader` of a teacher-forced pass: states become readings as they come.

    Attributes:
        tasks: traces and prompts that lack a reading.
    """

    doing = "reading layers"

    def __init__(
        self,
        inputs: LensInputs,
        layers: Sequence[int],
        settings: Settings,
        store: LensStore,
        tokens: TokenReader,
    ) -> None:
        self.inputs, self.settings, self.store, self.tokens = inputs, settings, store, tokens
        self.tasks = inputs.tasks(store.done, layers)
        self._of = {task.job: task for task in self.tasks}
        every = tuple(layers)
        self.asked = [(task.job, every) for task in self.tasks]
        self.asked += [(job, every) for job in tokens.jobs]
        columns = (inputs.traces[name].tolist() for name in (*TRACE_KEY, "token_ids"))
        self._written = {(name, index): ids for name, index, ids in zip(*columns, strict=True)}
        self._recipients = {donor: question for question, donor in inputs.donors.items()}

    def begin(self, forcing: TeacherForcing) -> None:
        """Find the model's unembedding; see `Unembedding` for what is raised."""
        assert isinstance(forcing, HookTeacherForcing)
        self.unembedding = Unembedding(forcing.model, forcing.head)

    def read(self, done: ForcedStates) -> None:
        """Store what the lens reads of a trace or a prompt's end."""
        if done.job not in self._of:
            self.tokens.read(done, self.unembedding)
            return
        key = (done.job.question_id, done.sample_index)
        task = self._of[done.job]
        if done.sample_index is not None:
            ids = self._written[key]
            reading = _of_trace(self.inputs, task, done, self.unembedding, ids)
        elif None in task.places:
            recipient = self._recipients.get(key[0])
            reading = _of_prompt(self.inputs, done, self.unembedding, recipient)
        else:
            return
        if key not in self.store.done:
            self.store.add(key, reading)


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
