"""The logit lens: the next token that a state of any layer predicts, head(norm(h)).

Layer L is read *before* the final norm, so that all layers are normed alike, and once. Only the
rows of the unembedding that are asked for are used: the whole vocabulary costs a hundred times as
much as an answer's candidates, and is read in slices.
(nostalgebraist 2020, "interpreting GPT: the logit lens"; arXiv 2303.08112 on what it can't see.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.model_parts import Head, find_blocks, find_norm
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Unembedding", "Vocabulary"]

SLICE = 2**22
"""Logits held at a time."""
PROBED = ([1, 2, 3], [5, 4, 6, 2, 3])
"""Token ids on which the lens must give the model's own logits."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vocabulary:
    """Predictions of some states over the whole vocabulary."""

    p: Floats
    """Probability of the asked token, shape [state]; NaN where none is asked for."""
    entropy: Floats
    """Nats, shape [state]."""
    top: NDArray[np.int64]
    """The most probable token, shape [state]."""
    p_top: Floats
    """Its probability, shape [state]."""


class Unembedding:
    """Reads states of a model as next-token logits.

    Args:
        model: a causal language model of transformers.
        head: its head, where there is one already.

    Raises:
        InputError: no final norm is found, or head(norm(h_L)) isn't the model's own prediction.
    """

    def __init__(self, model: Any, head: Head | None = None) -> None:
        self.head = head or Head(model)
        self.norm = find_norm(model)
        self.device = model.device
        self.dtype = self.head.weight.weight.dtype
        if not self._is_exact(model):
            raise InputError(
                f"the lens can't read {type(model).__name__}: its head on its final norm doesn't "
                "give its own logits (it caps, scales or projects them in a way not known here)"
            )

    def candidates(self, states: Floats, tokens: Sequence[Sequence[int]]) -> Floats:
        """Logit of each candidate: the log-sum-exp over its first tokens.

        Args:
            states: before the final norm, shape [..., d_model].
            tokens: first tokens of each candidate.

        Returns:
            Shape [..., candidate].
        """
        import torch

        asked = sorted({token for some in tokens for token in some})
        column = {token: number for number, token in enumerate(asked)}
        with torch.inference_mode():
            flat = self._normed(states)
            logits = self.head.logits(flat, asked)
            logit = [logits[:, [column[token] for token in some]].logsumexp(1) for some in tokens]
            stacked: Floats = torch.stack(logit, dim=1).cpu().numpy()
        return stacked.reshape(*states.shape[:-1], len(tokens))

    def vocabulary(self, states: Floats, token: int | None) -> Vocabulary:
        """Predictions over the whole vocabulary, and of one token.

        Args:
            states: before the final norm, shape [state, d_model].
            token: whose probability is asked for.
        """
        import torch

        size = max(1, SLICE // self.head.weight.weight.shape[0])
        parts: list[tuple[Any, ...]] = []
        with torch.inference_mode():
            for some in torch.split(self._normed(states), size):
                logits = self.head.logits(some)
                best = logits.max(dim=1)
                # the largest is taken off before exp, in place: a slice is held once, not twice
                p = logits.sub_(best.values[:, None]).exp()
                total = p.sum(dim=1)
                # H = log Z - Σ p (logit - max) / Z, without a second softmax
                entropy = total.log() - torch.linalg.vecdot(p, logits) / total
                # NaN of the right shape and device where no token is asked for
                asked = p[:, 0] * torch.nan if token is None else p[:, token] / total
                parts.append((asked, entropy, best.indices, 1 / total))
            columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
        return Vocabulary(p=columns[0], entropy=columns[1], top=columns[2], p_top=columns[3])

    def log_probs(self, states: Floats, tokens: Sequence[int]) -> Floats:
        """Log-probability of a token at each state, shape [state].

        Args:
            states: before the final norm, shape [state, d_model].
            tokens: one a state.
        """
        import torch

        with torch.inference_mode():
            targets = torch.tensor(tokens, device=self.device)
            found: Floats = self.head.log_probs(self._normed(states), targets).cpu().numpy()
        return found

    def _normed(self, states: Floats) -> Tensor:
        """Shape [state, d_model]."""
        import torch

        flat = torch.from_numpy(np.ascontiguousarray(states)).reshape(-1, states.shape[-1])
        normed: Tensor = self.norm(flat.to(self.device, self.dtype))
        return normed

    def _is_exact(self, model: Any) -> bool:
        """Whether the last block's output gives the model's own logits."""
        import torch

        kept: list[Any] = []

        def keep(module: Any, args: Any, output: Any) -> None:
            kept.append(output[0] if isinstance(output, tuple) else output)

        handle = find_blocks(model.base_model)[-1].register_forward_hook(keep)
        try:
            with torch.inference_mode():
                for ids in PROBED:
                    asked = torch.tensor([ids], device=self.device)
                    own = model(input_ids=asked, use_cache=False).logits[0].float()
                    mine = self.head.logits(self.norm(kept.pop()[0]))
                    close = 1e-3 if self.dtype == torch.float32 else 5e-2
                    if not torch.allclose(mine, own, rtol=close, atol=close):
                        return False
        finally:
            handle.remove()
        return True
