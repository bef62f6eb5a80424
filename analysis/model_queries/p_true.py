"""P(True): the model's own rating of a trace (Kadavath et al. 2022, arXiv 2207.05221).

The trace is followed by the question whether it is right, to be rated 0 or 1, and the confidence is
p(1) / (p(0) + p(1)) of the next token, as CISC asks (arXiv 2502.06233).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.model_queries import ModelQueries
from cot.errors import InputError
from cot.models import encode
from cot.store.run import Run
from cot.types import Request, Sampling

__all__ = ["p_true"]

CUE = "\n\nIs the answer above correct? My rating is 1 if it is and 0 if it is not. Rating: ("


def p_true(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> NDArray[np.float64]:
    """p(1) / (p(0) + p(1)) for each trace with a valid answer, shape [trace]; NaN for the others.

    The model's completions are stored under samples/p_true.
    """
    traces = run.traces(["text", "prompt_sha"])
    asked = answers.loc[answers["status"] == "ok", ["question_id", "sample_index"]]
    keys = asked.merge(traces, on=["question_id", "sample_index"], how="left")
    prompts = _prompt_ids(run, queries, keys)
    tokenizer = queries.engine.tokenizer
    zero, one = _digits(tokenizer)
    requests = [
        Request(
            question_id=question_id,
            sample_index=int(index),
            prompt=prompts[sha, question_id] + _plain(tokenizer, text + CUE),
            sampling=Sampling(n=1, temperature=0.0, max_tokens=1),
            seed=0,
            score_tokens=(zero, one),
        )
        for question_id, index, text, sha in keys.itertuples(index=False)
    ]
    said = queries.ask("p_true", requests)
    values = np.full(len(answers), np.nan)
    values[(answers["status"] == "ok").to_numpy()] = [
        _rating(scores, zero, one) for scores in said["scores"]
    ]
    return values


def _rating(scores: Any, zero: int, one: int) -> float:
    if not isinstance(scores, dict):  # its prompt did not fit
        return float("nan")
    wrong, right = (float(scores[str(token)]) for token in (zero, one))
    return right / (wrong + right) if wrong + right > 0 else float("nan")


def _digits(tokenizer: Any) -> tuple[int, int]:
    """The tokens by which `0` and `1` follow the cue."""
    cue = _plain(tokenizer, CUE)
    ends = [_plain(tokenizer, CUE + digit)[len(cue) :] for digit in "01"]
    if any(len(end) != 1 for end in ends):
        raise InputError("p_true: this tokenizer has no token for 0 and 1 after an open bracket")
    return ends[0][0], ends[1][0]


def _plain(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _prompt_ids(
    run: Run, queries: ModelQueries, keys: pd.DataFrame
) -> dict[tuple[Any, str], tuple[int, ...]]:
    """(prompt_sha, question_id) to the prompt's token ids; the question where there is none."""
    stored = run.prompts().set_index("prompt_sha") if keys["prompt_sha"].notna().any() else None
    texts = run.questions().set_index("question_id")["text"]
    found: dict[tuple[Any, str], tuple[int, ...]] = {}
    for sha, question_id in zip(keys["prompt_sha"], keys["question_id"], strict=True):
        if (sha, question_id) in found:
            continue
        prompt: Any = f"Question: {texts[question_id]}\nAnswer:"
        if stored is not None and isinstance(sha, str):
            row = stored.loc[sha]
            prompt = row["text"] if isinstance(row["text"], str) else tuple(row["messages"])
        found[sha, question_id] = encode(queries.engine.tokenizer, prompt, run.identity.chat_args)
    return found
