"""Teacher forcing with transformers: stored ids in, hidden states of asked tokens out.

A question's prompt is run once, from where it parts from the one before (few-shot prompts begin
alike). Its traces continue from that key-value cache, sorted by length and padded on the right
(behind every real token, so that no mask is needed). Long ones are run in chunks of CHUNK tokens:
attention scores are at most chunk × length a row, states and logits are those of one chunk, and
what is kept of a trace is its keys and values. A hook on each asked block gathers the asked tokens'
states as they pass: no other state is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.model_parts import Head, find_blocks
from analysis.hidden_states.teacher_forcing import Certainty, ForcedStates, ForcedTrace, Job
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Chunk", "HookTeacherForcing"]

CHUNK = {"cpu": 1024, "cuda": 4096}
"""Tokens of each row of a batch that are run at a time, by device. On a GPU every chunk waits for
the one before, so that short ones cost more than the memory that they save."""
LEAST_FILLED = 0.8
"""A trace shorter than this share of its batch's longest waits for the next batch."""
BUSY = 128
"""Tokens in a batch below which a shorter trace costs nothing more."""
LEAST_SHARED = 32
"""Tokens that two prompts must share for the first one's cache to be copied."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """What of a batch is being run: for a reader's own hooks on the model (attention, say)."""

    job: Job
    """The question."""
    traces: Sequence[ForcedTrace]
    """One a row of the batch, padded on the right; none while the prompt is run, in one row."""
    start: int
    """The chunk's first token: an index into the generated ids, or into the prompt's."""
    end: int
    """One past the last."""


class HookTeacherForcing:
    """`TeacherForcing` on a causal language model of transformers.

    Attributes:
        model, head: the model, and its head.
        chunk: what is being run while a hook is called.

    Args:
        model: as `AutoModelForCausalLM` loads it, on one device or spread over several; put in
            evaluation mode.
        tokens_per_batch: most tokens (prompt and trace, padding included) in one batch; one trace
            may be longer.
        chunk_tokens: tokens of each trace that are run at a time; by default as CHUNK says.

    Raises:
        InputError: its blocks aren't found, or it can't go on from a prompt that was run before.
    """

    def __init__(
        self, model: Any, tokens_per_batch: int = 16_384, chunk_tokens: int | None = None
    ) -> None:
        self.model = model.eval()
        self.body = model.base_model
        self.blocks = find_blocks(self.body)
        self.head = Head(model)
        self.tokens_per_batch = tokens_per_batch
        self.chunk_tokens = chunk_tokens or CHUNK.get(model.device.type, CHUNK["cpu"])
        self.chunk: Chunk | None = None
        self._before: tuple[list[int], Any] = ([], None)
        self._check_continues()

    def forward(self, jobs: Iterable[Job], layers: Sequence[int]) -> Iterator[ForcedStates]:
        """Each job's prompt, then its traces by falling length."""
        gather = _Gather()
        with ExitStack() as stack:
            for layer in layers:
                hook = gather.hook(layer)
                if layer == 0:
                    handle = self.blocks[0].register_forward_pre_hook(hook, with_kwargs=True)
                else:
                    handle = self.blocks[layer - 1].register_forward_hook(hook, with_kwargs=True)
                stack.callback(handle.remove)
            for job in jobs:
                cache, normed, ends = self._prompt(job, layers, gather)
                yield ForcedStates(job=job, sample_index=None, vectors=ends, logprobs=None)
                for batch in _batches(job.traces, len(job.prompt_ids), self.tokens_per_batch):
                    vectors, scored = self._continue(job, batch, cache, normed, layers, gather)
                    first = 0
                    for trace, (logprobs, certainty) in zip(batch, scored, strict=True):
                        own = vectors[:, first : first + len(trace.spots)]
                        own[:, trace.spots[:, 0] < 0] = ends
                        first += len(trace.spots)
                        yield ForcedStates(
                            job=job,
                            sample_index=trace.sample_index,
                            vectors=own,
                            logprobs=logprobs,
                            certainty=certainty,
                        )

    def _prompt(
        self, job: Job, layers: Sequence[int], gather: _Gather
    ) -> tuple[Any, Tensor, NDArray[np.float32]]:
        """The prompt's cache, its last state after the final norm [1, 1, d_model], and its last
        token's vectors [layer, 1, d_model]."""
        import torch

        prompt = [int(token) for token in job.prompt_ids]
        cache, shared = self._begun(prompt)
        ids = torch.tensor([prompt], device=self.model.device)
        gather.ask([np.array([[len(prompt) - 1, len(prompt)]])])
        for states, _ in self._chunks(job, (), ids, cache, gather, shared):
            last = states[:, -1:]
        self._before = (prompt, cache)
        return cache, last, gather.take(layers)

    def _chunks(
        self,
        job: Job,
        traces: Sequence[ForcedTrace],
        ids: Tensor,
        cache: Any,
        gather: _Gather,
        start: int = 0,
    ) -> Iterator[tuple[Tensor, int]]:
        """States after the final norm [row, token, d_model] of each chunk of ids [row, token], and
        where it begins; the cache is added to."""
        import torch

        for first in range(start, ids.shape[1], self.chunk_tokens):
            end = min(first + self.chunk_tokens, ids.shape[1])
            self.chunk = Chunk(job=job, traces=traces, start=first, end=end)
            gather.go_to(first, end)
            with torch.inference_mode():
                out = self.body(input_ids=ids[:, first:end], past_key_values=cache, use_cache=True)
            yield out[0], first
        self.chunk = None

    def _begun(self, prompt: list[int]) -> tuple[Any, int]:
        """A cache of the prompt's first tokens, and how many: those of the prompt before it."""
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        before, cache = self._before
        pairs = zip(before, prompt[:-1], strict=False)
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        if shared < LEAST_SHARED or any(type(layer) is not DynamicLayer for layer in cache.layers):
            return DynamicCache(config=self.model.config), 0  # a sliding window has let go of them
        begun = copy.deepcopy(cache)
        if shared < len(before):
            begun.crop(shared - len(before))
        return begun, shared

    def _continue(
        self,
        job: Job,
        batch: Sequence[ForcedTrace],
        cache: Any,
        prompt_end: Tensor,
        layers: Sequence[int],
        gather: _Gather,
    ) -> tuple[NDArray[np.float32], list[Scored]]:
        """Vectors [layer, spot of all traces, d_model] and each trace's scores."""
        # the model appends to a cache in place, and the next batch needs the prompt's alone
        shared = copy.deepcopy(cache)
        shared.batch_repeat_interleave(len(batch))
        ids = _padded(batch).to(self.model.device)
        gather.ask([trace.spots for trace in batch])
        scores = _Scores(self.head, batch, prompt_end)
        for states, start in self._chunks(job, batch, ids, shared, gather):
            scores.add(states, ids[:, start : start + states.shape[1]], start)
        return gather.take(layers), scores.take()

    def _check_continues(self) -> None:
        """Compare tokens that go on from a cache, in a padded batch, with a plain forward."""
        import torch

        ids = list(range(1, 8))
        spots = np.array([[0, 1], [2, 3]])
        long = ForcedTrace(sample_index=0, token_ids=ids[3:], spots=spots)
        short = ForcedTrace(sample_index=1, token_ids=ids[3:6], spots=spots)
        gather, last = _Gather(), len(self.blocks)
        handle = self.blocks[-1].register_forward_hook(gather.hook(last), with_kwargs=True)
        try:
            job = Job(question_id="", prompt_ids=ids[:3], traces=[long, short])
            cache, end, _ = self._prompt(job, [last], gather)
            found, _ = self._continue(job, job.traces, cache, end, [last], gather)
            gather.ask([np.vstack([spots, spots]) + 3])
            with torch.inference_mode():
                self.body(input_ids=torch.tensor([ids], device=self.model.device))
            expected = gather.take([last])
        except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
            raise self._refusal(str(error)) from error
        finally:
            handle.remove()
        close = 1e-3 if self.model.dtype == torch.float32 else 5e-2
        if not np.abs(found - expected).max() <= close * np.abs(expected).max():
            raise self._refusal("its states differ then")

    def _refusal(self, reason: str) -> InputError:
        return InputError(
            f"cannot capture from {type(self.model).__name__}: a trace can't go on from its "
            f"prompt's cache ({reason}); decoder-only models with attention work"
        )


Scored = tuple[NDArray[np.float32] | None, Certainty | None]
"""A trace's log-probabilities and certainty."""


class _Scores:
    """Each token's log-probability, from the state of the token before it, chunk by chunk."""

    def __init__(self, head: Head, batch: Sequence[ForcedTrace], prompt_end: Tensor) -> None:
        import torch

        self.head, self.batch = head, batch
        # a token is predicted at the one before it, the first one at the prompt's end
        self.last = prompt_end.expand(len(batch), 1, -1)
        asked = [
            len(trace.token_ids) if head.exact and (trace.score or trace.certainty) else 0
            for trace in batch
        ]
        self.asked = torch.tensor(asked, device=prompt_end.device)
        self.certain = any(trace.certainty for trace in batch)
        self.parts: list[list[Tensor]] = [[] for _ in batch]

    def add(self, states: Tensor, ids: Tensor, start: int) -> None:
        """The states [row, token, d_model] and ids [row, token] of a chunk."""
        import torch

        before = torch.cat([self.last, states[:, :-1]], dim=1)
        self.last = states[:, -1:]
        # padding is left out before the head, whose logits cost more than the blocks
        place = torch.arange(start, start + ids.shape[1], device=states.device)
        real = place < self.asked[:, None]
        counts = real.sum(dim=1).tolist()
        if not any(counts):
            return
        states, targets = before[real], ids.to(states.device)[real]
        with torch.inference_mode():
            found = (
                torch.stack(self.head.certainty(states, targets))
                if self.certain
                else self.head.log_probs(states, targets)[None]
            )
        for row, part in zip(self.parts, torch.split(found.cpu(), counts, dim=1), strict=True):
            row.append(part)

    def take(self) -> list[Scored]:
        import torch

        scored: list[Scored] = []
        for trace, parts in zip(self.batch, self.parts, strict=True):
            if not parts:
                scored.append((None, None))
                continue
            found = torch.cat(parts, dim=1).numpy()
            certainty = None
            if trace.certainty:
                # float64: a mean of 32,000 numbers
                certainty = Certainty(*found[1:].mean(axis=1, dtype=np.float64).tolist())
            scored.append((found[0] if trace.score else None, certainty))
        return scored


class _Gather:
    """Keeps the mean states of asked tokens as they pass the hooks."""

    def __init__(self) -> None:
        self.totals: dict[int, Tensor] = {}

    def ask(self, spots: Sequence[NDArray[np.int64]]) -> None:
        """Spots [spot, 2] of each row of the coming batch; the prompt's (-1, 0) is left empty."""
        import torch

        every = np.concatenate(spots) if spots else np.empty((0, 2), np.int64)
        starts = np.maximum(every[:, 0], 0)
        sizes = every[:, 1] - starts
        rows = np.repeat(np.arange(len(spots)), [len(some) for some in spots])
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        columns = np.arange(sizes.sum()) - first + np.repeat(starts, sizes)
        order = np.argsort(columns, kind="stable")  # so that a chunk's tokens are one slice
        self.columns = columns[order]
        self.spot = torch.from_numpy(np.repeat(np.arange(len(every)), sizes)[order])
        self.row = torch.from_numpy(np.repeat(rows, sizes)[order])
        self.sizes = np.maximum(sizes, 1).astype(np.float32)[:, None]
        self.go_to(0, int(columns.max(initial=0)) + 1)

    def go_to(self, start: int, end: int) -> None:
        """Tokens `start` to `end` are the ones that pass next."""
        import torch

        part = slice(*np.searchsorted(self.columns, [start, end]))
        column = torch.from_numpy(self.columns[part] - start)
        self.asked = (self.row[part], column, self.spot[part])
        self.there: dict[Any, tuple[Tensor, ...]] = {}

    def on(self, device: Any) -> tuple[Tensor, ...]:
        """Row, column and spot of each asked token of the chunk, on a block's device."""
        if device not in self.there:
            self.there[device] = tuple(index.to(device) for index in self.asked)
        return self.there[device]

    def hook(self, layer: int) -> Any:
        """A forward pre-hook for layer 0, else a forward hook."""

        def keep(module: Any, args: Any, kwargs: Any, output: Any = None) -> None:
            states = kwargs.get("hidden_states", args[0] if args else None)
            if layer > 0:
                states = output[0] if isinstance(output, tuple) else output
            row, column, spot = self.on(states.device)
            # float32 before summing: a mean of a thousand bfloat16 states loses two digits
            asked = states[row, column].float()
            if layer not in self.totals:
                self.totals[layer] = asked.new_zeros(len(self.sizes), asked.shape[1])
            self.totals[layer].index_add_(0, spot, asked)

        return keep

    def take(self, layers: Sequence[int]) -> NDArray[np.float32]:
        """The means, shape [layer, spot, d_model]."""
        taken = np.stack([self.totals[layer].cpu().numpy() / self.sizes for layer in layers])
        self.totals.clear()
        return taken


def _batches(
    traces: Sequence[ForcedTrace], prompt: int, budget: int
) -> Iterator[list[ForcedTrace]]:
    """Traces by falling length, as many at once as the budget of tokens allows; a batch that keeps
    the processor busy takes no trace that is much shorter than its first: padding costs as much as
    tokens do."""
    ordered = sorted(traces, key=lambda trace: -len(trace.token_ids))
    while ordered:
        longest = len(ordered[0].token_ids)
        # the prompt's keys and values are repeated for each trace, so that its tokens count too
        most = max(1, budget // (prompt + longest))
        alike = sum(len(trace.token_ids) >= LEAST_FILLED * longest for trace in ordered)
        count = min(most, max(1, alike, BUSY // longest))
        yield ordered[:count]
        ordered = ordered[count:]


def _padded(batch: Sequence[ForcedTrace]) -> Tensor:
    import torch

    width = max(len(trace.token_ids) for trace in batch)
    ids = np.zeros((len(batch), width), np.int64)
    for row, trace in zip(ids, batch, strict=True):
        row[: len(trace.token_ids)] = trace.token_ids
    return torch.from_numpy(ids)
