"""The laboratory of attributions: a model, its log-odds under gradients, masks and removals.

A row's gradient holds the activations of all blocks. Rows are run `GRADIENT_SHARE` of a batch's
tokens at a time; a row that is longer than that is run with gradient checkpointing (transformers'
own): only what enters each block is held, and each block is run once more on the way back. At 4,000
tokens a float32 SmolLM2-135M needs 2.5 GB in all so, its weights included, instead of about 10.

What the model gives for hidden and removed steps is remembered for one trace at a time, so that
memory is flat in the number of traces.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.attribution.contract import Floats
from analysis.attribution.parts import Part, Target
from analysis.hidden_states.changed_pass import Branch, ChangedPass
from analysis.hidden_states.model_parts import find_blocks
from analysis.hidden_states.stored_states import largest_gap
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ModelLab", "RandomWeights"]

log = logging.getLogger("cot")
GRADIENT_SHARE = 16
"""Of a batch's tokens, one in so many is held with its activations."""
TOKENS = 8192
"""Embeddings that are read at a time for their mean."""


class ModelLab:
    """A laboratory with a model; see `analysis.attribution.contract.Lab`.

    Attributes:
        tokens_forward, tokens_backward: run so far.

    Args:
        model: as `AutoModelForCausalLM` loads it; its weights get no gradients from now on.
        tokens_per_batch: most tokens (prompt and trace) of a batch's rows; one row may be longer.
        most_steps: steps of a trace; 0 is all.

    Raises:
        InputError: the model can't be run from embeddings, or under changes.
    """

    def __init__(self, model: Any, tokens_per_batch: int, most_steps: int) -> None:
        self.model, self.most_steps = model.requires_grad_(False), most_steps
        self.under = ChangedPass(model, tokens_per_batch)
        self.tokens_backward = 0
        self._embedded = 0
        self._gradient_tokens = max(1, tokens_per_batch // GRADIENT_SHARE)
        self._embed = model.get_input_embeddings()
        self._blocks = find_blocks(model.base_model)
        self._mean: Tensor | None = None
        self._of: tuple[Any, dict[Any, float]] = (None, {})
        self._check()
        if model.supports_gradient_checkpointing:
            options = {"use_reentrant": False}  # the other kind wants gradients of the weights
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)

    @property
    def tokens_forward(self) -> int:
        """Tokens run forward so far."""
        return self.under.tokens_run + self._embedded

    # -- under masks and removals ------------------------------------------------------------------

    def odds(self, target: Target) -> float:
        return self.without(target, frozenset())

    def hidden(self, target: Target, sets: Sequence[frozenset[Part]]) -> Floats:
        known = self._known(target)
        keys = [("hidden", one) if one else ("without", one) for one in sets]
        new = [one for key, one in zip(keys, sets, strict=True) if key not in known]
        if new := list(dict.fromkeys(new)):
            branches = [Branch(hidden=[span for part in one for span in part.spans]) for one in new]
            read = target.pair.read
            case = target.case
            _, rows = self.under.run(case.prompt_ids, case.token_ids[: read + 1], branches, [read])
            for one, state in zip(new, rows, strict=True):
                known["hidden" if one else "without", one] = self._read(state, target)
        return np.array([known[key] for key in keys])

    def without(self, target: Target, parts: frozenset[Part]) -> float:
        known = self._known(target)
        if ("without", parts) not in known:
            out = {token for part in parts for span in part.spans for token in span}
            case, end = target.case, target.pair.read + 1
            n = len(case.prompt_ids)
            prompt = [case.prompt_ids[token] for token in range(-n, 0) if token not in out]
            tokens = [case.token_ids[token] for token in range(end) if token not in out]
            state, _ = self.under.run(prompt, tokens, (), [len(tokens) - 1])
            known["without", parts] = self._read(state, target)
        return known["without", parts]

    def logprob_gap(self, target: Target, stored: Sequence[float] | None) -> float:
        """Largest difference of the tokens' log-probabilities from the stored ones, nats; NaN where
        none are stored."""
        import torch

        if stored is None or not len(stored):
            return float("nan")
        case = target.case
        ids = torch.tensor(case.token_ids, device=self.model.device)
        states, _ = self.under.run(
            case.prompt_ids, case.token_ids, (), range(-1, len(case.token_ids) - 1)
        )
        with torch.inference_mode():
            own = self.under.head.log_probs(states, ids)
        return largest_gap(stored, own.float().cpu().numpy())

    def _read(self, state: Tensor, target: Target) -> float:
        import torch

        pair = target.pair
        with torch.inference_mode():
            logits = self.under.head.logits(
                state.reshape(1, -1), [pair.own_token, pair.other_token]
            )
        return float(logits[0, 0] - logits[0, 1])

    def _known(self, target: Target) -> dict[Any, float]:
        """What was measured of this trace; that of others is forgotten."""
        name = (*target.key, target.pair.read, target.pair.own_token, target.pair.other_token)
        if self._of[0] != name:
            self._of = (name, {})
        return self._of[1]

    # -- under gradients ---------------------------------------------------------------------------

    def embedded(self, target: Target) -> Tensor:
        import torch

        ids = torch.tensor([target.token_ids], device=self.model.device)
        with torch.no_grad():
            states: Tensor = self._embed(ids).float()
        return states.requires_grad_()

    def baseline(self, name: str) -> Tensor:
        import torch

        if self._mean is None:
            ids = torch.arange(self._embed.weight.shape[0], device=self.model.device)
            with torch.no_grad():
                parts = [self._embed(some).double().sum(dim=0) for some in torch.split(ids, TOKENS)]
            self._mean = (torch.stack(parts).sum(dim=0) / len(ids)).float()
        return self._mean if name == "mean" else torch.zeros_like(self._mean)

    def forward(self, target: Target) -> Callable[[Tensor], Tensor]:
        tokens = [target.pair.own_token, target.pair.other_token]

        def log_odds(embedded: Tensor) -> Tensor:
            import torch

            size = embedded.shape[0] * embedded.shape[1]
            self._embedded += size
            if torch.is_grad_enabled():
                self.tokens_backward += size
            with self._checkpointed(torch.is_grad_enabled() and size > self._gradient_tokens):
                states = self._last(embedded)
            logits = self.under.head.logits(states, tokens)
            return logits[:, 0] - logits[:, 1]

        return log_odds

    def rows(self, target: Target) -> int:
        return max(1, self._gradient_tokens // len(target.token_ids))

    def _last(self, embedded: Tensor) -> Tensor:
        """The last token's states after the final norm, [row, d_model]."""
        states = self.model.base_model(
            inputs_embeds=embedded.to(self.model.dtype), use_cache=False
        )[0]
        last: Tensor = states[:, -1]
        return last

    @contextmanager
    def _checkpointed(self, wanted: bool) -> Iterator[None]:
        """While it lasts, blocks are run with checkpointing.

        transformers does so in training only: the blocks are said to be in training, and what is in
        them isn't, so that no dropout acts. A block reads that as it is run, not on the way back.
        """
        for block in self._blocks:
            block.training = wanted
        try:
            yield
        finally:
            for block in self._blocks:
                block.training = False

    def _check(self) -> None:
        """Compare a forward from embeddings with one from ids."""
        import torch

        ids = torch.arange(1, 9, device=self.model.device)[None]
        name = type(self.model).__name__
        try:
            with torch.no_grad():
                own = self.model.base_model(input_ids=ids, use_cache=False)[0][:, -1].float()
                found = self._last(self._embed(ids).float()).float()
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"cannot attribute with {name}: no run from embeddings ({error})"
            ) from error
        close = 1e-3 if self.model.dtype == torch.float32 else 5e-2
        if float((own - found).abs().max()) > close * float(own.abs().max()):
            raise InputError(
                f"cannot attribute with {name}: from its own embeddings it gives other states"
            )


class RandomWeights:
    """A model's weights, drawn anew: an attribution that is as before doesn't read the model (arXiv
    1810.03292).

    Each matrix is drawn from a normal distribution with its own mean and standard deviation, so
    that states keep their size; norms and biases stay. The model itself is written over: it is
    loaded for one call, and this comes last.
    """

    def __init__(self, model: Any) -> None:
        self._matrices = [weight for weight in model.parameters() if weight.dim() > 1]
        self._moments = [
            (float(own.mean()), float(own.std()))
            for own in (weight.detach().float() for weight in self._matrices)
        ]

    def draw(self, seed: int) -> None:
        """Draw all weights; the same for the same seed and device."""
        import torch

        generators: dict[Any, torch.Generator] = {}
        with torch.no_grad():
            for weight, (mean, spread) in zip(self._matrices, self._moments, strict=True):
                own = generators.setdefault(
                    weight.device, torch.Generator(weight.device).manual_seed(seed)
                )
                weight.normal_(mean, spread, generator=own)
