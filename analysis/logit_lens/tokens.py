"""The lens token by token: each layer's next token after each token of a few traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.hidden_states.teacher_forcing import ForcedTrace, Job, TeacherForcing
from analysis.logit_lens.inputs import LensInputs
from analysis.logit_lens.unembedding import Unembedding
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["TraceKey", "choose_traces", "tokens_table"]

TraceKey = tuple[str, int]
N_CHOSEN = 4
MOST_TOKENS = 256
"""Of a longer trace, the last so many tokens are read."""


def choose_traces(
    inputs: LensInputs, named: Sequence[Sequence[Any]], seed: int, run: Run
) -> pd.DataFrame:
    """The named traces, else right and wrong ones of the same questions, where there are such.

    Raises:
        InputError: a trace that isn't there, or can't be read.
    """
    traces = inputs.traces
    if named:
        keys = {
            key: row for row, key in enumerate(zip(*(traces[n] for n in TRACE_KEY), strict=True))
        }
        for question_id, index in named:
            if (question_id, index) not in keys:
                raise InputError(
                    f"{run.path} has no trace {question_id}:{index} that the lens can read: it "
                    "must have token ids, a valid answer, and lie within --limit"
                )
        return traces.loc[[keys[question_id, index] for question_id, index in named]]
    shuffled = traces.sample(frac=1, random_state=np.random.default_rng(seed))
    judged = shuffled[shuffled["correct"].notna()].drop_duplicates(["question_id", "correct"])
    both = judged[judged.duplicated("question_id", keep=False)]
    pairs = both[both["question_id"].isin(both["question_id"].unique()[: N_CHOSEN // 2])]
    return pd.concat([pairs, shuffled.drop(pairs.index)]).head(N_CHOSEN).sort_index()


def tokens_table(
    inputs: LensInputs,
    chosen: pd.DataFrame,
    layers: Sequence[int],
    forcing: TeacherForcing,
    unembedding: Unembedding,
    tokenizer: Any,
) -> pd.DataFrame:
    """The table `lens_tokens`; see `analysis.logit_lens.lens`."""
    jobs, about = [], {}
    columns = (chosen[name].tolist() for name in (*TRACE_KEY, "prompt_sha", "token_ids", "token"))
    for question_id, index, sha, ids, answer in zip(*columns, strict=True):
        last = np.arange(max(-1, len(ids) - MOST_TOKENS), len(ids))
        spots = np.stack([last, last + 1], axis=1)
        trace = ForcedTrace(sample_index=index, token_ids=ids, spots=spots, score=False)
        job = Job(question_id=question_id, prompt_ids=inputs.prompts[sha], traces=[trace])
        jobs.append(job)
        read = [*([job.prompt_ids[-1]] if last[0] < 0 else []), *ids[max(0, last[0]) :]]
        about[job] = (last, read, None if pd.isna(answer) else int(answer))
    parts = []
    for done in forcing.forward(jobs, layers):
        if done.sample_index is None:
            continue
        last, read, answer = about[done.job]
        n_layers, n_tokens, width = done.vectors.shape
        words = unembedding.vocabulary(done.vectors.swapaxes(0, 1).reshape(-1, width), answer)
        parts.append(
            pd.DataFrame(
                {
                    "question_id": done.job.question_id,
                    "sample_index": done.sample_index,
                    "token": np.repeat(last, n_layers),
                    "text": np.repeat(_texts(tokenizer, read), n_layers),
                    "layer": np.tile(np.asarray(layers), n_tokens),
                    "top": _texts(tokenizer, words.top.tolist()),
                    "p_top": words.p_top,
                    "p_stated": words.p,
                    "entropy": words.entropy,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _texts(tokenizer: Any, ids: Sequence[int]) -> Any:
    known = {token: tokenizer.decode([token]) for token in {int(token) for token in ids}}
    return np.array([known[int(token)] for token in ids], dtype=object)
