"""Reading prompts: what many of them begin with is read once.

A prompt that begins like one that was read lately, or like another that is read with it, takes the
keys and values of the common part from there, and only the rest is forwarded. So all questions
behind the same exemplars, all traces of a question, and all truncations of a trace share their
beginnings. Prompts are read in rounds: in each, those that share nothing more with one another than
with what is known; the rest wait for what they share.

    e e e e q q           round 1: all of it
    e e e e r r r         round 2, from four tokens on, together with
    e e e e q q s         round 2, from six tokens on

Prompts of a round are read together where no more of it is padding than is not. They end at the
same column; one with less to read than the others reads the tail of what it shares again in place
of padding, so that no row has a gap and sliding windows see the distances that they should.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, count
from operator import ne
from typing import Any

import torch
from transformers import DynamicCache

from cot.engines.key_values import Prefix

__all__ = ["Prefixes", "common"]

PREFILL_TOKENS = 4096
"""Most tokens, padding included, that are forwarded together."""
PREFILL_COLUMNS = 16384
"""Most columns of keys and values beside one another, those that are shared included."""
KEPT = 8
"""Prompts whose keys and values are kept for others to come."""
LEAST = 16
"""Tokens in common that are worth a round of their own."""

Prompt = tuple[int, ...]
Base = tuple[int, Prefix | None]
"""Tokens that a prompt has in common with one that is known, and what that one left behind."""


class Prefixes:
    """Reads prompts, and keeps what they leave behind for those that begin alike.

    Args:
        least: tokens that prompts must have in common to share them.
    """

    def __init__(self, least: int = LEAST) -> None:
        self.least = least
        self.tokens_read = 0
        """Prompt tokens that were not shared."""
        self.tokens_computed = 0
        """Tokens that were forwarded for them, padding included."""
        self._kept: OrderedDict[Prompt, Prefix] = OrderedDict()

    def read(self, weights: Any, prompts: Sequence[Prompt]) -> list[Prefix]:
        """What each prompt leaves behind.

        Args:
            weights: the transformers model.
            prompts: token ids; one or more each.
        """
        found = {prompt: self._kept[prompt] for prompt in prompts if prompt in self._kept}
        unread = sorted({*prompts} - {*found}, key=lambda prompt: (-len(prompt), prompt))
        bases = self._bases(unread, self._kept, {})
        while unread:
            now: list[Prompt] = []
            for prompt in unread:
                most = bases[prompt][0] + self.least
                if all(common(prompt, other) < most for other in now):
                    now.append(prompt)
            new: dict[Prompt, Prefix] = {}
            to_read = {prompt: len(prompt) - bases[prompt][0] for prompt in now}
            for together in _batches(to_read):
                new.update(self._prefill(weights, together, [bases[each] for each in together]))
            found |= new
            unread = [prompt for prompt in unread if prompt not in new]
            bases = self._bases(unread, new, bases)
        for prompt in list(dict.fromkeys(prompts))[-KEPT:]:
            self._kept[prompt] = found[prompt]
            self._kept.move_to_end(prompt)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return [found[prompt] for prompt in prompts]

    def clear(self) -> None:
        """Forget all prompts."""
        self._kept.clear()

    def _bases(
        self,
        prompts: Iterable[Prompt],
        known: Mapping[Prompt, Prefix],
        bases: Mapping[Prompt, Base],
    ) -> dict[Prompt, Base]:
        """Of each prompt what it shares most with, among `known` and what it had; its last token is
        always its own, as its logits are wanted."""
        found = {}
        for prompt in prompts:
            best = bases.get(prompt, (0, None))
            for other, prefix in known.items():
                n = min(common(prompt, other), len(prompt) - 1)
                if n >= max(self.least, best[0] + 1):
                    best = (n, prefix)
            found[prompt] = best
        return found

    @torch.inference_mode()
    def _prefill(
        self, weights: Any, prompts: Sequence[Prompt], bases: Sequence[Base]
    ) -> dict[Prompt, Prefix]:
        """Read prompts together from where they part from their bases."""
        device = weights.device
        width = max(len(prompt) - n for prompt, (n, _) in zip(prompts, bases, strict=True))
        shared = [max(0, len(prompt) - width) for prompt in prompts]
        before = max(shared)
        rows = [(0,) * (width - len(prompt)) + prompt[-width:] for prompt in prompts]
        starts = torch.tensor([before + width - len(prompt) for prompt in prompts])[:, None]
        columns = torch.arange(before + width)
        out = weights(
            input_ids=torch.tensor(rows, device=device),
            attention_mask=(columns >= starts).long().to(device),
            position_ids=(columns[before:] - starts).clamp(min=0).to(device),
            past_key_values=_cache([prefix for _, prefix in bases], shared),
            use_cache=True,
            logits_to_keep=1,
        )
        self.tokens_read += sum(map(len, prompts)) - sum(n for n, _ in bases)
        self.tokens_computed += width * len(prompts)
        return {
            prompt: Prefix(
                len(prompt),
                [
                    tuple(part[i, :, -len(prompt) :].clone() for part in layer[:2])
                    for layer in out.past_key_values
                ],
                out.logits[i, -1].float(),
            )
            for i, prompt in enumerate(prompts)
        }


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens with which both begin."""
    return next(compress(count(), map(ne, one, other)), min(len(one), len(other)))


def _batches(to_read: Mapping[Prompt, int]) -> Iterator[list[Prompt]]:
    """Prompts to read together, given how many tokens are to be read of each: so many that they
    fit, and that no more is padding than is not."""
    together: list[Prompt] = []
    for prompt, n in sorted(to_read.items(), key=lambda item: item[1]):
        more = [*together, prompt]
        computed = len(more) * n
        fits = computed <= PREFILL_TOKENS and len(more) * max(map(len, more)) <= PREFILL_COLUMNS
        if together and not (fits and computed <= 2 * sum(to_read[each] for each in more)):
            yield together
            more = [prompt]
        together = more
    if together:
        yield together


def _cache(prefixes: Sequence[Prefix | None], shared: Sequence[int]) -> DynamicCache:
    """The first tokens of each prefix, so many as are shared, ending at the same column."""
    cache = DynamicCache()
    first = next((prefix for prefix in prefixes if prefix), None)
    if first is None or not max(shared):
        return cache
    for layer, parts in enumerate(first.layers):
        both = []
        for kind, like in enumerate(parts):
            room = like.new_zeros(len(shared), like.shape[0], max(shared), like.shape[2])
            for row, (prefix, n) in enumerate(zip(prefixes, shared, strict=True)):
                if prefix and n:
                    room[row, :, -n:] = prefix.layers[layer][kind][:, :n]
            both.append(room)
        cache.update(*both, layer)
    return cache
