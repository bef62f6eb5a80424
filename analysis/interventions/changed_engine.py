"""Sampling under a change: the transformers engine, with some rows' states edited at every step.

A request may bring a change of its own. Its prompt is read by the unchanged model, so that all
changes of a question share the prompt's keys and values. Every generated token is edited as it is
run through the model, after the block that the change names. Rows with different changes, and rows
without one, run in one batch.

What comes back is scored by the unchanged model: the log-probabilities of a changed completion are
those of the teacher-forced tokens, under the same weights without a hook.

    engine = ChangedEngine("smollm2-135m-instruct")
    request = ChangedRequest(..., layer=8, edit=Add(3.0 * direction))
    ((_, completion),) = engine.generate([request])
    np.exp(-completion.logprobs.mean())               # its perplexity under the unchanged model

Layer k is the residual stream after k blocks, as in `analysis.hidden_states.places`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.hidden_states.edits import Change, Edit, Writer
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job
from cot.engines import never
from cot.engines.ray_engine import RayEngine
from cot.engines.transformers import Row, TransformersEngine
from cot.errors import InputError
from cot.models import ResolvedModel, encode
from cot.types import Completion, Request
from cot.workers.cluster import cluster_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ChangedEngine", "ChangedRequest", "changed_engines"]

SCORED_TOGETHER = 2048
"""Generated tokens of ended traces that are scored in one go; a trace waits for no more."""
ROOM = 256
"""Requests that a worker holds: those that run, that wait, and that are not scored yet."""
NO_SPOTS = np.empty((0, 2), dtype=np.int64)

Ended = tuple[Request, Completion]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRequest(Request):
    """A completion that is sampled under a change."""

    layer: int
    """Blocks before the states that are edited: 0 is what enters the first block."""
    edit: Edit
    """What becomes of the state of each generated token."""


class ChangedEngine(TransformersEngine):
    """The transformers engine, for requests some of which are `ChangedRequest`s."""

    @cached_property
    def n_blocks(self) -> int:
        """Blocks of the model: its last layer."""
        return int(self._config.num_hidden_layers)

    @cached_property
    def writer(self) -> Writer:
        """Writes into the weights' residual stream."""
        return Writer(self.weights)

    @cached_property
    def scorer(self) -> HookTeacherForcing:
        """Runs completions through the unchanged model again."""
        scorer = HookTeacherForcing(self.weights)
        if not scorer.head.exact:
            raise InputError(
                f"{self.model.name}: log-probabilities can't be read off its last states, so that "
                "what is sampled under a change can't be scored by the unchanged model"
            )
        return scorer

    @cached_property
    def _counted(self) -> dict[int, _Counted]:
        """By id of the request, the edits of rows that run."""
        return {}

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[Ended]:
        """As any engine; changed completions come once they are scored.

        Raises:
            RuntimeError: states were not written as they were meant.
        """
        source, exhausted = iter(requests), False
        ended: list[Ended] = []

        def until_it_waits() -> Iterator[Request | None]:
            nonlocal exhausted
            for request in source:
                if request is None and ended:
                    return  # it may wait for those that are not scored yet
                yield request
            exhausted = True

        while not exhausted:
            for request, completion in super().generate(until_it_waits(), cancelled):
                self._check(request, completion)
                if not isinstance(request, ChangedRequest) or not completion.token_ids:
                    yield request, completion
                    continue
                ended.append((request, completion))
                if sum(len(each.token_ids or ()) for _, each in ended) >= SCORED_TOGETHER:
                    yield from self._scored(ended)
                    ended.clear()
            if ended:
                yield from self._scored(ended)
                ended.clear()
        self._counted.clear()  # of cancelled requests

    def close(self) -> None:
        """Free the weights."""
        for name in ("writer", "scorer", "_counted"):
            self.__dict__.pop(name, None)
        super().close()

    def _step(self, slots: Any, rows: Sequence[Row]) -> Tensor:
        changes = [self._changes(row.request) for row in rows]
        # a row's last token is the one that runs
        places = [len(row.ids) - 1 for row in rows]
        # hooked for this step alone: between steps, prompts are read by the unchanged model
        with self.writer.on([change.layer for some in changes for change in some]):
            self.writer.expect_each(changes, places, n_tokens=1)
            logits = super()._step(slots, rows)
            self.writer.check()
        return logits

    def _changes(self, request: Request) -> list[Change]:
        if not isinstance(request, ChangedRequest):
            return []
        if id(request) not in self._counted:
            self._counted[id(request)] = _Counted(request)
        edit = self._counted[id(request)]
        return [Change(layer=request.layer, tokens=range(self.context), edit=edit)]

    def _check(self, request: Request, completion: Completion) -> None:
        """Of a completion's tokens all but the last were run, and each was edited once."""
        counted = self._counted.pop(id(request), None)
        written = 0 if counted is None else counted.written
        run = max(0, len(completion.token_ids or ()) - 1)
        meant = run if isinstance(request, ChangedRequest) else 0
        if written != meant:
            raise RuntimeError(
                f"question {request.question_id!r}, sample {request.sample_index}, "
                f"{request.variant or 'unchanged'}: hooks wrote {written} states, but {meant} were "
                "meant"
            )

    def _scored(self, ended: Sequence[Ended]) -> Iterator[Ended]:
        """Completions with the unchanged model's log-probabilities."""
        by_prompt: dict[tuple[int, ...], list[int]] = {}
        for i, (request, _) in enumerate(ended):
            by_prompt.setdefault(encode(self.tokenizer, request.prompt), []).append(i)
        jobs = [
            Job(
                question_id=ended[members[0]][0].question_id,
                prompt_ids=prompt,
                traces=[
                    ForcedTrace(
                        sample_index=i, token_ids=ended[i][1].token_ids or (), spots=NO_SPOTS
                    )
                    for i in members
                ],
            )
            for prompt, members in by_prompt.items()
        ]
        # the pass reads states of one layer at least; no spots are asked of it
        for done in self.scorer.forward(jobs, [self.n_blocks]):
            if done.sample_index is not None:
                request, completion = ended[done.sample_index]
                yield request, replace(completion, logprobs=done.logprobs)


def changed_engines(
    model: ResolvedModel, *, dtype: str, workers: int, device: str | None
) -> RayEngine:
    """Copies of the engine in workers on a Ray cluster."""
    cluster = cluster_of(workers, device)
    assert cluster is not None
    return RayEngine(
        model,
        dtype=dtype,
        inner=ChangedEngine,
        workers=workers,
        gpus=cluster.gpus,
        device=device,
        room=ROOM,
    )


class _Counted:
    """A request's edit, which counts the states that it was given."""

    def __init__(self, request: ChangedRequest) -> None:
        self.request = request  # kept, so that its id is no other request's
        self.written = 0

    def __call__(self, states: Tensor, first: int) -> Tensor:
        if first != self.written:
            raise RuntimeError(
                f"{self.request.variant}: token {first} was edited after {self.written} others"
            )
        self.written += len(states)
        return self.request.edit(states, first)
