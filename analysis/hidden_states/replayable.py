"""Which stored traces can be run through the model again, and with what prompt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cot.errors import InputError
from cot.models import encode
from cot.store.run import Run

__all__ = ["replayable"]

log = logging.getLogger("cot")


def replayable(
    run: Run, tokenizer: Any, config: Any, limit: int | None, spare: int = 0
) -> tuple[pd.DataFrame, dict[str, Sequence[int]]]:
    """The traces that can be replayed, and the token ids of their prompts.

    Args:
        spare: tokens of the model's context that must stay free.
    """
    traces = run.traces(["prompt_sha", "text", "token_ids", "logprobs"])
    if limit is not None:
        first = traces["question_id"].unique()[:limit]
        traces = traces[traces["question_id"].isin(first)]
    prompts = _prompt_ids(run, set(traces["prompt_sha"].dropna()), tokenizer)
    n_tokens = traces["token_ids"].map(lambda ids: 0 if ids is None else len(ids))
    n_prompt = traces["prompt_sha"].map(lambda sha: len(prompts.get(sha, ())))
    context = (getattr(config, "max_position_embeddings", None) or np.inf) - spare
    reasons = {
        "without token ids": n_tokens == 0,
        "without a prompt": n_prompt == 0,
        f"longer than the model's context of {context} tokens": n_tokens + n_prompt > context,
    }
    left = pd.Series(True, index=traces.index)
    for reason, out in reasons.items():
        if n_out := int((out & left).sum()):
            log.warning("%d traces %s are not replayed", n_out, reason)
        left &= ~out
    if not left.any():
        raise InputError(f"{run.path}: no trace can be replayed (see the notices above)")
    traces = traces[left].reset_index(drop=True)
    largest = max(int(np.max(ids)) for ids in [*traces["token_ids"], *prompts.values()])
    if largest >= config.vocab_size:
        raise InputError(
            f"{run.path} holds token {largest}, but the model knows {config.vocab_size} tokens: "
            "it is not the model that wrote these traces; give its name with --model"
        )
    return traces, prompts


def _prompt_ids(run: Run, wanted: set[str], tokenizer: Any) -> dict[str, Sequence[int]]:
    """prompt_sha to token ids, as stored where they are."""
    found: dict[str, Sequence[int]] = {}
    if wanted:
        prompts = run.prompts()
        columns = (prompts[name] for name in ("prompt_sha", "text", "messages", "token_ids"))
        for sha, text, messages, stored in zip(*columns, strict=True):
            if sha in wanted:
                asked = text if isinstance(text, str) else tuple(messages)
                found[sha] = encode(tokenizer, asked) if stored is None else stored
    return {sha: ids for sha, ids in found.items() if len(ids)}
