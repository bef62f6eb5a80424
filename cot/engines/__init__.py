"""What asks a language model: requests in, each completion out as it ends.

Every engine yields the same things for the same settings: token ids with the stop token, log-
probabilities under the raw distribution, text before the stop string. `cot.engines.contract`
checks that, for the engines here and for yours.

    for request, completion in engine.generate(requests):
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cot.types import Completion, Request

if TYPE_CHECKING:
    from cot.models import ResolvedModel

__all__ = ["Engine", "ServerFacts", "failure", "never", "server_facts"]


def never(request: Request) -> bool:
    """No request is cancelled."""
    return False


class Engine(Protocol):
    """Answers requests. Construction is cheap; weights load with the first request."""

    name: str
    """The engine's name in the registry."""

    @property
    def model(self) -> ResolvedModel | None:
        """The model asked; None for an engine that asks none."""

    @property
    def dtype(self) -> str:
        """The weights' type, such as `float32`; empty where there are none."""

    @property
    def tokenizer(self) -> Any:
        """The model's transformers tokenizer; None for an engine that asks no model."""

    @property
    def context(self) -> int:
        """Most tokens of prompt and completion together."""

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[tuple[Request, Completion]]:
        """Yield each request with its completion, as it ends.

        Requests are pulled as there is room to run them. One whose prompt leaves no room for a
        completion comes back with finish_reason `error`.

        Args:
            requests: best ordered by question, so that its traces share the prompt's work. None
                in place of a request says that the next one depends on those that run: go on with
                them, and pull again once one has ended or was dropped. It never comes while none
                runs.
            cancelled: asked while a request waits and runs; once it says True, the request is
                dropped and not yielded.
        """

    def close(self) -> None:
        """Free the weights. The engine can't be asked afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server that runs the model said at the start, where the model runs elsewhere."""

    kind: str
    """`vllm`, `sglang`, `llama.cpp`, or `other`."""
    version: str | None
    """Its version, where it says one."""
    served: str
    """The name under which it serves the model."""
    renamed: str | None
    """That name where the user said it, as it is another one than the model's; else None."""
    api: str
    """`completions` (prompts are sent as token ids) or `chat` (its template is applied there)."""
    lacks: frozenset[str]
    """Fields of `Sampling` that it can't apply."""
    seeded: bool
    """Whether a request's seed decides what is drawn."""
    missing: tuple[str, ...]
    """What it doesn't give, in words; it is stored as missing."""


def server_facts(engine: Engine) -> ServerFacts | None:
    """What an engine's server said; None where the engine has none."""
    facts: ServerFacts | None = getattr(engine, "facts", None)
    return facts


def failure(problem: str | None = None) -> Completion:
    """The completion of a request that can't be run; without a problem, its prompt is too long."""
    return Completion(text="", token_ids=(), logprobs=None, finish_reason="error", problem=problem)
