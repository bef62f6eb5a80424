"""A plain forward of a whole text, without a cache, under hooks and a mask that are made by hand.

What the hooks that write and the forced pass under a change are held against: it shares no code
with them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tiny_models import CONFIGS, N_BLOCKS, N_TOKENS, WIDTH, tiny_model
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

FAMILIES = [*CONFIGS, "gpt_neox"]
WINDOW = 12
"""Tokens that a sliding layer of Gemma sees."""
By = Callable[[torch.Tensor], torch.Tensor]
Cell = tuple[int, int, int, By]
"""Layer, first token and one past the last (of prompt and trace), and what becomes of them."""


def model_of(family: str) -> Any:
    if family != "gpt_neox":
        return tiny_model(family)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=N_TOKENS,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=N_BLOCKS,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    model = GPTNeoXForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.15)
    return model.eval()


def blocks_of(model: Any) -> Any:
    inside = model.base_model
    return inside.h if hasattr(inside, "h") else inside.layers


def forward_by_hand(
    model: Any,
    ids: Sequence[int],
    cells: Sequence[Cell] = (),
    hidden: tuple[int, int] | None = None,
) -> torch.Tensor:
    """States after the final norm, [token, d_model].

    Args:
        ids: of prompt and trace.
        cells: what is written over.
        hidden: first and one past the last token that later ones don't see, in ids.
    """
    mask: Any = None
    if hidden is not None:
        config = copy.deepcopy(model.config)
        config._attn_implementation = "eager"
        weights = model.state_dict()
        model = type(model)(config).to(model.dtype).eval()
        model.load_state_dict(weights)
        mask = _mask(len(ids), *hidden, None, model.dtype)
        if getattr(config, "layer_types", None) and "sliding_attention" in config.layer_types:
            near = _mask(len(ids), *hidden, WINDOW, model.dtype)
            mask = {"full_attention": mask, "sliding_attention": near}
    handles = []
    for layer, start, stop, by in cells:
        block = blocks_of(model)[max(0, layer - 1)]
        if layer == 0:
            handles.append(block.register_forward_pre_hook(_before(start, stop, by)))
        else:
            handles.append(block.register_forward_hook(_after(start, stop, by)))
    with torch.no_grad():
        out = model.base_model(torch.tensor([list(ids)]), attention_mask=mask, use_cache=False)
    for handle in handles:
        handle.remove()
    return out[0][0]


def _before(start: int, stop: int, by: By) -> Any:
    def hook(module: Any, args: Any) -> Any:
        states = args[0].clone()
        states[0, start:stop] = by(states[0, start:stop])
        return (states, *args[1:])

    return hook


def _after(start: int, stop: int, by: By) -> Any:
    def hook(module: Any, args: Any, output: Any) -> Any:
        states = (output[0] if isinstance(output, tuple) else output).clone()
        states[0, start:stop] = by(states[0, start:stop])
        return (states, *output[1:]) if isinstance(output, tuple) else states

    return hook


def _mask(n: int, start: int, stop: int, window: int | None, dtype: Any) -> torch.Tensor:
    """[1, 1, query, key]: 0 where a token is seen, else minus infinity, token by token."""
    mask = torch.full((n, n), -torch.inf)
    for query in range(n):
        for key in range(query + 1):
            near = window is None or query - key < window
            unseen = start <= key < stop and query >= stop
            if near and not unseen:
                mask[query, key] = 0
    return mask[None, None].to(dtype)
