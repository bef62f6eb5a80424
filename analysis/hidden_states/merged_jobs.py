"""The union of what several readers ask of a teacher-forced pass: each trace is run once, with all
layers and tokens that are asked of it, and each reader gets what it asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.teacher_forcing import ForcedStates, ForcedTrace, Job

__all__ = ["Merged", "Share", "merged"]

Asked = tuple[int, int, Job, tuple[int, ...]]
"""Number of the reader, number of its job, the job, layers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Share:
    """One reader's part of a merged job."""

    reader: int
    """Which reader's."""
    number: int
    """Which of the jobs that it asked for."""
    job: Job
    """As it asked for it."""
    layers: tuple[int, ...]
    """Layers of its vectors, ascending."""
    traces: dict[int, tuple[ForcedTrace, NDArray[np.int64]]]
    """sample_index to the trace as it was asked for, and which of the merged spots are its own."""

    def of(self, done: ForcedStates, layers: tuple[int, ...]) -> ForcedStates | None:
        """What the reader asked for of the merged result, whose layers are given."""
        rows = np.searchsorted(layers, self.layers)
        if done.sample_index is None:
            vectors = done.vectors[rows]
            return ForcedStates(job=self.job, sample_index=None, vectors=vectors, logprobs=None)
        if done.sample_index not in self.traces:
            return None
        trace, spots = self.traces[done.sample_index]
        return ForcedStates(
            job=self.job,
            sample_index=done.sample_index,
            vectors=done.vectors[np.ix_(rows, spots)],
            logprobs=done.logprobs if trace.score else None,
            certainty=done.certainty if trace.certainty else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """A question's job for all readers."""

    job: Job
    """What is run."""
    layers: tuple[int, ...]
    """All that are asked for, ascending."""
    shares: Sequence[Share]
    """What of it each reader gets."""

    @property
    def longest(self) -> int:
        """Most tokens of the prompt and a trace."""
        traces = max((len(trace.token_ids) for trace in self.job.traces), default=0)
        return len(self.job.prompt_ids) + traces


def merged(
    asked: Sequence[Sequence[tuple[Job, tuple[int, ...]]]],
) -> list[Merged]:
    """One job a question and prompt, in the order in which they are first asked for.

    Args:
        asked: of each reader, its jobs and the layers of their vectors.
    """
    groups: dict[Any, list[Asked]] = {}
    for reader, own in enumerate(asked):
        for number, (job, layers) in enumerate(own):
            key = (job.question_id, np.asarray(job.prompt_ids, np.int64).tobytes())
            groups.setdefault(key, []).append((reader, number, job, layers))
    return [_merge(group) for group in groups.values()]


def _merge(group: Sequence[Asked]) -> Merged:
    asked: dict[int, list[ForcedTrace]] = {}
    for _, _, job, _ in group:
        for trace in job.traces:
            asked.setdefault(trace.sample_index, []).append(trace)
    traces: list[ForcedTrace] = []
    own: dict[int, NDArray[np.int64]] = {}
    for index, some in asked.items():
        spots, back = np.unique(
            np.concatenate([trace.spots for trace in some]), axis=0, return_inverse=True
        )
        ends = np.cumsum([len(trace.spots) for trace in some])[:-1]
        own |= dict(zip(map(id, some), np.split(back.reshape(-1), ends), strict=True))
        traces.append(
            ForcedTrace(
                sample_index=index,
                token_ids=some[0].token_ids,
                spots=spots,
                score=any(trace.score for trace in some),
                certainty=any(trace.certainty for trace in some),
            )
        )
    first = group[0][2]
    shares = [
        Share(
            reader=reader,
            number=number,
            job=job,
            layers=layers,
            traces={trace.sample_index: (trace, own[id(trace)]) for trace in job.traces},
        )
        for reader, number, job, layers in group
    ]
    return Merged(
        job=Job(question_id=first.question_id, prompt_ids=first.prompt_ids, traces=traces),
        layers=tuple(sorted({layer for *_, layers in group for layer in layers})),
        shares=shares,
    )
