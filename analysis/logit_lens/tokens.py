"""The lens token by token: each layer's next token after each token of a few traces.

A trace that was read lies in activations/lens/tokens-DIGEST.parquet; the digest is of all that its
reading follows from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.hidden_states.teacher_forcing import ForcedStates, ForcedTrace, Job
from analysis.logit_lens.inputs import LensInputs
from analysis.logit_lens.unembedding import Unembedding, Vocabulary
from cot.errors import InputError
from cot.models import ResolvedModel, load_tokenizer
from cot.store.run import Run
from cot.store.shards import write_parquet
from cot.types import TRACE_KEY

__all__ = ["TokenReader", "TraceKey", "choose_traces", "of_tokens"]

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


class TokenReader:
    """What of the chosen traces is read, and where it lies.

    Args:
        chosen: the traces.
        folder: where readings lie.
        layers: all of the model.
        model: whose tokenizer says what the tokens are.

    Attributes:
        jobs: of the traces that were not read yet.
        answers: of each of them, the first token of its answer, or None.
    """

    def __init__(
        self,
        inputs: LensInputs,
        chosen: pd.DataFrame,
        folder: Path,
        layers: Sequence[int],
        model: ResolvedModel,
    ) -> None:
        self.layers, self.model = layers, model
        self.files: list[Path] = []
        self.jobs: list[Job] = []
        self.answers: list[int | None] = []
        self._about: list[tuple[Any, list[int], Path]] = []
        names = (*TRACE_KEY, "prompt_sha", "token_ids", "token")
        for question_id, index, sha, ids, answer in zip(
            *(chosen[name].tolist() for name in names), strict=True
        ):
            token = None if pd.isna(answer) else int(answer)
            written = hashlib.sha256(np.asarray(ids, np.int64).tobytes()).hexdigest()
            basis = [model.revision, question_id, index, sha, written, token, MOST_TOKENS]
            digest = hashlib.sha256(json.dumps(basis).encode()).hexdigest()[:16]
            self.files.append(folder / f"tokens-{digest}.parquet")
            if self.files[-1].exists():
                continue
            last = np.arange(max(-1, len(ids) - MOST_TOKENS), len(ids))
            spots = np.stack([last, last + 1], axis=1)
            trace = ForcedTrace(sample_index=index, token_ids=ids, spots=spots, score=False)
            job = Job(question_id=question_id, prompt_ids=inputs.prompts[sha], traces=[trace])
            read = [*([job.prompt_ids[-1]] if last[0] < 0 else []), *ids[max(0, last[0]) :]]
            self.jobs.append(job)
            self.answers.append(token)
            self._about.append((last, read, self.files[-1]))

    def keep(self, number: int, words: Vocabulary) -> None:
        """Store what `of_tokens` gave of one of the jobs."""
        tokenizer, job = load_tokenizer(self.model), self.jobs[number]
        last, read, path = self._about[number]
        n_layers, n_tokens = len(self.layers), len(last)
        frame = pd.DataFrame(
            {
                "question_id": job.question_id,
                "sample_index": job.traces[0].sample_index,
                "token": np.repeat(last, n_layers),
                "text": np.repeat(_texts(tokenizer, read), n_layers),
                "layer": np.tile(np.asarray(self.layers), n_tokens),
                "top": _texts(tokenizer, words.top.tolist()),
                "p_top": words.p_top,
                "p_stated": words.p,
                "entropy": words.entropy,
            }
        )
        write_parquet(pa.Table.from_pandas(frame, preserve_index=False), path)

    def table(self) -> pd.DataFrame:
        """The table `lens_tokens`; see `analysis.logit_lens.lens`."""
        return pd.concat([pd.read_parquet(path) for path in self.files], ignore_index=True)


def of_tokens(done: ForcedStates, unembedding: Unembedding, answer: int | None) -> Vocabulary:
    """The next token after each token and at each layer, of [token × layer] states."""
    width = done.vectors.shape[2]
    return unembedding.vocabulary(done.vectors.swapaxes(0, 1).reshape(-1, width), answer)


def _texts(tokenizer: Any, ids: Sequence[int]) -> Any:
    known = {token: tokenizer.decode([token]) for token in {int(token) for token in ids}}
    return np.array([known[int(token)] for token in ids], dtype=object)
