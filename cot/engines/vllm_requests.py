"""One completion as vLLM is asked for it: in one request, or in several with a thinking budget.

With a budget, the first request goes as far as the budget; each token of the end tag that is then
forced is a request that allows no other token, so that vLLM gives its raw log-probability; and the
last one samples the answer. Each finds what stands before it in the prefix cache. The settings have
the names of vLLM's SamplingParams, which are those of its server's requests too.

    pending = Pending(request, prompt_ids, tokenizer, context)
    while (completion := pending.take(ask(pending.settings()))) is None: ...
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cot.engines.decoding import TextStream
from cot.engines.thinking_budget import ThinkingBudget, thinking_budget
from cot.errors import InputError
from cot.types import Completion, FinishReason, Request

__all__ = ["Part", "Pending", "mean_of_largest", "read_output", "sampling_params"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one request of a completion came to."""

    text: str
    """Its text, before a stop string and without special tokens."""
    ids: Sequence[int] | None
    """Its tokens, the stop token included; None where they are not known."""
    logprobs: Sequence[float] | None
    """Their log-probabilities under the raw distribution; None where they are not known."""
    means: Sequence[float] | None
    """Means of the largest log-probabilities at each token, or None."""
    scores: Mapping[int, float] | None
    """Probabilities of the request's `score_tokens` at the first token, or None."""
    cut: bool
    """Whether it ended at the limit of tokens."""


@dataclass(slots=True, eq=False)
class Pending:
    """A completion as far as it is; vLLM is asked for it in one request, or in several where the
    end of its reasoning is forced."""

    request: Request
    """What was asked."""
    prompt: tuple[int, ...]
    """Its prompt's token ids."""
    tokenizer: Any
    """The model's tokenizer."""
    context: int
    """Most tokens of prompt and completion together."""
    budget: ThinkingBudget | None = field(init=False)
    """When the end of its reasoning is forced."""
    ids: list[int] = field(default_factory=list)
    """Tokens so far."""
    logprobs: list[float] = field(default_factory=list)
    """Their log-probabilities under the raw distribution."""
    means: list[float] = field(default_factory=list)
    """Means of the largest log-probabilities, where they are asked for."""
    scores: Mapping[int, float] | None = None
    """Probabilities of the request's `score_tokens`."""
    to_force: list[int] = field(default_factory=list)
    """Tokens to come, one a request."""
    forced_at: int | None = None
    """Where the first forced token stands."""
    unknown: bool = False
    """Whether the log-probabilities of some of its tokens are not known."""

    def __post_init__(self) -> None:
        sampling = self.request.sampling
        self.budget = thinking_budget(self.tokenizer, sampling)
        if self.budget and (sampling.presence_penalty or sampling.frequency_penalty):
            raise InputError(
                "think_budget with a presence or frequency penalty: vLLM continues a forced end as "
                "a new request, whose penalties don't count what the reasoning wrote; leave one "
                "out, or use --engine transformers"
            )
        self._spend()

    @property
    def left(self) -> int:
        """Most tokens that it may still get."""
        room = self.context - len(self.prompt)
        return min(self.request.sampling.max_tokens, room) - len(self.ids)

    def settings(self) -> dict[str, Any]:
        """Settings of its next request, by vLLM's names."""
        sampling = self.request.sampling
        scored = self.request.score_tokens
        most = self.left
        if self.to_force:
            most = 1
        elif self.budget and len(self.ids) < self.budget.n_tokens:
            most = min(most, self.budget.n_tokens)
        return {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "allowed_token_ids": self.to_force[:1] or None,
            "max_tokens": most,
            "seed": _seed_at(self.request.seed, len(self.ids)),
            "stop": [stop for stop in sampling.stop if stop],
            "logprobs": sampling.top_logprobs if scored is None else None,
            "logprob_token_ids": None if scored is None else list(scored),
        }

    def take(self, part: Part) -> Completion | None:
        """Take in what a request came to; the completion, or None where it goes on."""
        first = not self.ids
        if part.logprobs is None:
            self.unknown = True
        if part.ids is not None:
            self.ids.extend(part.ids)
        if part.logprobs is not None:
            self.logprobs.extend(part.logprobs)
        if part.means is not None:
            self.means.extend(part.means)
        if first:
            self.scores = part.scores
        finish: FinishReason = "length" if part.cut else "stop"
        if self.budget and part.cut and self.left > 0:
            del self.to_force[:1]
            self._spend()
            return None
        if part.ids is None:
            return Completion(
                text=part.text,
                token_ids=None,
                logprobs=_floats(part.logprobs),
                finish_reason=finish,
                top_means=_floats(part.means),
            )
        return self._completion(part.text if first else None, finish)

    def _spend(self) -> None:
        """Force the end of the reasoning, if that is due now."""
        if self.budget is not None and self.budget.due(self.ids):
            self.forced_at = len(self.ids)
            self.to_force = list(self.budget.end_ids)

    def _completion(self, text: str | None, finish: FinishReason) -> Completion:
        """What it came to; of several requests, each of which looked for stop strings in its own
        text, the text is spelled as a whole."""
        n = len(self.ids)
        if text is None:
            stream = TextStream(self.tokenizer, self.prompt, self.request.sampling.stop)
            for at, token in enumerate(self.ids, 1):
                if stream.push(token):
                    n, finish = at, "stop"
                    break
            text = stream.text
        forced = None
        if self.forced_at is not None and self.budget is not None and self.forced_at < n:
            forced = self.forced_at, min(self.forced_at + len(self.budget.end_ids), n)
        return Completion(
            text=text,
            token_ids=tuple(self.ids[:n]),
            logprobs=None if self.unknown else _floats(self.logprobs[:n]),
            finish_reason=finish,
            top_means=_floats(self.means[:n]) if len(self.means) == len(self.ids) else None,
            scores=self.scores,
            forced=forced,
        )


def _seed_at(seed: int, position: int) -> int:
    """Seed of a request that goes on after so many tokens: the trace's own at first, 63 bits."""
    if position == 0:
        return seed
    digest = hashlib.blake2b(f"{seed} {position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def sampling_params(settings: Mapping[str, Any]) -> Any:
    """Settings as vLLM takes them in process.

    Log-probabilities are those before penalties and truncation: vLLM's `raw_logprobs`, its default.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(**settings, flat_logprobs=True, output_kind=RequestOutputKind.FINAL_ONLY)


def read_output(output: Any, request: Request) -> Part:
    """What vLLM gave in process. Of each position's entries the sampled token's is the first."""
    flat = output.logprobs
    spans = list(zip(flat.start_indices, flat.end_indices, strict=True))
    k, scores, means = request.sampling.top_logprobs, None, None
    if request.score_tokens is not None:
        own = slice(spans[0][0] + 1, spans[0][1])
        chances = dict(zip(flat.token_ids[own], flat.logprobs[own], strict=True))
        scores = {token: float(np.exp(chances[token])) for token in request.score_tokens}
    elif k:
        entries = [slice(*span) for span in spans]
        means = [
            mean_of_largest(dict(zip(flat.token_ids[at], flat.logprobs[at], strict=True)), k)
            for at in entries
        ]
    return Part(
        text=output.text,
        ids=output.token_ids,
        logprobs=[flat.logprobs[start] for start, _ in spans],
        means=means,
        scores=scores,
        cut=output.finish_reason == "length",
    )


def mean_of_largest(entries: Mapping[Any, float], k: int) -> float:
    """Mean of the k largest log-probabilities at a position, by token: the sampled one may be
    among the largest."""
    return float(np.mean(sorted(entries.values())[-k:]))


def _floats(values: Sequence[float] | None) -> Any:
    return None if values is None else np.array(values, dtype=np.float32)
