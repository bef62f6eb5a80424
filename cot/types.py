"""The values that pass between stages: small, frozen, and the same everywhere.

A trace flows through them in order: a `Question` is rendered to a prompt, asked of an engine as a
`Request`, comes back as a `Completion`, is stored as a `Trace`, and is read as `Step`s and an
`Answer`, which becomes a `Ballot` in a `Vote`. What a whole run shows is a `Finding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SAMPLE_KEY",
    "TRACE_KEY",
    "Answer",
    "AnswerStatus",
    "Ballot",
    "Completion",
    "Finding",
    "FinishReason",
    "Message",
    "Prompt",
    "Question",
    "Request",
    "Sampling",
    "Step",
    "Trace",
    "TraceKey",
    "Vote",
]

FinishReason = Literal["stop", "length", "error"]
AnswerStatus = Literal["ok", "missing", "unparsed", "truncated"]
Message = Mapping[str, str]
"""One chat turn: ``{"role": "system" | "user" | "assistant", "content": ...}``."""
Prompt = str | tuple[Message, ...] | tuple[int, ...]
"""Plain text, chat messages, or token ids."""
TraceKey = tuple[str, int]
"""(question_id, sample_index)."""
TRACE_KEY = ["question_id", "sample_index"]
"""Columns by which tables name a trace; a list, as pandas takes it."""
SAMPLE_KEY = [*TRACE_KEY, "variant"]
"""Columns by which what an analysis sampled is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a dataset."""

    id: str
    """Given by the dataset, else a hash of the text. Never used as a file name."""
    text: str
    """The question as asked, without choices."""
    gold: str | None = None
    """The reference answer as the dataset writes it, or None where there is none."""
    choices: tuple[str, ...] | None = None
    """Texts of the options in order (A, B, ...), without their letters, or None."""
    dataset: str = ""
    """Where it came from: a hub id, a file name, or `arithmetic`."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: gold step values, a worked solution, columns that were not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How traces are drawn."""

    n: int = 10
    """Traces a question."""
    temperature: float = 0.7
    """0 is greedy."""
    top_p: float = 0.95
    """Nucleus size, in (0, 1]; 1 keeps every token."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps every token."""
    max_tokens: int = 256
    """Most tokens generated a trace, stop token included."""
    seed: int = 0
    """The run's seed; each trace's own seed is hashed from it."""
    stop: tuple[str, ...] = ()
    """Strings that end a trace; the text ends before the first of them."""
    top_logprobs: int = 0
    """0, or k >= 2: store one mean of the k largest log-probabilities per token."""
    min_p: float = 0.0
    """Keep the tokens at least this many times as likely as the likeliest one, in [0, 1]
    (arXiv:2407.01082); 0 keeps every token."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens that stand in the prompt or the
    output (arXiv:1909.05858); positive, 1 changes nothing."""
    presence_penalty: float = 0.0
    """Subtracted from the logit of each token that stands in the output; 0 changes nothing."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit once for each time that it stands in the output; 0 changes
    nothing."""
    think_budget: int | None = None
    """Most tokens of reasoning: after so many without `think_end`, it is forced and sampling goes
    on (budget forcing, arXiv:2501.19393). None forces nothing."""
    think_end: str = "</think>\n\n"
    """Text that a budget forces, ending the reasoning; read only where there is a budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion asked of an engine."""

    question_id: str
    """Key of the question."""
    sample_index: int
    """Index among the question's samples, from 0."""
    prompt: Prompt
    """What the model continues."""
    sampling: Sampling
    """Settings; `sampling.n` and `sampling.seed` are not for the engine to read."""
    seed: int
    """This trace's own seed, 63 bits."""
    score_tokens: tuple[int, ...] | None = None
    """Token ids whose probability of coming next after the prompt is asked for, or None."""
    variant: str = ""
    """What distinguishes several samples of one key, for samples that analyses draw."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """What an engine returns for one request."""

    text: str
    """Generated text, before the stop string and without special tokens."""
    token_ids: tuple[int, ...] | None
    """Generated ids, the stop token or the tokens that spell the stop string included; None for a
    trace that was imported without them."""
    logprobs: NDArray[np.float32] | None
    """Natural-log probability of each sampled token under the raw distribution (before
    penalties, temperature and truncation), shape [token]; None where unknown."""
    finish_reason: FinishReason
    """`stop` (end token or stop string), `length` (token limit), or `error`."""
    top_means: NDArray[np.float32] | None = None
    """Mean of the k largest log-probabilities at each token, shape [token], or None."""
    scores: Mapping[int, float] | None = None
    """Probability of each of the request's `score_tokens`, or None."""
    forced: tuple[int, int] | None = None
    """First token that a thinking budget forced and one past the last, or None: they were not
    sampled. A stored trace's `meta` has it as `forced_tokens`."""
    problem: str | None = None
    """Why the request failed, where it ended as `error`; None where its prompt doesn't fit into the
    model's context. A completion with a problem may be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """One stored chain of thought."""

    question_id: str
    """Key of its question."""
    sample_index: int
    """Index among the question's samples, from 0."""
    seed: int | None
    """The seed that it was sampled with; None for an imported trace without one."""
    prompt_sha: str | None
    """sha256 of the prompt, a key of prompts.parquet; None for an imported trace without one."""
    completion: Completion
    """What the model wrote."""
    variant: str = ""
    """Empty in traces/; what distinguishes samples of one key under samples/."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: fields that an import did not understand."""

    @property
    def key(self) -> TraceKey:
        """(question_id, sample_index)."""
        return (self.question_id, self.sample_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a trace's reasoning."""

    key: TraceKey
    """The trace it belongs to."""
    index: int
    """Position among the trace's steps, from 0."""
    start: int
    """First character in the raw text."""
    end: int
    """One past the last character in the raw text."""
    token_start: int | None = None
    """First generated token, or None where the trace has no token ids."""
    token_end: int | None = None
    """One past the last generated token, or None."""
    kind: str = "other"
    """What it does: see `cot.steps.KINDS`."""
    part: Literal["reasoning", "answer"] = "reasoning"
    """Whether it stands inside or outside the think tags; `reasoning` where there are none."""
    section: int = 0
    """Its section, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer that a trace states last."""

    status: AnswerStatus
    """`ok`; `missing` (none stated); `unparsed` (stated, not understood); `truncated` (none stated
    before the token limit)."""
    text: str | None = None
    """As stated, or None."""
    canonical: str | None = None
    """Canonical form: equal answers have equal forms; None unless the status is `ok`."""
    start: int | None = None
    """First character of `text` in the trace's raw text, or None."""
    end: int | None = None
    """One past its last character, or None."""
    pattern: str | None = None
    """How it was found: a name of `cot.answers.patterns` or `cot.answers.readers`, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One trace's vote."""

    answer: str | None
    """Representative of its equivalence class; None is a missing answer, which never votes."""
    weight: float
    """Not negative; 1 for a plain majority."""
    sample_index: int
    """Breaks ties: the lowest wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The outcome of one rule on one question."""

    question_id: str
    """The question voted on."""
    rule: str
    """The rule as typed, parameters included."""
    answer: str | None
    """The winning class, or None if no ballot was valid."""
    share: float
    """Winner's weight / all valid weight, in [0, 1]; NaN if abstained."""
    margin: float
    """(winner's - runner-up's weight) / all valid weight, in [0, 1]; NaN if abstained."""
    tied: bool
    """Another class had the same weight; the lowest sample_index broke the tie."""
    abstained: bool
    """No ballot was valid."""
    n_ballots: int
    """Valid ballots."""
    n_excluded: int
    """Traces without a valid answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One number that a run shows, with what is needed to trust it."""

    measure: str
    """What was estimated, such as `accuracy` or `auroc`."""
    subject: str = ""
    """What it is of: a vote rule, a test, a signal, a pair, a target; empty where the measure says
    all."""
    baseline: str = ""
    """What the subject is compared with: the estimate is then the difference; empty where the
    estimate is the subject's own."""
    estimate: float | None
    """The estimate; None where it is not defined, which `method` explains."""
    low: float | None
    """Lower end of the 95% interval, or None."""
    high: float | None
    """Upper end of the 95% interval, or None."""
    p: float | None = None
    """Probability of an estimate as large under the null that `method` names, or None."""
    n_questions: int
    """Questions behind the estimate."""
    n_traces: int
    """Traces behind the estimate."""
    n_excluded: int
    """Questions or traces left out, as `method` says."""
    method: str
    """How it was computed, in one line."""
    seed: int | None = None
    """Seed of whatever was random, or None."""
