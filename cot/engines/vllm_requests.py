"""One completion as vLLM is asked for it: in one request, or in several with a thinking budget.

With a budget, the first request goes as far as the budget; each token of the end tag that is then
forced is a request that allows no other token, so that vLLM gives its raw log-probability; and the
last one samples the answer. Each finds what stands before it in the prefix cache.

    pending = Pending(request, prompt_ids, tokenizer, context)
    while (completion := pending.take(output_of(pending.params()))) is None: ...
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cot.engines.decoding import TextStream
from cot.engines.thinking_budget import ThinkingBudget, thinking_budget
from cot.errors import InputError
from cot.types import Completion, FinishReason, Request

__all__ = ["Pending"]


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
    scores: dict[int, float] | None = None
    """Probabilities of the request's `score_tokens`."""
    to_force: list[int] = field(default_factory=list)
    """Tokens to come, one a request."""
    forced_at: int | None = None
    """Where the first forced token stands."""

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

    def params(self) -> Any:
        """vLLM's settings for its next request.

        Log-probabilities are those before penalties and truncation: vLLM's `raw_logprobs`, its
        default.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = self.request.sampling
        scored = self.request.score_tokens
        most = self.left
        if self.to_force:
            most = 1
        elif self.budget and len(self.ids) < self.budget.n_tokens:
            most = min(most, self.budget.n_tokens)
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            allowed_token_ids=self.to_force[:1] or None,
            max_tokens=most,
            seed=_seed_at(self.request.seed, len(self.ids)),
            stop=[stop for stop in sampling.stop if stop],
            logprobs=sampling.top_logprobs if scored is None else None,
            logprob_token_ids=None if scored is None else list(scored),
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def take(self, output: Any) -> Completion | None:
        """Take in what a request came to; the completion, or None where it goes on.

        Of each position's entries the sampled token's is the first.
        """
        first = not self.ids
        flat = output.logprobs
        spans = list(zip(flat.start_indices, flat.end_indices, strict=True))
        self.ids += output.token_ids
        self.logprobs += [flat.logprobs[start] for start, _ in spans]
        if self.request.score_tokens is not None:
            if first:
                own = slice(spans[0][0] + 1, spans[0][1])
                chances = dict(zip(flat.token_ids[own], flat.logprobs[own], strict=True))
                self.scores = {
                    token: float(np.exp(chances[token])) for token in self.request.score_tokens
                }
        elif k := self.request.sampling.top_logprobs:
            self.means += [_mean_of_largest(flat, span, k) for span in spans]
        finish: FinishReason = "length" if output.finish_reason == "length" else "stop"
        if self.budget and finish == "length" and self.left > 0:
            del self.to_force[:1]
            self._spend()
            return None
        return self._completion(output.text if first else None, finish)

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
            logprobs=np.array(self.logprobs[:n], dtype=np.float32),
            finish_reason=finish,
            top_means=np.array(self.means[:n], dtype=np.float32) if self.means else None,
            scores=self.scores,
            forced=forced,
        )


def _seed_at(seed: int, position: int) -> int:
    """Seed of a request that goes on after so many tokens: the trace's own at first, 63 bits."""
    if position == 0:
        return seed
    digest = hashlib.blake2b(f"{seed} {position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def _mean_of_largest(flat: Any, span: tuple[int, int], k: int) -> float:
    """Mean of the k largest log-probabilities at a position; the sampled token may stand twice."""
    entries = zip(flat.token_ids[slice(*span)], flat.logprobs[slice(*span)], strict=True)
    return float(np.mean(sorted(dict(entries).values())[-k:]))
