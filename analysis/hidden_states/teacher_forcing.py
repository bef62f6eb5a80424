"""Teacher forcing: stored token ids in, hidden states of asked tokens out.

The contract between what looks inside a model and the library that runs it: `hooks.py` does it with
transformers, `vllm_forcing.py` with vLLM. Analyses ask through `shared_pass.py`, so that one pass
serves several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Certainty", "ForcedStates", "ForcedTrace", "Job", "TeacherForcing"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForcedTrace:
    """One trace to run through the model."""

    sample_index: int
    """Index among the question's samples."""
    token_ids: Sequence[int]
    """The generated ids as they were sampled; at least one."""
    spots: NDArray[np.int64]
    """(start, end) of each vector asked for, shape [spot, 2]: the mean state of generated tokens
    start to end - 1; (-1, 0) is the prompt's last token."""
    score: bool = True
    """Whether the tokens' log-probabilities are asked for."""
    certainty: bool = False
    """Whether `Certainty` is asked for: it reads the whole vocabulary at every token."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One question: its prompt is run once, then its traces continue it."""

    question_id: str
    """Key of the question."""
    prompt_ids: Sequence[int]
    """At least one id."""
    traces: Sequence[ForcedTrace]
    """May be empty: then only the prompt's end is looked at."""


class Certainty(NamedTuple):
    """How sure the model was of a trace: means over its generated tokens."""

    self_certainty: float
    """Mean of -(1/V) Σ_j log(V p_j) over a vocabulary of V tokens, in nats: 0 where all are equally
    probable (arXiv 2502.18581)."""
    mean_entropy: float
    """Mean of -Σ_j p_j log p_j, in nats: log V where all are equally probable."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForcedStates:
    """What came of one trace, or of the prompt."""

    job: Job
    """The job that it belongs to."""
    sample_index: int | None
    """The trace; None for the prompt."""
    vectors: NDArray[np.float32]
    """Hidden states, shape [layer, spot, d_model]; a prompt has one spot, its last token."""
    logprobs: NDArray[np.float32] | None
    """Natural-log probability of each generated token under the model, shape [token], or None; NaN
    where it is not known."""
    certainty: Certainty | None = None
    """None where it was not asked for."""


class TeacherForcing(Protocol):
    """Runs a model over jobs."""

    def forward(self, jobs: Iterable[Job], layers: Sequence[int]) -> Iterator[ForcedStates]:
        """Each job's prompt, then its traces in any order, as they are done."""
        ...
