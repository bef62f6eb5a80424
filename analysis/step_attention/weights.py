"""Attention weights of a running model, without changing what it computes.

The model keeps the attention implementation that it loads with. transformers gives every
implementation, eager and fast ones alike, the queries and keys that it uses (normed, turned by
position, taken from the cache); the weights are computed from these a second time,

    w = softmax(cap · tanh(q·k · scale / cap) + mask)      (without a cap: q·k · scale + mask)

for a block of queries at a time, and handed on. The states that other readers of the pass get are
those of a pass without this. That the weights are the model's own is checked as they come: at the
last token of each row, weights times values must be the attention's own output.

    with watch_attention(model, see):                # see(layer, row, first query, weights)
        model(ids)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from analysis.hidden_states.model_parts import find_blocks
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BLOCK", "See", "watch_attention"]

BLOCK = 2**23
"""Weights (heads × queries × keys) computed at a time, by default: 32 MiB of float32."""
CLOSE = {"float32": 1e-3, "other": 5e-2}
"""How far weights times values may be from the attention's output, relative to its largest."""
See = Callable[[int, int, int, Any], None]
"""Takes layer (1 is the first block's), row of the batch, number of the block's first query in the
call, and weights [head, query, key] in float32; the last key is that of the call's last token."""


@contextmanager
def watch_attention(
    model: Any, see: See, rows: Callable[[], Mapping[int, int]], block: int = BLOCK
) -> Iterator[None]:
    """Hand on the attention weights of a transformers model while the context is open.

    Args:
        rows: asked at each call: the rows of the batch that are looked at, and of each how many of
            the call's queries are real (what follows is padding).
        block: numbers held at a time.

    Raises:
        InputError: at a call, weights times values aren't the attention's output.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    layer_of = {
        part: number
        for number, one in enumerate(find_blocks(model.base_model), 1)
        for part in one.modules()
    }
    choose = ALL_ATTENTION_FUNCTIONS.get_interface

    def watched(name: Any, default: Any) -> Any:
        attend = choose(name, default)

        def call(module: Any, query: Any, key: Any, value: Any, *mask: Any, **more: Any) -> Any:
            output = attend(module, query, key, value, *mask, **more)
            layer = layer_of.get(module)
            if layer is not None:
                given = mask[0] if mask else more.get("attention_mask")
                used = _Used(name, query, key, value, given, more)
                for row, length in rows().items():
                    _look(used, output[0], layer, row, length, see, block)
            return output

        return call

    # the one place where all implementations are chosen; nothing of the model is changed
    ALL_ATTENTION_FUNCTIONS.get_interface = watched
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS.get_interface


class _Used:
    """What one call of an attention function was given."""

    def __init__(
        self, name: str, query: Any, key: Any, value: Any, mask: Any, more: Mapping[str, Any]
    ) -> None:
        import torch

        self.query, self.key, self.value = query, key, value
        # flex attention's block masks say what `causal and within the window` says
        self.mask = mask if isinstance(mask, torch.Tensor) and mask.dim() == 4 else None
        self.scale = more.get("scaling") or query.shape[-1] ** -0.5
        self.window = more.get("sliding_window")
        # torch's scaled_dot_product_attention knows neither, and transformers drops them
        knows = name != "sdpa"
        self.cap = more.get("softcap") if knows else None
        self.sinks = more.get("s_aux") if knows else None

    def weights(self, row: int, first: int, end: int) -> Tensor:
        """Of queries `first` to `end`, shape [head, query, key], in float32."""
        import torch

        query = self.query[row, :, first:end].float()
        key = self.key[row].float()
        n_heads, n_kept, n_keys = len(query), len(key), key.shape[1]
        grouped = query.reshape(n_kept, -1, query.shape[-1])  # heads that share keys, together
        logits = (grouped @ key.mT).reshape(n_heads, end - first, n_keys) * self.scale
        if self.cap is not None:
            logits = torch.tanh(logits / self.cap) * self.cap
        logits = self._masked(logits, row, first, end)
        if self.sinks is None:
            return logits.softmax(-1)
        # a learned logit that takes attention and gives nothing: the weights sum to less than 1
        sink = self.sinks.float().reshape(-1, 1, 1).expand(-1, end - first, 1)
        return torch.cat([logits, sink], dim=-1).softmax(-1)[..., :-1]

    def _masked(self, logits: Tensor, row: int, first: int, end: int) -> Tensor:
        import torch

        n_keys, none = logits.shape[-1], torch.finfo(torch.float32).min
        if self.mask is not None:
            mask = self.mask[min(row, len(self.mask) - 1), :, first:end, :n_keys]
            if mask.dtype == torch.bool:
                return logits.masked_fill(~mask, none)
            return logits + mask.float()
        # the last query is at the last key
        place = torch.arange(first, end, device=logits.device) + n_keys - self.query.shape[2]
        behind = place[:, None] - torch.arange(n_keys, device=logits.device)
        unseen = behind < 0
        if self.window is not None:
            unseen |= behind >= self.window
        return logits.masked_fill(unseen, none)


def _look(
    used: _Used, output: Any, layer: int, row: int, length: int, see: See, block: int
) -> None:
    import torch

    if not length:
        return
    n_heads, n_keys = used.query.shape[1], used.key.shape[2]
    size = max(1, block // (n_heads * n_keys))
    with torch.inference_mode():
        for first in range(0, length, size):
            end = min(first + size, length)
            weights = used.weights(row, first, end)
            see(layer, row, first, weights)
        value = used.value[row].float().repeat_interleave(n_heads // used.value.shape[1], dim=0)
        found = (weights[:, -1:] @ value)[:, 0]
        own = output[row, length - 1].float().reshape(n_heads, -1)
        close = CLOSE["float32" if output.dtype == torch.float32 else "other"]
        if not (found - own).abs().max() <= close * own.abs().max() + 1e-6:
            raise InputError(
                f"the attention weights of layer {layer} can't be read: weights times values are "
                "not the attention's output; load the model with another attention implementation"
            )
