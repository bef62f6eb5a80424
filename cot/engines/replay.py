"""Serving stored traces again: for tests, and for re-running a study without a model.

engine = ReplayEngine("runs/gsm8k")     # asks nothing of a model
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cot.engines import failure, never
from cot.errors import InputError
from cot.types import Completion, Request, TraceKey

if TYPE_CHECKING:
    from cot.models import ResolvedModel

__all__ = ["ReplayEngine"]


class ReplayEngine:
    """Answers a request with the stored trace of its question_id and sample_index.

    A request that the run does not hold comes back with finish_reason `error`. What was asked,
    prompt, settings and seed, is not compared.

    Args:
        model: path of the run folder.
        dtype: taken for the sake of the other engines' signature; a replay has no weights.
        verbose: likewise.
    """

    name = "replay"
    model: ResolvedModel | None = None
    tokenizer: Any = None
    dtype = ""
    context = 2**31

    def __init__(self, model: str | Path, *, dtype: str = "auto", verbose: bool = False) -> None:
        from cot.store.run import open_run

        self._run = open_run(model)

    @cached_property
    def _traces(self) -> Mapping[TraceKey, Completion]:
        columns = ["text", "token_ids", "logprobs", "top_means", "finish_reason", "meta"]
        return {
            (row["question_id"], row["sample_index"]): Completion(
                text=row["text"],
                token_ids=None if row["token_ids"] is None else tuple(row["token_ids"].tolist()),
                logprobs=_floats(row["logprobs"]),
                top_means=_floats(row["top_means"]),
                finish_reason=row["finish_reason"],
                forced=tuple(row["meta"]["forced_tokens"])
                if "forced_tokens" in row["meta"]
                else None,
            )
            for row in self._run.traces(columns).to_dict("records")
        }

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[tuple[Request, Completion]]:
        """Yield each request with the trace stored for it."""
        for request in requests:
            if request is not None and not cancelled(request):
                if request.sampling.think_budget is not None:
                    raise InputError(
                        "the replay engine serves stored traces and can't force the end of their "
                        "reasoning: leave think_budget out, or use --engine transformers or vllm"
                    )
                key = (request.question_id, request.sample_index)
                yield request, self._traces.get(key) or failure()

    def close(self) -> None:
        """Let go of the traces."""
        self.__dict__.pop("_traces", None)


def _floats(values: Any) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    return None if values is None else np.asarray(values, dtype=np.float32)
