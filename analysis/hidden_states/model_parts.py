"""Finding the parts of a transformers model by its structure: its blocks, and what turns the last
state into next-token logits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Head", "find_blocks", "find_norm"]


def find_blocks(model: nn.Module) -> nn.ModuleList:
    """The decoder's blocks: the longest list of like modules that is not inside another list.

    Raises:
        InputError: there is none, or it isn't as long as the model's configuration says.
    """
    from torch import nn

    lists = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len({type(block) for block in module}) == 1
    ]
    inside = {part for listed in lists for block in listed for part in block.modules()}
    blocks = max((listed for listed in lists if listed not in inside), key=len, default=None)
    expected = _text_config(model).num_hidden_layers
    if blocks is None or len(blocks) != expected:
        found = 0 if blocks is None else len(blocks)
        raise InputError(
            f"cannot capture from {type(model).__name__}: it has {expected} blocks, but a list of "
            f"{found} was found; decoder-only models with one list of blocks work"
        )
    return blocks


def find_norm(model: nn.Module) -> nn.Module:
    """The norm that the last block's output goes through: the last one beside the list of blocks.

    Raises:
        InputError: there is none.
    """
    blocks = find_blocks(getattr(model, "base_model", model))
    beside = next(
        module for module in model.modules() if any(child is blocks for child in module.children())
    )
    norms = [child for child in beside.children() if "norm" in type(child).__name__.lower()]
    if not norms:
        raise InputError(f"{type(model).__name__} has no norm beside its blocks")
    return norms[-1]


class Head:
    """Log-probabilities from the state *after* the final norm, for chosen tokens only.

    The model's own forward would hold a logit for every padded token. Models that cap or scale
    their logits (Gemma 2, Cohere, Granite) are followed; `exact` says whether the result is the
    model's own, as measured on a few tokens.
    """

    def __init__(self, model: Any) -> None:
        import torch

        config = _text_config(model)
        self.weight = model.get_output_embeddings()
        self.cap: float | None = getattr(config, "final_logit_softcapping", None)
        self.scale = 1.0
        ids = torch.tensor([[1, 2, 3]], device=model.device)
        with torch.inference_mode():
            own = model(input_ids=ids, use_cache=False).logits[0].float()
            mine = self.logits(model.base_model(input_ids=ids, use_cache=False)[0][0])
        if self.cap is None:
            # least squares of own on mine: Cohere and Granite multiply logits by a constant
            scale = float((own * mine).sum() / (mine * mine).sum())
            # a pass over all logits is saved where there is no such constant
            self.scale = 1.0 if abs(scale - 1) < 1e-5 else scale
        close = 1e-3 if model.dtype == torch.float32 else 5e-2
        self.exact = bool(torch.allclose(mine * self.scale, own, rtol=close, atol=close))

    def logits(self, states: Tensor, tokens: Sequence[int] | None = None) -> Tensor:
        """float32 logits [state, vocabulary] of normed states [state, d_model]; of some tokens only
        [state, token], at their cost."""
        import torch

        if tokens is None:
            read: Tensor = self.weight(states)
        else:
            rows, bias = self.weight.weight, self.weight.bias
            chosen = None if bias is None else bias[list(tokens)]
            read = torch.nn.functional.linear(states.to(rows.device), rows[list(tokens)], chosen)
        logits = read.float() if self.scale == 1 else read.float() * self.scale
        return torch.tanh(logits / self.cap) * self.cap if self.cap else logits

    def log_probs(self, states: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target after its state.

        Args:
            states: normed, shape [token, d_model].
            targets: token ids, shape [token].
        """
        import torch

        slices = self._slices(states, targets)
        # cross-entropy fuses max, exp and sum: half the cost of gather and logsumexp
        parts = [-torch.nn.functional.cross_entropy(x, y, reduction="none") for x, y in slices]
        return torch.cat(parts)

    def certainty(self, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probability of each target, and of its state -(1/V) Σ_j log(V p_j) and
        -Σ_j p_j log p_j: all of shape [token], in nats, over the whole vocabulary of V tokens.

        Uniform logits give -log V, 0 and log V.
        """
        import torch

        parts = []
        for logits, target in self._slices(states, targets):
            top = logits.amax(dim=1, keepdim=True)
            logits = logits.sub_(top)  # in place, as the slice is large
            chosen, mean = logits.gather(1, target[:, None])[:, 0], logits.mean(dim=1)
            p = logits.exp()
            total = p.sum(dim=1)
            log_total = total.log()
            # H = log Z - Σ p (logit - max) / Z; the maximum cancels in all three
            entropy = log_total - torch.linalg.vecdot(p, logits) / total
            parts.append(
                (chosen - log_total, log_total - mean - math.log(logits.shape[1]), entropy)
            )
        first, second, third = (torch.cat(column) for column in zip(*parts, strict=True))
        return first, second, third

    def _slices(self, states: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits [token, vocabulary] and targets, a slice of tokens at a time."""
        # 2**22 float32 logits (16 MiB) stay near a processor's cache; a GPU wants large products
        most = 2**22 if states.device.type == "cpu" else 2**26
        size = max(1, most // self.weight.weight.shape[0])
        for start in range(0, len(targets), size):
            yield self.logits(states[start : start + size]), targets[start : start + size]


def _text_config(model: Any) -> Any:
    return model.config.get_text_config(decoder=True)
