"""Teacher forcing with vLLM: the fast way on a GPU, for models that it can look into.

A trace is a request that generates nothing more: prompt and stored ids together, the prompt's part
from vLLM's prefix cache. `vllm_connector.py` runs in vLLM's workers and writes the asked tokens'
states, one small file a request, which is read and removed here. (Text sampled in this mode can be
wrong, vLLM issue 56417: nothing is sampled.) Against `hooks.py` in float32, vectors differ by less
than 1e-4 of their layer's largest value.

    with closing(VllmTeacherForcing("Qwen/Qwen3-8B", layers=[8, 36], longest=4096)) as forcing:
        for done in forcing.forward(jobs, [8]): ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.teacher_forcing import ForcedStates, ForcedTrace, Job
from cot.engines.vllm import VllmEngine
from cot.errors import InputError
from cot.models import ResolvedModel, load_config, resolve

__all__ = ["VllmTeacherForcing"]

TOKENS_PER_BATCH = 2048
"""Most tokens in a step: their logits are made at once, a vocabulary of them a token."""
REQUESTS = 256
"""Most requests that are with vLLM, or whose states wait to be read."""
LEAST_ROOM = 512
"""Tokens that an engine has room for at least."""
GPU_SHARE = 0.8
"""Of the GPU's memory that vLLM fills beforehand; the rest is for logits."""


class VllmTeacherForcing:
    """`TeacherForcing` on vLLM; close it when done.

    Log-probabilities are NaN where vLLM had the token's predecessor in its prefix cache: a
    beginning that another trace of the question shares was scored there.

    Args:
        model: a name that `cot.models.resolve` knows, or what it returned.
        layers: all that will be asked for; the model is loaded for these.
        longest: most tokens of a prompt and trace together.
        dtype: see `VllmEngine`.
        tokens_per_batch: most tokens in a step, where that is below TOKENS_PER_BATCH.

    Raises:
        InputError: vLLM isn't installed, or can't look into this model.
    """

    def __init__(
        self,
        model: str | ResolvedModel,
        *,
        layers: Sequence[int],
        longest: int,
        dtype: str = "auto",
        tokens_per_batch: int = TOKENS_PER_BATCH,
    ) -> None:
        self.layers = list(layers)
        self._model = resolve(model)
        tokens = max(32, min(TOKENS_PER_BATCH, tokens_per_batch))
        extraction = {"eagle_aux_hidden_state_layer_ids": self.layers}
        self._vllm = VllmEngine(
            self._model,
            dtype=dtype,
            max_model_len=_room(self._model, longest + 1),
            max_num_batched_tokens=tokens,
            max_num_seqs=min(REQUESTS, tokens),
            gpu_memory_utilization=GPU_SHARE,
            enable_prefix_caching=True,
            speculative_config={
                "method": "extract_hidden_states",
                "num_speculative_tokens": 1,
                "draft_model_config": {"hf_config": extraction},
            },
            kv_transfer_config={
                "kv_connector": "SpotsConnector",
                "kv_connector_module_path": "analysis.hidden_states.vllm_connector",
                "kv_role": "kv_producer",
            },
        )
        try:
            self._engine = self._vllm.llm.llm_engine
        except (RuntimeError, ValueError, ImportError) as error:
            raise InputError(
                f"vLLM cannot hand out hidden states of {self._vllm.model.name} ({error}): "
                "use --engine transformers"
            ) from error
        self._flushes = 0

    def close(self) -> None:
        """Free the weights."""
        self._vllm.close()

    def forward(self, jobs: Iterable[Job], layers: Sequence[int]) -> Iterator[ForcedStates]:
        """Each job's prompt, then its traces in their order."""
        chosen = [self.layers.index(layer) for layer in layers]
        waiting: deque[_Request] = deque()
        try:
            with TemporaryDirectory(prefix="cot-states-") as folder:
                for request in _requests(jobs, Path(folder)):
                    while len(waiting) >= REQUESTS:
                        yield from self._step(waiting, chosen)
                    self._add(request)
                    waiting.append(request)
                while waiting:
                    yield from self._step(waiting, chosen)
        finally:
            self._engine.abort_request([request.number for request in waiting])

    def _add(self, request: _Request) -> None:
        prompt = {"prompt_token_ids": request.token_ids}
        self._engine.add_request(
            request.number, prompt, _params(request), lora_request=self._vllm.lora
        )

    def _step(self, waiting: deque[_Request], layers: list[int]) -> Iterator[ForcedStates]:
        """Let vLLM work; yield what has come of the requests, in their order.

        It writes the states of what a step ended at the next step: where none is due, a request
        for nothing makes it take one.
        """
        if idle := not self._engine.has_unfinished_requests():
            self._flushes += 1
            nothing = {"prompt_token_ids": waiting[0].token_ids[:1]}
            self._engine.add_request(f"flush-{self._flushes}", nothing, _params(None))
        ended = {output.request_id: output for output in self._engine.step()}
        while idle and self._engine.has_unfinished_requests():
            self._engine.step()
        for request in waiting:
            if request.number in ended:
                request.read_logprobs(ended[request.number])
        if idle and not waiting[0].path.exists():
            raise RuntimeError(f"vLLM gave no hidden states of {waiting[0].job.question_id!r}")
        while waiting and waiting[0].path.exists():
            yield waiting.popleft().result(layers)


def _room(model: ResolvedModel, tokens: int) -> int:
    """Tokens that the engine has room for: a power of two, so that runs whose longest traces differ
    a little can have the same engine, and no more than the model takes."""
    whole = int(load_config(model).max_position_embeddings)
    return max(tokens, min(whole, max(LEAST_ROOM, 1 << (tokens - 1).bit_length())))


@dataclass(slots=True, kw_only=True, eq=False)
class _Request:
    """What vLLM was asked for."""

    number: str
    job: Job
    trace: ForcedTrace | None
    path: Path
    prompt_end: list[NDArray[np.float32]]
    logprobs: NDArray[np.float32] | None = None

    @property
    def token_ids(self) -> list[int]:
        """Of the prompt and the trace."""
        own = [] if self.trace is None else self.trace.token_ids
        return [int(token) for token in (*self.job.prompt_ids, *own)]

    @property
    def spots(self) -> list[list[int]]:
        """Counted from the prompt's first token."""
        asked = np.array([[-1, 0]]) if self.trace is None else self.trace.spots
        spots: list[list[int]] = (asked + len(self.job.prompt_ids)).tolist()
        return spots

    def read_logprobs(self, output: Any) -> None:
        if self.trace is not None and self.trace.score:
            flat, first = output.prompt_logprobs, len(self.job.prompt_ids)
            found = np.array([flat.logprobs[at] for at in flat.start_indices[first:]], np.float32)
            found[: max(0, output.num_cached_tokens + 1 - first)] = np.nan
            self.logprobs = found

    def result(self, layers: list[int]) -> ForcedStates:
        """Read and remove the file; the prompt's end is the same vector in all of its traces."""
        from safetensors.numpy import load_file

        vectors = load_file(self.path)["vectors"][layers]
        self.path.unlink()
        if self.trace is None:
            self.prompt_end.append(vectors)
        else:
            vectors[:, self.trace.spots[:, 0] < 0] = self.prompt_end[0]
        return ForcedStates(
            job=self.job,
            sample_index=None if self.trace is None else self.trace.sample_index,
            vectors=vectors,
            logprobs=self.logprobs,
        )


def _requests(jobs: Iterable[Job], folder: Path) -> Iterator[_Request]:
    number = 0
    for job in jobs:
        prompt_end: list[NDArray[np.float32]] = []
        for trace in (None, *job.traces):
            number += 1
            yield _Request(
                number=str(number),
                job=job,
                trace=trace,
                path=folder / f"{number}.safetensors",
                prompt_end=prompt_end,
            )


def _params(request: _Request | None) -> Any:
    """Generate one token (vLLM's least), hand out states, score the stored tokens.

    With log-probabilities asked for, vLLM would leave its prefix cache alone unless told not to.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    extra = None
    if request is not None:
        extra = {"kv_transfer_params": {"spots": request.spots, "path": str(request.path)}}
    scored = request is not None and request.trace is not None and request.trace.score
    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        detokenize=False,
        prompt_logprobs=0 if scored else None,
        flat_logprobs=True,
        skip_reading_prefix_cache=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        extra_args=extra,
    )
