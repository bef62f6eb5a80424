"""Sampling with transformers: the embedded engine, on a CPU or a GPU.

What prompts have in common at their beginning is read once (`cot.engines.prefixes`); traces run
side by side whatever their prompts, each with its own seed, and one that ends leaves at once and
makes room for the next. `generate` of transformers has one seed a call, repeats the prompt for each
copy, and returns when the slowest row ends.

    engine = TransformersEngine("smollm2-135m-instruct")
    for request, completion in engine.generate(requests): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cot import models
from cot.engines import failure, never
from cot.engines.decoding import TextStream, draw, penalise, uniform
from cot.engines.thinking_budget import ThinkingBudget, thinking_budget
from cot.errors import InputError
from cot.types import Completion, FinishReason, Request, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from cot.engines.prefixes import Prefixes
    from cot.kept_models import Loan

__all__ = ["TransformersEngine"]

REFILL = 8
"""One in so many rows must be free before new traces come in, so that prompts are read together."""


class TransformersEngine:
    """Answers requests with a transformers causal language model.

    Args:
        model: a name that `cot.models.resolve` knows, or what it returned.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` (float32 on a CPU).
        verbose: let the libraries speak.
        batch_rows: traces that run side by side.
        device: a torch device; CUDA by default where there is one.
        trust_remote_code: run code that the model brings.
        revision: a branch, tag or commit of a model on the hub.
        adapter: a folder or hub id of a LoRA adapter to run the model with.
        adapter_revision: as `revision`, of an adapter on the hub.
        quantize: `int8` or `int4` rounds the model's weights (`cot.quantized_models`).
    """

    name = "transformers"

    def __init__(
        self,
        model: str | models.ResolvedModel,
        *,
        dtype: str = "auto",
        verbose: bool = False,
        batch_rows: int = 64,
        device: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_revision: str | None = None,
        quantize: str = "none",
    ) -> None:
        if batch_rows < 1:
            raise InputError(f"batch_rows is {batch_rows}: give at least 1")
        self.model = models.resolve(
            model,
            revision=revision,
            adapter=adapter,
            adapter_revision=adapter_revision,
            quantize=quantize,
        )
        self.verbose = verbose
        self.batch_rows = batch_rows
        self._options: dict[str, Any] = {
            "dtype": dtype,
            "device": device,
            "trust_remote_code": trust_remote_code,
        }
        self._loan: Loan[Any] | None = None

    @property
    def dtype(self) -> str:
        """The weights' type."""
        import torch

        device = self._options["device"]
        cpu = device == "cpu" if device else not torch.cuda.is_available()
        return models.weights_type(self._config, self._options["dtype"], cpu=cpu)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        trust = self._options["trust_remote_code"]
        return models.load_tokenizer(self.model, trust_remote_code=trust)

    @cached_property
    def context(self) -> int:
        """Most tokens of prompt and completion together."""
        return int(self._config.max_position_embeddings)

    @cached_property
    def _config(self) -> Any:
        trust = self._options["trust_remote_code"]
        return models.load_config(self.model, trust_remote_code=trust)

    @cached_property
    def weights(self) -> Any:
        """The transformers model, loaded when first asked for."""
        self._loan = models.borrow_model(self.model, **self._options)
        weights = self._loan.value
        kinds = set(getattr(weights.config.get_text_config(), "layer_types", None) or ())
        if kinds - {"full_attention", "sliding_attention"}:
            raise InputError(
                f"{self.model.name}: the transformers engine can't batch its layers "
                f"({', '.join(sorted(kinds))}); use --engine vllm"
            )
        from cot.engines.key_values import use_grouped_attention

        self._attention = weights.config._attn_implementation
        use_grouped_attention(weights)
        return weights

    @cached_property
    def prefixes(self) -> Prefixes:
        """Prompts that were read lately, and how many tokens were read of all."""
        from cot.engines.prefixes import Prefixes

        return Prefixes()

    @cached_property
    def _ends(self) -> frozenset[int]:
        """Token ids that end a completion."""
        configured = self.weights.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        return frozenset(end for end in [*ends, self.tokenizer.eos_token_id] if end is not None)

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[tuple[Request, Completion]]:
        """Yield each request with its completion, as it ends."""
        source = iter(requests)
        running: list[Row] = []
        slots: Any = None
        exhausted = False
        while running or not exhausted:
            free = self.batch_rows - len(running)
            if not exhausted and (not running or free * REFILL >= self.batch_rows):
                pulled, exhausted = _pull(source, free)
                rows: list[Row] = []
                for request in pulled:
                    if cancelled(request):
                        continue
                    ids = models.encode(self.tokenizer, request.prompt)
                    if 0 < len(ids) < self.context:
                        rows.append(Row(request, ids, self))
                    else:
                        yield request, failure()
                prompts = [row.prompt for row in rows]
                prefixes = self.prefixes.read(self.weights, prompts) if prompts else []
                self._extend(rows, [prefix.logits for prefix in prefixes])
                going = [i for i, row in enumerate(rows) if row.finish is None]
                yield from ((row.request, row.completion()) for row in rows if row.finish)
                if slots is None and going:
                    from cot.engines.key_values import Slots

                    slots = Slots()
                if going:
                    slots.add([prefixes[i] for i in going])
                    running += [rows[i] for i in going]
            self._drop(slots, running, [cancelled(row.request) for row in running])
            if running:
                self._extend(running, self._step(slots, running))
                done = [row for row in running if row.finish]
                self._drop(slots, running, [row.finish is not None for row in running])
                yield from ((row.request, row.completion()) for row in done)

    def close(self) -> None:
        """Free the weights."""
        weights = self.__dict__.pop("weights", None)
        self.__dict__.pop("prefixes", None)
        if self._loan is not None:
            if weights is not None:
                weights.set_attn_implementation(self._attention)
            self._loan.close()
            self._loan = None

    @staticmethod
    def _drop(slots: Any, running: list[Row], gone: Sequence[bool]) -> None:
        """Take rows out; the last row takes the place of one that goes, as in the slots."""
        for i in reversed(range(len(gone))):
            if gone[i]:
                slots.drop(i)
                last = running.pop()
                if i < len(running):
                    running[i] = last

    def _step(self, slots: Any, rows: Sequence[Row]) -> Tensor:
        """Raw logits after each row's last token, float32 [row, vocabulary]."""
        import torch

        tokens = [row.ids[-1] for row in rows]
        with torch.inference_mode():
            out = self.weights(**slots.inputs(tokens), use_cache=True, logits_to_keep=1)
            slots.advance()
            return out.logits[:, -1].float()  # type: ignore[no-any-return]

    def _extend(self, rows: list[Row], logits: Any) -> None:
        """Draw each row's next token and take it in."""
        import torch

        if not rows:
            return
        with torch.inference_mode():
            if isinstance(logits, list):
                logits = torch.stack(logits)
                for row, row_logits in zip(rows, logits, strict=True):
                    row.score(row_logits)
            settings: dict[tuple[float, ...], list[int]] = {}
            for i, row in enumerate(rows):
                settings.setdefault(_settings(row.request.sampling), []).append(i)
            tokens = torch.empty(len(rows), dtype=torch.long, device=logits.device)
            for members in settings.values():
                s = rows[members[0]].request.sampling
                own = logits if len(members) == len(rows) else logits[members]
                if _penalised(s):
                    seen = [rows[i].seen(logits.shape[-1], logits.device) for i in members]
                    own = penalise(
                        own,
                        torch.stack([prompted for prompted, _ in seen]),
                        torch.stack([counts for _, counts in seen]),
                        repetition=s.repetition_penalty,
                        presence=s.presence_penalty,
                        frequency=s.frequency_penalty,
                    )
                tokens[members] = draw(
                    own,
                    [uniform(rows[i].request.seed, len(rows[i].ids)) for i in members],
                    temperature=s.temperature,
                    top_k=s.top_k,
                    top_p=s.top_p,
                    min_p=s.min_p,
                )
            for i, row in enumerate(rows):
                if row.to_force:
                    tokens[i] = row.to_force.pop(0)
                row.count(tokens[i])
            mass = logits.logsumexp(dim=-1)
            logprobs = (logits.gather(-1, tokens[:, None])[:, 0] - mass).clamp(max=0).tolist()
            tops = {row.request.sampling.top_logprobs for row in rows} - {0}
            means = {k: (logits.topk(k, dim=-1).values.mean(dim=-1) - mass).tolist() for k in tops}
        for i, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
            mean = means.get(row.request.sampling.top_logprobs)
            row.push(token, logprobs[i], mean[i] if mean else None)


def _settings(sampling: Sampling) -> tuple[float, ...]:
    """What rows that are drawn together have in common."""
    return (
        sampling.temperature,
        sampling.top_k,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
        sampling.presence_penalty,
        sampling.frequency_penalty,
    )


def _penalised(sampling: Sampling) -> bool:
    return (
        sampling.repetition_penalty,
        sampling.presence_penalty,
        sampling.frequency_penalty,
    ) != (1, 0, 0)


def _pull(source: Iterator[Request | None], most: int) -> tuple[list[Request], bool]:
    """The requests that there are now, and whether there will be no others."""
    pulled: list[Request] = []
    for request in source:
        if request is None:
            return pulled, False
        pulled.append(request)
        if len(pulled) == most:
            return pulled, False
    return pulled, True


@dataclass(slots=True, eq=False)
class Row:
    """One request as it runs."""

    request: Request
    """What was asked."""
    prompt: tuple[int, ...]
    """Its prompt's token ids."""
    engine: TransformersEngine
    """Whose row it is."""
    ids: list[int] = field(default_factory=list)
    """Tokens so far."""
    logprobs: list[float] = field(default_factory=list)
    """Their log-probabilities under the raw distribution."""
    means: list[float] = field(default_factory=list)
    """Means of the largest log-probabilities, where they are asked for."""
    scores: dict[int, float] | None = None
    """Probabilities of the request's `score_tokens`."""
    finish: FinishReason | None = None
    """Why it ended, or None while it runs."""
    text: TextStream = field(init=False)
    """Its text so far."""
    budget: ThinkingBudget | None = field(init=False)
    """When the end of its reasoning is forced."""
    to_force: list[int] = field(default_factory=list)
    """Tokens that come next, whatever is drawn."""
    forced_at: int | None = None
    """Where the first forced token stands."""
    _seen: tuple[Tensor, Tensor] | None = None
    """See `seen`."""

    def __post_init__(self) -> None:
        sampling = self.request.sampling
        self.text = TextStream(self.engine.tokenizer, self.prompt, sampling.stop)
        self.budget = thinking_budget(self.engine.tokenizer, sampling)
        self._spend()

    def seen(self, vocabulary: int, device: Any) -> tuple[Tensor, Tensor]:
        """What stood before, for penalties: whether a token is in the prompt, bool [vocabulary],
        and how often in the output, float32 [vocabulary]. `count` keeps them up to date."""
        import torch

        if self._seen is None:
            prompted = torch.zeros(vocabulary, dtype=torch.bool, device=device)
            prompted[list(self.prompt)] = True
            written = torch.tensor(self.ids, dtype=torch.long, device=device)
            self._seen = prompted, torch.bincount(written, minlength=vocabulary).float()
        return self._seen

    def count(self, token: Tensor) -> None:
        """Note a token as written, where penalties ask what stood before."""
        if self._seen is not None:
            self._seen[1][token] += 1

    def _spend(self) -> None:
        """Force the end of the reasoning, if that is due now."""
        if self.budget is not None and self.budget.due(self.ids):
            self.forced_at = len(self.ids)
            self.to_force = list(self.budget.end_ids)

    def score(self, logits: Tensor) -> None:
        """Read the asked tokens' probabilities off the logits after the prompt, [vocabulary]."""
        if self.request.score_tokens is not None:
            tokens = list(self.request.score_tokens)
            chances = logits.softmax(dim=-1)[tokens].tolist()
            self.scores = dict(zip(tokens, chances, strict=True))

    def push(self, token: int, logprob: float, mean: float | None) -> None:
        """Take a token in, and see whether the row ends with it."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        if mean is not None:
            self.means.append(mean)
        left = self.engine.context - len(self.prompt)
        if token in self.engine._ends or self.text.push(token):
            self.finish = "stop"
        elif len(self.ids) >= min(self.request.sampling.max_tokens, left):
            self.finish = "length"
        else:
            self._spend()

    def completion(self) -> Completion:
        """What it came to."""
        at, forced = self.forced_at, None
        if at is not None and self.budget is not None:
            forced = at, min(at + len(self.budget.end_ids), len(self.ids))
        return Completion(
            text=self.text.text,
            token_ids=tuple(self.ids),
            logprobs=np.array(self.logprobs, dtype=np.float32),
            finish_reason=self.finish or "error",
            top_means=np.array(self.means, dtype=np.float32) if self.means else None,
            scores=self.scores,
            forced=forced,
        )
