"""Drawing the next token, row by row, each with its own reproducible randomness.

Temperature first, then the k likeliest, then the smallest set whose mass reaches p (nucleus
sampling, arXiv:1904.09751), renormalised. A row's token is where its uniform number falls in the
cumulative distribution; the number is a hash of the row's seed and the token's position (a
counter-based generator: SplitMix64's mixer, Steele, Lea and Flood 2014), so that a trace doesn't
depend on the batch that it ran in.

    draw(logits, [uniform(seed, 0)], temperature=0.7, top_k=0, top_p=0.95)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["draw", "uniform"]

LIKELIEST = 256
"""Tokens sorted at first for a nucleus; few distributions need more."""
WORD = (1 << 64) - 1


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) for one token of one trace."""
    state = (_mix(seed) + (position + 1) * 0x9E3779B97F4A7C15) & WORD
    return (_mix(state) >> 11) * 2.0**-53


def draw(
    logits: Tensor, uniforms: Sequence[float], *, temperature: float, top_k: int, top_p: float
) -> Tensor:
    """One token id a row, shape [row].

    Args:
        logits: raw logits, float32 [row, vocabulary].
        uniforms: a number in [0, 1) for each row.
        temperature: 0 takes the likeliest token.
        top_k: 0 keeps every token.
        top_p: 1 keeps every token.
    """
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits / temperature
    u = torch.tensor(uniforms, dtype=torch.float64, device=logits.device)[:, None]
    vocabulary = logits.shape[-1]
    if not 0 < top_k < vocabulary and top_p >= 1:
        return _locate(logits.softmax(dim=-1).cumsum(-1, dtype=torch.float64), u)
    width = min(top_k or LIKELIEST, vocabulary)
    values, tokens = logits.topk(width, dim=-1)
    mass = (values if top_k else logits).logsumexp(dim=-1, keepdim=True)
    cumulative = (values - mass).exp().cumsum(-1, dtype=torch.float64)
    places = _locate(cumulative, u, top_p)
    drawn = tokens.gather(-1, places[:, None])[:, 0]
    if not top_k and width < vocabulary:
        short = (cumulative[:, -1] < top_p).nonzero()[:, 0]
        if len(short):
            values, tokens = logits[short].sort(dim=-1, descending=True)
            cumulative = values.softmax(dim=-1).cumsum(-1, dtype=torch.float64)
            places = _locate(cumulative, u[short], top_p)
            drawn[short] = tokens.gather(-1, places[:, None])[:, 0]
    return drawn


def _locate(cumulative: Tensor, u: Tensor, top_p: float = 1.0) -> Tensor:
    """Where `u` falls in each row's nucleus, shape [row]; rows of `cumulative` are ascending."""
    import torch

    last = cumulative.shape[-1] - 1
    within = torch.full_like(u, top_p)
    end = torch.searchsorted(cumulative, within).clamp(max=last)
    end = end if top_p < 1 else torch.full_like(end, last)
    mass = cumulative.gather(-1, end)
    places = torch.searchsorted(cumulative, u * mass, right=True)
    return torch.minimum(places, end)[:, 0]


def _mix(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)
