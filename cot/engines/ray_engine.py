"""Sampling with copies of an engine on a Ray cluster: one vLLM or transformers engine a worker.

Each trace is drawn with its own seed, whichever copy draws it. A run that is sampled so says that
the copies' engine sampled it, and that engine, in one process, goes on with it.

    engine = RayEngine("Qwen/Qwen3-8B", workers=4, inner="vllm", max_model_len=8192)
    for request, completion in engine.generate(requests): ...

A request that a worker held when it died goes to another one (see `cot.workers`). This process
holds the tokenizer and no weights.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cot import models
from cot.engines import failure, never
from cot.errors import InputError
from cot.registry import find
from cot.types import Completion, Request
from cot.workers.cluster import Cluster, gpus_each
from cot.workers.pool import Lost, Workers
from cot.workers.same_model import SameModel
from cot.workers.worker import Given, Message

if TYPE_CHECKING:
    from cot.engines import Engine

__all__ = ["RayEngine"]

log = logging.getLogger("cot")

ROWS = {"transformers": ("batch_rows", 64), "vllm": ("max_num_seqs", 256)}
"""Which of an engine's arguments says how many traces it runs side by side, and its default."""
SPARE = 0.25
"""Share of these that wait in a worker beside them, so that none is without work."""


class RayEngine:
    """Answers requests with copies of an engine, each in a worker on a Ray cluster.

    Args:
        model: a name that `cot.models.resolve` knows, or what it returned.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` (float32 where workers have no GPU).
        verbose: let Ray, the workers and the libraries speak.
        workers: how many copies; by default one for each GPU of the cluster, or one.
        inner: the copies' engine, transformers or vllm, or what makes one; vllm by default, where
            it is installed.
        address: the Ray cluster's; `local` starts one on this machine. By default RAY_ADDRESS, else
            the cluster that runs on this machine, else a new one.
        gpus: of each worker; by default one where the cluster has any, or what
            `tensor_parallel_size` says.
        cpus: cores of each worker; by default one beside a GPU, else its share of the cluster's.
        runtime_env: Ray's runtime environment of the workers, such as {"working_dir": "."}.
        room: requests that a worker holds at a time; by default a quarter more than it runs.
        revision: a branch, tag or commit of a model on the hub.
        adapter: a folder or hub id of a LoRA adapter to run the model with.
        adapter_revision: as `revision`, of an adapter on the hub.
        quantize: `int8` or `int4` rounds the model's weights (`cot.quantized_models`).
        **engine_args: arguments of the copies' engine, such as max_model_len or batch_rows.

    Attributes:
        stands_for: name of the copies' engine, which a run keeps.

    Raises:
        InputError: Ray isn't installed; an argument out of range; what the copies' engine raises.
    """

    name = "ray"

    def __init__(
        self,
        model: str | models.ResolvedModel,
        *,
        dtype: str = "auto",
        verbose: bool = False,
        workers: int | None = None,
        inner: str | Callable[..., Engine] | None = None,
        address: str | None = None,
        gpus: float | None = None,
        cpus: float | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        room: int | None = None,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_revision: str | None = None,
        quantize: str = "none",
        **engine_args: Any,
    ) -> None:
        if find_spec("ray") is None:
            raise InputError(
                "Ray is not installed: pip install 'consilience[ray]', or leave --engine ray out"
            )
        if room is not None and room < 1:
            raise InputError(f"room is {room}: give at least 1")
        inner = inner or ("vllm" if find_spec("vllm") else "transformers")
        self._make = find("engines", inner) if isinstance(inner, str) else inner
        self.model = models.resolve(
            model,
            revision=revision,
            adapter=adapter,
            adapter_revision=adapter_revision,
            quantize=quantize,
        )
        self._args = {**engine_args, "verbose": verbose}
        self._asked_dtype = dtype
        # loads nothing; what it refuses is refused here
        self._inner: Engine = self._make(self.model, dtype=dtype, **self._args)
        self.stands_for = inner if isinstance(inner, str) else self._inner.name
        if self._inner.model is None:
            raise InputError(f"inner is {self.stands_for}: give an engine that runs a model")
        self._cluster = Cluster(
            workers=workers,
            address=address,
            gpus=engine_args.get("tensor_parallel_size") if gpus is None else gpus,
            cpus=cpus,
            runtime_env=runtime_env,
            verbose=verbose,
        )
        argument, rows = ROWS.get(self._inner.name, ("", 64))
        self._room = room or round((1 + SPARE) * int(engine_args.get(argument, rows)))
        self._workers: Workers | None = None

    @cached_property
    def dtype(self) -> str:
        """The weights' type: workers may have GPUs where this process has none."""
        if self._asked_dtype != "auto":
            return self._asked_dtype
        trust = bool(self._args.get("trust_remote_code", False))
        config = models.load_config(self.model, trust_remote_code=trust)
        return models.weights_type(config, "auto", cpu=not gpus_each(self._cluster))

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._inner.tokenizer

    @property
    def context(self) -> int:
        """Most tokens of prompt and completion together."""
        return self._inner.context

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[tuple[Request, Completion]]:
        """Yield each request with its completion, as it ends; one that was given up, as each worker
        that held it died, ends as an error that says so."""
        if self._workers is None:
            work = EngineWork(
                make=self._make,
                model=SameModel.of(self.model),
                dtype=self.dtype,
                arguments=self._args,
            )
            self._workers = Workers(work, self._cluster, self._room)
        running = self._workers.run(requests, cancelled, alike=lambda request: request.question_id)
        with closing(running):
            for request, result in running:
                if isinstance(result, Lost):
                    name = f"{request.question_id}:{request.sample_index}"
                    log.warning("request %s is given up: %s", name, result.problem)
                    yield request, failure(result.problem)
                else:
                    yield request, result

    def close(self) -> None:
        """End the workers, and with them their weights."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWork:
    """What a worker of the engine does; see `cot.workers.worker.Work`."""

    make: Callable[..., Engine]
    """Makes the engine."""
    model: SameModel
    """The model."""
    dtype: str
    """The weights' type."""
    arguments: Mapping[str, Any]
    """Of the engine."""

    @contextmanager
    def open(self) -> Iterator[Callable[[Given], Iterator[Message]]]:
        """The engine, which answers requests for as long as they are given."""
        engine = self.make(self.model.resolve(), dtype=self.dtype, **self.arguments)

        def work(given: Given) -> Iterator[Message]:
            # by id of the request, which is kept, so that its id is no other's
            numbers: dict[int, tuple[int, Request]] = {}

            def requests() -> Iterator[Request | None]:
                for each in given:
                    if each is None:
                        yield None
                    else:
                        number, request = each
                        numbers[id(request)] = number, request
                        yield request

            def dropped(request: Request) -> bool:
                gone = given.dropped(numbers[id(request)][0])
                if gone:
                    del numbers[id(request)]
                return gone

            for request, completion in engine.generate(requests(), dropped):
                number, _ = numbers.pop(id(request))
                yield number, completion, True

        with closing(engine):
            yield work
