"""One step of decoding: the next token of each row, and the text and stop string that it completes.

**Drawing.** Penalties and temperature first, then the tokens at least `min_p` times as likely as
the likeliest (arXiv:2407.01082), then the k likeliest, then the smallest set whose mass reaches p
(nucleus sampling, arXiv:1904.09751), renormalised at each step: vLLM's order. A row's token is
where its uniform number falls in the cumulative distribution; the number is a hash of the row's
seed and the token's position (a counter-based generator: SplitMix64's mixer, Steele, Lea and Flood
2014), so that a trace doesn't depend on the batch that it ran in.

    draw(logits, [uniform(seed, 0)], temperature=0.7, top_k=0, top_p=0.95)

**Text.** A token alone is often no text: one character may take several byte-level tokens, and a
word's leading space depends on what stands before it. So a token is decoded together with the last
piece of text, and is text once the pieces end in a whole character. Work per token doesn't grow
with the completion.

    tokens " caf", byte c3, byte a9, "Q", ":"  with stop "Q:"   ->   " caf" "" "é" "Q" stop; " café"
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
from typing import Any

__all__ = ["TextStream", "draw", "penalise", "uniform"]

LIKELIEST = 256
"""Tokens sorted at first for a nucleus; few distributions need more."""
WORD = (1 << 64) - 1


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) for one token of one trace."""
    state = (_mix(seed) + (position + 1) * 0x9E3779B97F4A7C15) & WORD
    return (_mix(state) >> 11) * 2.0**-53


def penalise(
    logits: Tensor,
    prompted: Tensor,
    counts: Tensor,
    *,
    repetition: float,
    presence: float,
    frequency: float,
) -> Tensor:
    """Logits with the penalties of tokens that were there before, [row, vocabulary].

    A token of the prompt or the output has its logit divided by `repetition` where it is positive
    and multiplied where it is not (CTRL, arXiv:1909.05858; the sign is transformers' and vLLM's
    addition); then a token of the output loses `frequency * count + presence`.

    Args:
        logits: raw logits, float32 [row, vocabulary].
        prompted: whether the token stands in the prompt, bool [row, vocabulary].
        counts: how often it stands in the output, float32 [row, vocabulary].

    Example:
        logits 2, -2, 1 with repetition 2, presence 0.5 and frequency 0.25, the first two tokens in
        the prompt and the second and third once and twice in the output: 1, -4.75, -0.5.
    """
    import torch

    written = counts > 0
    if repetition != 1:
        repeated = torch.where(logits > 0, logits / repetition, logits * repetition)
        logits = torch.where(prompted | written, repeated, logits)
    return logits - frequency * counts - presence * written


def draw(
    logits: Tensor,
    uniforms: Sequence[float],
    *,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float = 0.0,
) -> Tensor:
    """One token id a row, shape [row].

    Args:
        logits: logits, penalised where that is asked for, float32 [row, vocabulary].
        uniforms: a number in [0, 1) for each row.
        temperature: 0 takes the likeliest token.
        top_k: 0 keeps every token.
        top_p: 1 keeps every token.
        min_p: 0 keeps every token.
    """
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits / temperature
    if min_p > 0:
        least = logits.amax(dim=-1, keepdim=True) + math.log(min_p)
        logits = logits.masked_fill(logits < least, -math.inf)
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
            drawn[short] = _draw_from_all(logits[short], u[short], top_p)
    return drawn


def _draw_from_all(logits: Tensor, u: Tensor, top_p: float) -> Tensor:
    """Tokens from nuclei of any width, shape [row].

    Only the values are sorted, which is ten times faster on a CPU than sorting tokens by them
    (numpy's sort is vectorised, and a flat distribution comes here at every step); the token is
    then found by its value and its place among equal ones.
    """
    import numpy as np
    import torch

    if logits.device.type == "cpu":
        values = torch.from_numpy(-np.sort(-logits.numpy(), axis=-1))
    else:
        values = logits.sort(dim=-1, descending=True).values
    cumulative = values.softmax(dim=-1).cumsum(-1, dtype=torch.float64)
    places = _locate(cumulative, u, top_p)[:, None]
    value = values.gather(-1, places)
    before = places - (values > value).sum(dim=-1, keepdim=True)
    equal = (logits == value).cumsum(dim=-1, dtype=torch.int32)
    return (equal > before).int().argmax(dim=-1)


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


CONTEXT = 8
"""Prompt tokens decoded before the first token, for its leading space."""
PENDING = 8
"""Tokens held back for an incomplete character; no character takes more."""


class TextStream:
    """Grows a completion's text and says when a stop string is complete."""

    def __init__(self, tokenizer: Any, prompt_ids: Sequence[int], stop: Sequence[str]) -> None:
        self._decode = tokenizer.decode
        self._stop = tuple(filter(None, stop))
        self._reach = max(map(len, self._stop), default=1) - 1
        self._ids = list(prompt_ids[-CONTEXT:])
        self._before = self._spell(self._ids)
        self._n_before = len(self._ids)
        self._parts: list[str] = []
        self._length = 0
        self._tail = ""

    def push(self, token: int) -> bool:
        """Add a token; True if it completes a stop string, which the text then ends before."""
        self._ids.append(token)
        spelled = self._spell(self._ids)
        if not spelled.startswith(self._before):  # the decoder rewrote what it had: start afresh
            self._ids, self._before, self._n_before = [token], "", 0
            spelled = self._spell(self._ids)
        if spelled.endswith("\ufffd") and len(self._ids) - self._n_before < PENDING:
            return False
        new = spelled[len(self._before) :]
        if not new:
            return False
        del self._ids[: self._n_before]
        self._before, self._n_before = self._spell(self._ids), len(self._ids)
        return self._append(new)

    @property
    def text(self) -> str:
        """The text so far, without an incomplete last character."""
        return "".join(self._parts)

    def _append(self, new: str) -> bool:
        """Add text; look for stop strings where they could end in it, the first to end wins."""
        self._parts.append(new)
        self._length += len(new)
        window = self._tail + new
        ends = [
            (at + len(stop), at)
            for stop in self._stop
            if (at := window.find(stop, max(0, len(self._tail) - len(stop) + 1))) >= 0
        ]
        if ends:
            start = self._length - len(window) + min(ends)[1]
            self._parts = [self.text[:start]]
            return True
        self._tail = window[len(window) - self._reach :] if self._reach < len(window) else window
        return False

    def _spell(self, ids: list[int]) -> str:
        return str(self._decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
