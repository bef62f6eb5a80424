"""Teacher forcing with transformers: stored ids in, hidden states of asked tokens out.

A question's prompt is run once, from where it parts from the one before (few-shot prompts begin
alike). Its traces continue from that key-value cache, sorted by length and padded on the right
(behind every real token, so that no mask is needed). A hook on each asked block gathers the asked
tokens' states as they pass: no other state is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.model_parts import Head, find_blocks
from analysis.hidden_states.teacher_forcing import ForcedStates, ForcedTrace, Job
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["HookTeacherForcing"]

LEAST_FILLED = 0.8
"""A trace shorter than this share of its batch's longest waits for the next batch."""
BUSY = 128
"""Tokens in a batch below which a shorter trace costs nothing more."""
LEAST_SHARED = 32
"""Tokens that two prompts must share for the first one's cache to be copied."""


class HookTeacherForcing:
    """`TeacherForcing` on a causal language model of transformers.

    Args:
        model: as `AutoModelForCausalLM` loads it, on one device or spread over several; put in
            evaluation mode.
        tokens_per_batch: most tokens (prompt and trace, padding included) in one batch.

    Raises:
        InputError: its blocks aren't found, or it can't go on from a prompt that was run before.
    """

    def __init__(self, model: Any, tokens_per_batch: int = 16_384) -> None:
        self.model = model.eval()
        self.body = model.base_model
        self.blocks = find_blocks(self.body)
        self.head = Head(model)
        self.tokens_per_batch = tokens_per_batch
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
                cache, normed, ends = self._prompt(job.prompt_ids, layers, gather)
                yield ForcedStates(job=job, sample_index=None, vectors=ends, logprobs=None)
                for batch in _batches(job.traces, len(job.prompt_ids), self.tokens_per_batch):
                    vectors, scored = self._continue(batch, cache, normed, layers, gather)
                    first = 0
                    for trace, logprobs in zip(batch, scored, strict=True):
                        own = vectors[:, first : first + len(trace.spots)]
                        own[:, trace.spots[:, 0] < 0] = ends
                        first += len(trace.spots)
                        yield ForcedStates(
                            job=job,
                            sample_index=trace.sample_index,
                            vectors=own,
                            logprobs=logprobs,
                        )

    def _prompt(
        self, prompt_ids: Sequence[int], layers: Sequence[int], gather: _Gather
    ) -> tuple[Any, Tensor, NDArray[np.float32]]:
        """The prompt's cache, its last state after the final norm [1, 1, d_model], and its last
        token's vectors [layer, 1, d_model]."""
        import torch

        prompt = [int(token) for token in prompt_ids]
        cache, shared = self._begun(prompt)
        ids = torch.tensor([prompt[shared:]], device=self.model.device)
        gather.ask([np.array([[ids.shape[1] - 1, ids.shape[1]]])])
        with torch.inference_mode():
            states = self.body(input_ids=ids, past_key_values=cache, use_cache=True)[0]
        self._before = (prompt, cache)
        return cache, states[:, -1:], gather.take(layers)

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
        batch: Sequence[ForcedTrace],
        cache: Any,
        prompt_end: Tensor,
        layers: Sequence[int],
        gather: _Gather,
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32] | None]]:
        """Vectors [layer, spot of all traces, d_model] and each trace's log-probabilities."""
        import torch

        # the model appends to a cache in place, and the next batch needs the prompt's alone
        shared = copy.deepcopy(cache)
        shared.batch_repeat_interleave(len(batch))
        ids = _padded(batch).to(self.model.device)
        gather.ask([trace.spots for trace in batch])
        with torch.inference_mode():
            states = self.body(input_ids=ids, past_key_values=shared, use_cache=True)[0]
            logprobs = self._log_probs(batch, ids, prompt_end, states)
        return gather.take(layers), logprobs

    def _log_probs(
        self, batch: Sequence[ForcedTrace], ids: Tensor, prompt_end: Tensor, states: Tensor
    ) -> list[NDArray[np.float32] | None]:
        """Each token's log-probability, from the state of the token before it."""
        import torch

        if not self.head.exact or not any(trace.score for trace in batch):
            return [None] * len(batch)
        ids = ids.to(states.device)
        # a token is predicted at the one before it, the first one at the prompt's end
        before = torch.cat([prompt_end.expand(len(batch), 1, -1), states[:, :-1]], dim=1)
        lengths = torch.tensor([len(trace.token_ids) for trace in batch], device=ids.device)
        # padding is left out before the head, whose logits cost more than the blocks
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        flat = self.head.log_probs(before[real], ids[real]).cpu().numpy()
        parts = np.split(flat, np.cumsum([len(trace.token_ids) for trace in batch])[:-1])
        return [part if trace.score else None for part, trace in zip(parts, batch, strict=True)]

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
            cache, end, _ = self._prompt(ids[:3], [last], gather)
            found, _ = self._continue([long, short], cache, end, [last], gather)
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


class _Gather:
    """Keeps the mean states of asked tokens as they pass the hooks."""

    def __init__(self) -> None:
        self.kept: dict[int, Tensor] = {}

    def ask(self, spots: Sequence[NDArray[np.int64]]) -> None:
        """Spots [spot, 2] of each row of the coming batch; the prompt's (-1, 0) is left empty."""
        import torch

        every = np.concatenate(spots) if spots else np.empty((0, 2), np.int64)
        starts = np.maximum(every[:, 0], 0)
        sizes = every[:, 1] - starts
        rows = np.repeat(np.arange(len(spots)), [len(some) for some in spots])
        tokens = [np.arange(*span) for span in zip(starts, every[:, 1], strict=True)]
        columns = np.concatenate([np.empty(0, np.int64), *tokens])
        self.sizes = torch.from_numpy(np.maximum(sizes, 1))[:, None]
        self.spot = torch.from_numpy(np.repeat(np.arange(len(every)), sizes))
        self.row = torch.from_numpy(np.repeat(rows, sizes))
        self.column = torch.from_numpy(columns)
        self.there: dict[Any, tuple[Tensor, ...]] = {}

    def on(self, device: Any) -> tuple[Tensor, ...]:
        """Row, column and spot of each asked token, and the spots' sizes, on a block's device."""
        if device not in self.there:
            indices = (self.row, self.column, self.spot, self.sizes)
            self.there[device] = tuple(index.to(device) for index in indices)
        return self.there[device]

    def hook(self, layer: int) -> Any:
        """A forward pre-hook for layer 0, else a forward hook."""

        def keep(module: Any, args: Any, kwargs: Any, output: Any = None) -> None:
            states = kwargs.get("hidden_states", args[0] if args else None)
            if layer > 0:
                states = output[0] if isinstance(output, tuple) else output
            row, column, spot, sizes = self.on(states.device)
            # float32 before summing: a mean of a thousand bfloat16 states loses two digits
            asked = states[row, column].float()
            total = asked.new_zeros(len(sizes), asked.shape[1])
            self.kept[layer] = total.index_add_(0, spot, asked) / sizes

        return keep

    def take(self, layers: Sequence[int]) -> NDArray[np.float32]:
        """What was kept, shape [layer, spot, d_model]."""
        taken = np.stack([self.kept[layer].cpu().numpy() for layer in layers])
        self.kept.clear()
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
