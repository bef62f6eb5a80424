"""Queries to the model about stored traces: what an analysis samples goes to samples/PURPOSE.

A completion is stored under a digest of the prompt, the settings and the model, so that no query is
made twice, and another model's completion is never taken for this one's.

    with ModelQueries(run, model="smollm2-135m-instruct") as queries:
        queries.ask("p_true", requests)         # a DataFrame, row for row
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from cot.engines import server_facts
from cot.errors import ConsilienceError, InputError
from cot.models import encode, resolve_run_model
from cot.progress import track
from cot.registry import find
from cot.store.identity import SamplingIdentity, as_mapping
from cot.store.run import Run
from cot.types import SAMPLE_KEY, Request, Sampling, Trace

if TYPE_CHECKING:
    from cot.engines import Engine

__all__ = ["ModelQueries", "run_sampling"]

OWN_ENGINES = ("transformers", "vllm")
"""Engines that run a resolved model, with its revision and adapter."""
OWN_STOPS = ("\nQuestion:", "\nQ:")
"""Where a run doesn't say how it was sampled."""
UNCHANGED = Sampling()
DIGESTED = {"n", "seed", "temperature", "max_tokens", "stop", "top_p", "top_k", "top_logprobs"}
"""Settings that a query's digest names always, or that don't change what is sampled."""


def run_sampling(run: Run) -> Sampling:
    """The settings with which a run's traces were sampled, for one sample more; the defaults where
    the run was imported and doesn't say."""
    stored = as_mapping(run.identity.sampling or SamplingIdentity(stop=OWN_STOPS))
    own = {name: value for name, value in stored.items() if name != "top_logprobs"}
    return Sampling(n=1, **{**own, "stop": tuple(own["stop"])})


@dataclass(frozen=True)
class ModelQueries:
    """Queries to one model. The engine is made at the first query that is not stored yet.

    As a context manager, it frees the model at the end.
    """

    run: Run
    """Where the completions go; its lock must be held."""
    model: str | None = None
    """A model's name; the run's own by default."""
    engine_name: str | None = None
    """An engine's name; the run's own by default, else vllm where it is installed."""
    make_engine: Callable[..., Engine] | None = None
    """Makes an engine of one's own: of a resolved model, with its `dtype`."""
    _open: list[Engine] = field(default_factory=list, repr=False)
    """The engine, once it is made."""

    @cached_property
    def engine(self) -> Engine:
        """The engine; not loaded before the first query."""
        identity = self.run.identity
        model = self.model or identity.model
        if not model:
            raise InputError(f"{self.run.path}: its traces were imported: give --model")
        name = self.engine_name or identity.engine
        name = name or ("vllm" if find_spec("vllm") else "transformers")
        # an engine that isn't ours takes a name, and one that runs no model resolves none
        ours = self.make_engine is not None or name in OWN_ENGINES
        given: Any = resolve_run_model(identity, model) if ours else model
        make = self.make_engine or find("engines", name)
        own = name == identity.engine and model == identity.model
        served = {"served": identity.served} if own and identity.served else {}
        made: Engine = make(given, dtype=identity.dtype or "auto", **served)
        if made.model is None:
            made.close()
            facts = server_facts(made)
            why = f"the server ({facts.kind}) continues no prefix" if facts else "it runs no model"
            raise InputError(f"engine {made.name!r}: {why}: choose another --engine")
        self._open.append(made)
        return made

    def ask(self, purpose: str, requests: Sequence[Request]) -> pd.DataFrame:
        """Completions of the requests, row for row: text, token_ids, scores, finish_reason, ...

        A request's variant is extended by a digest of the prompt, the settings and the model. One
        whose prompt doesn't fit into the model's context has missing values.

        Raises:
            ConsilienceError: requests failed that may be asked again; the others are stored.
        """
        asked = [replace(each, variant=self._variant(each)) for each in requests]
        index = pd.MultiIndex.from_tuples([_key(each) for each in asked], names=SAMPLE_KEY)
        stored = self.run.samples(purpose).set_index(SAMPLE_KEY)
        missing = [each for each in asked if _key(each) not in stored.index]
        problems: list[str] = []
        if missing:
            with (
                self.run.writer(purpose) as writer,
                track(f"asking ({purpose})", total=len(missing), unit="answers") as advance,
            ):
                for request, completion in self.engine.generate(map(self._encoded, missing)):
                    advance(1)
                    if completion.finish_reason == "error":
                        problems += [completion.problem] if completion.problem else []
                        continue
                    writer.add(
                        Trace(
                            question_id=request.question_id,
                            sample_index=request.sample_index,
                            seed=request.seed,
                            prompt_sha=None,
                            completion=completion,
                            variant=request.variant,
                        )
                    )
            if problems:
                raise ConsilienceError(
                    f"{purpose}: {len(problems)} of {len(missing)} queries failed, the last as: "
                    f"{problems[-1]}; the others are stored: run the same command again"
                )
            stored = self.run.samples(purpose).set_index(SAMPLE_KEY)
        return stored.reindex(index).reset_index()

    def stored(self, purpose: str, requests: Sequence[Request]) -> int:
        """How many of the requests are answered already; loads no weights."""
        known = set(self.run.samples(purpose).set_index(SAMPLE_KEY).index)
        return sum(_key(replace(each, variant=self._variant(each))) in known for each in requests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the weights."""
        for engine in self._open:
            engine.close()

    def _encoded(self, request: Request) -> Request:
        """The request with token ids: messages go through the chat template as the run's did."""
        if self.engine.tokenizer is None:
            return request
        ids = encode(self.engine.tokenizer, request.prompt, self.run.identity.chat_args)
        return replace(request, prompt=ids)

    def _variant(self, request: Request) -> str:
        model: Any = self.engine.model
        sampling = request.sampling
        asked = [model.name, model.revision, request.prompt, request.score_tokens]
        asked += [sampling.temperature, sampling.max_tokens, sampling.stop]
        if sampling.temperature > 0:
            asked += [sampling.top_p, sampling.top_k, request.seed]
        chat_args = self.run.identity.chat_args
        more = {
            "adapter": model.adapter and [model.adapter.name, model.adapter.revision],
            "chat_args": None if _are_ids(request.prompt) else dict(chat_args or {}),
            **{
                name: value
                for name, value in asdict(sampling).items()
                if name not in DIGESTED and value != getattr(UNCHANGED, name)
            },
        }
        if more := {name: value for name, value in more.items() if value}:
            asked.append(more)
        digest = hashlib.blake2b(json.dumps(asked).encode(), digest_size=8).hexdigest()
        return f"{request.variant}:{digest}" if request.variant else digest


def _are_ids(prompt: Any) -> bool:
    return not isinstance(prompt, str) and all(isinstance(token, int) for token in prompt)


def _key(request: Request) -> tuple[str, int, str]:
    return (request.question_id, request.sample_index, request.variant)
