"""Finding the parts of a transformers model by its structure: its blocks, and what turns the last
state into next-token logits."""

from __future__ import annotations

from collections.abc import Sequence
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
            self.scale = float((own * mine).sum() / (mine * mine).sum())
        close = 1e-3 if own.dtype == torch.float32 else 5e-2
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
        logits = read.float() * self.scale
        return torch.tanh(logits / self.cap) * self.cap if self.cap else logits

    def log_probs(self, states: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target after its state, in slices of at most 256 MiB of logits.

        Args:
            states: normed, shape [token, d_model].
            targets: token ids, shape [token].
        """
        import torch

        # 2**26 float32 logits are 256 MiB
        size = max(1, 2**26 // self.weight.weight.shape[0])
        parts = []
        for start in range(0, len(targets), size):
            logits = self.logits(states[start : start + size])
            chosen = logits.gather(1, targets[start : start + size, None])[:, 0]
            parts.append(chosen - logits.logsumexp(dim=1))
        return torch.cat(parts)


def _text_config(model: Any) -> Any:
    return model.config.get_text_config(decoder=True)
