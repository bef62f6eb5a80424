"""Teacher forcing under a change: a trace's own tokens, run again with some states written over or
with a span of tokens hidden from what follows it.

The prompt and the unchanged trace are run once, and their keys and values kept. A changed row runs
anew only from its first changed token on, and only above its lowest changed layer: below it, the
unchanged trace's states stand in for the blocks. Rows are batched over layers, positions, strengths
and controls. What comes back is each row's state after the final norm, at the tokens asked for.

    under = ChangedPass(model)
    base, rows = under.run(prompt_ids, token_ids, [Branch(changes=(change,))], asked=[len(ids) - 1])
    under.head.logits(rows[0], [own, other])

Tokens are counted as in `analysis.hidden_states.places`: 0 is the first after the prompt, -1 the
prompt's last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from analysis.hidden_states.edits import Change, Writer
from analysis.hidden_states.hooks import CHUNK, LEAST_SHARED
from analysis.hidden_states.model_parts import Head
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Branch", "ChangedPass"]

WEIGHTS = {"cpu": 16, "cuda": 1024}
"""Tokens that take about as long as reading the weights does, by device."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branch:
    """One changed row."""

    changes: Sequence[Change] = ()
    """States that are written over, none before the prompt's last token."""
    hidden: Sequence[range] = ()
    """Spans of tokens that no token after them attends to, in any layer; a span's tokens still see
    themselves and one another."""

    @property
    def start(self) -> int | None:
        """The first token that isn't as it was; None where nothing changes."""
        firsts = [change.tokens.start for change in self.changes if change.tokens]
        firsts += [span.stop for span in self.hidden if span]
        return min(firsts, default=None)

    @property
    def lowest(self) -> int:
        """Blocks whose states are as they were."""
        return 0 if any(self.hidden) else min((change.layer for change in self.changes), default=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Base:
    """The unchanged trace."""

    asked: Tensor
    """States after the final norm at the asked tokens, [asked, d_model]."""
    cache: Any
    """Of prompt and trace."""
    first: int
    """Token, counted from the prompt's first, at which `below` begins."""
    below: dict[int, Tensor]
    """Layer to its states, [1, token, d_model]."""
    tupled: bool
    """Whether the blocks give tuples."""


class ChangedPass:
    """Runs traces of a causal language model under changes.

    Attributes:
        head: reads next-token logits off the states that come back.
        tokens_run: tokens forwarded so far, those of batches' rows each.

    Args:
        model: as `AutoModelForCausalLM` loads it; put in evaluation mode.
        tokens_per_batch: most tokens (prompt and trace) of a batch's rows; one row may be longer.
        chunk_tokens: tokens of each row that are run at a time; by default as for a capture.

    Raises:
        InputError: its blocks aren't found, or a trace can't go on from its prompt's cache.
    """

    def __init__(
        self, model: Any, tokens_per_batch: int = 16_384, chunk_tokens: int | None = None
    ) -> None:
        self.model = model.eval()
        self.body = model.base_model
        self.writer = Writer(model)
        self.head = Head(model)
        self.tokens_per_batch = tokens_per_batch
        self.chunk_tokens = chunk_tokens or CHUNK.get(model.device.type, CHUNK["cpu"])
        self.weights_cost = WEIGHTS.get(model.device.type, WEIGHTS["cpu"])
        self.tokens_run = 0
        self._prompt: tuple[tuple[int, ...], Any] = ((), None)
        self._check()

    def run(
        self,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        branches: Sequence[Branch],
        asked: Sequence[int],
    ) -> tuple[Tensor, list[Tensor]]:
        """States after the final norm at the asked tokens, [asked, d_model] each: of the unchanged
        trace, and of each branch.

        Args:
            prompt_ids: at least one.
            token_ids: what follows the prompt; may be empty.
            branches: changes of this very trace.
            asked: tokens, ascending; -1 is the prompt's last.

        Raises:
            ValueError: a change of a layer or of tokens that are not there, or before the prompt's
                last.
            RuntimeError: hooks wrote other states than were meant.
        """
        for branch in branches:
            self._check_places(branch, len(token_ids))
        prompt = tuple(map(int, prompt_ids))
        tokens = tuple(map(int, token_ids))
        changed = [i for i, branch in enumerate(branches) if branch.start is not None]
        layers = {change.layer for i in changed for change in branches[i].changes}
        base = self._base(prompt, tokens, asked, sorted(layers - {0}))
        found: list[Tensor] = [base.asked] * len(branches)
        most = max(1, self.tokens_per_batch // (len(prompt) + len(tokens)))
        with self.writer.on(sorted(layers)):
            for some in self._batches(changed, branches, len(tokens), most):
                states = self._rows([branches[i] for i in some], prompt, tokens, asked, base)
                for i, own in zip(some, states, strict=True):
                    found[i] = own
            self.writer.check()
        return base.asked, found

    def _batches(
        self, changed: Sequence[int], branches: Sequence[Branch], length: int, most: int
    ) -> Iterator[list[int]]:
        """Which rows are run together, `most` at a time.

        A batch runs all its rows from its lowest layer and first token on. Rows that begin alike
        are put together; others join them where what they run for nothing costs less than reading
        the weights once more.
        """

        def begins(i: int) -> tuple[int, int]:
            return branches[i].lowest, branches[i].start or 0

        blocks = len(self.writer.blocks)
        together: list[int] = []
        wasted = first = lowest = 0
        for (layer, start), group in groupby(sorted(changed, key=begins), key=begins):
            alike = list(group)
            extra = (length - first) * (blocks - lowest) - (length - start) * (blocks - layer)
            wasted += len(alike) * extra
            if not together or start < first or wasted > self.weights_cost * (blocks - lowest):
                if together:
                    yield together
                together, wasted, first, lowest = [], 0, start, layer
            together += alike
            while len(together) > most:
                yield together[:most]
                together = together[most:]
        if together:
            yield together

    def _check_places(self, branch: Branch, length: int) -> None:
        for change in branch.changes:
            if not 0 <= change.layer <= len(self.writer.blocks):
                raise ValueError(f"no layer {change.layer}: 0 to {len(self.writer.blocks)}")
        for span in (*(change.tokens for change in branch.changes), *branch.hidden):
            if span and (span.start < -1 or span.stop > length or span.step != 1):
                raise ValueError(f"no tokens {span} in a trace of {length}")

    def _base(
        self,
        prompt: tuple[int, ...],
        tokens: tuple[int, ...],
        asked: Sequence[int],
        layers: Sequence[int],
    ) -> _Base:
        """The unchanged trace, with its states at these layers from the prompt's last token on."""
        import torch

        before, kept = self._prompt
        # the prompt's last token is always run: its state may be asked for
        pairs = zip(before, prompt[:-1], strict=False)
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        shared = shared if shared >= min(LEAST_SHARED, len(prompt) - 1) and kept else 0
        cache = _part(kept, shared, 1)
        ids = torch.tensor([prompt + tokens], device=self.model.device)
        wanted = [len(prompt) + token for token in asked]
        parts, below = [], _Below(self.writer.blocks, layers)
        with below.keeping():
            for states, start in self._chunks(ids, cache, shared):
                inside = [at - start for at in wanted if start <= at < start + states.shape[1]]
                parts.append(states[0, inside])
        self._prompt = (prompt, _part(cache, len(prompt), 1))
        whole = {layer: torch.cat(chunks, dim=1) for layer, chunks in below.states.items()}
        return _Base(
            asked=torch.cat(parts), cache=cache, first=shared, below=whole, tupled=below.tupled
        )

    def _rows(
        self,
        branches: Sequence[Branch],
        prompt: Sequence[int],
        tokens: Sequence[int],
        asked: Sequence[int],
        base: _Base,
    ) -> list[Tensor]:
        """The states of some branches, which are run together from where the first parts."""
        import torch

        first = min(branch.start for branch in branches if branch.start is not None)
        found = base.asked.expand(len(branches), *base.asked.shape).clone()
        if first >= len(tokens):  # what is hidden ends with the trace: nothing follows
            return list(found)
        start = len(prompt) + first
        ids = torch.tensor([[*prompt, *tokens]], device=self.model.device)
        ids = ids.expand(len(branches), -1)
        cache = _part(base.cache, start, len(branches))
        place = {len(prompt) + token: i for i, token in enumerate(asked)}
        chunks = self._chunks(ids, cache, start, branches, len(prompt), base)
        for states, begin in chunks:
            inside = [at for at in place if begin <= at < begin + states.shape[1]]
            if inside:
                found[:, [place[at] for at in inside]] = states[:, [at - begin for at in inside]]
        return list(found)

    def _chunks(
        self,
        ids: Tensor,
        cache: Any,
        start: int,
        branches: Sequence[Branch] = (),
        n_prompt: int = 0,
        base: _Base | None = None,
    ) -> Iterator[tuple[Tensor, int]]:
        """States after the final norm [row, token, d_model] of each chunk of ids [row, token] from
        `start` on, and where the chunk begins."""
        import torch

        lowest = min((branch.lowest for branch in branches), default=0)
        hidden = [branch.hidden for branch in branches]
        changes = [branch.changes for branch in branches]
        for first in range(start, ids.shape[1], self.chunk_tokens):
            end = min(first + self.chunk_tokens, ids.shape[1])
            mask = self._mask(hidden, n_prompt, first, end) if any(map(any, hidden)) else None
            self.writer.expect(changes, first - n_prompt, end - n_prompt)
            with ExitStack() as stack:
                if base is not None and lowest:
                    # keys and values of blocks that are left out must be as long as the others'
                    cache.layers[:lowest] = _part(base.cache, first, ids.shape[0]).layers[:lowest]
                    states = base.below[lowest][:, first - base.first : end - base.first]
                    states = states.expand(ids.shape[0], -1, -1)
                    stack.enter_context(self._left_out(lowest, states, base.tupled))
                stack.enter_context(torch.inference_mode())
                out = self.body(
                    input_ids=ids[:, first:end],
                    attention_mask=mask,
                    position_ids=torch.arange(first, end, device=ids.device)[None],
                    past_key_values=cache,
                    use_cache=True,
                )
            self.tokens_run += ids.shape[0] * (end - first)
            yield out[0], first

    @contextmanager
    def _left_out(self, lowest: int, states: Tensor, tupled: bool) -> Iterator[None]:
        """The first blocks give these states and compute nothing."""
        blocks = self.writer.blocks[:lowest]
        output = (states,) if tupled else states
        for block in blocks:
            block.forward = lambda *args, **kwargs: output
        try:
            yield
        finally:
            for block in blocks:
                del block.forward

    def _mask(
        self, hidden: Sequence[Sequence[range]], n_prompt: int, first: int, end: int
    ) -> Tensor | dict[str, Tensor]:
        """What may be attended to, added to the scores: 0 or the type's lowest number, shape [row,
        1, query, key]; one for each kind of layer where there are several."""
        import torch

        device, dtype = self.model.device, self.model.dtype
        query = torch.arange(first, end, device=device)[:, None]
        key = torch.arange(end, device=device)[None]
        seen = (key <= query).expand(len(hidden), -1, -1).clone()
        for row, spans in enumerate(hidden):
            for span in spans:
                inside = (key >= n_prompt + span.start) & (key < n_prompt + span.stop)
                seen[row] &= ~(inside & (query >= n_prompt + span.stop))
        config = self.model.config.get_text_config(decoder=True)
        kinds = set(getattr(config, "layer_types", None) or ("full_attention",))

        def added(allowed: Tensor) -> Tensor:
            mask = torch.zeros(allowed.shape, dtype=dtype, device=device)
            return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]

        if kinds == {"full_attention"}:
            return added(seen)
        if others := kinds - {"full_attention", "sliding_attention"}:
            raise InputError(
                f"{type(self.model).__name__} has layers of kind {', '.join(sorted(others))}: no "
                "token can be hidden from them"
            )
        near = key > query - config.sliding_window
        masks = {"full_attention": seen, "sliding_attention": seen & near}
        return {kind: added(masks[kind]) for kind in kinds}

    def _check(self) -> None:
        """Compare a row that goes on from a cache, under the mask, with a plain forward."""
        import torch

        ids = list(range(1, 9))
        try:
            base, (again,) = self.run(ids[:3], ids[3:], [Branch(hidden=[range(5, 5)])], [1, 4])
            cache = _part(self._prompt[1], 3, 2)
            rows = torch.tensor([ids, ids], device=self.model.device)
            nothing = (Branch(), Branch(hidden=[range(9, 10)]))
            parts = [states for states, _ in self._chunks(rows, cache, 3, nothing, 3)]
            with torch.inference_mode():
                plain = self.body(input_ids=rows[:1], use_cache=False)[0][0]
        except (AttributeError, LookupError, NotImplementedError, TypeError, ValueError) as error:
            raise self._refusal(str(error)) from error
        self._prompt, self.tokens_run = ((), None), 0
        close = 1e-3 if self.model.dtype == torch.float32 else 5e-2
        scale = close * float(plain.abs().max())
        masked = torch.cat(parts, dim=1)[1]
        pairs = ((base, plain[[4, 7]]), (again, plain[[4, 7]]), (masked, plain[3:]))
        if any(float((one - other).abs().max()) > scale for one, other in pairs):
            raise self._refusal("its states differ then")
        if not self.head.exact:
            raise self._refusal("its head can't be followed")

    def _refusal(self, reason: str) -> InputError:
        return InputError(
            f"cannot change states of {type(self.model).__name__}: a trace can't go on from its "
            f"prompt's cache ({reason}); decoder-only models with attention work"
        )


class _Below:
    """Keeps the states that leave some blocks, chunk by chunk."""

    def __init__(self, blocks: Any, layers: Sequence[int]) -> None:
        self.blocks = blocks
        self.states: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        self.tupled = False

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """While it lasts, what passes is kept."""
        with ExitStack() as stack:
            for layer in self.states:
                handle = self.blocks[layer - 1].register_forward_hook(self._hook(layer))
                stack.callback(handle.remove)
            yield

    def _hook(self, layer: int) -> Any:
        def keep(module: Any, args: Any, output: Any) -> None:
            self.tupled = isinstance(output, tuple)
            self.states[layer].append(output[0] if self.tupled else output)

        return keep


def _part(cache: Any, length: int, rows: int) -> Any:
    """A cache of the first tokens of a cache of one row, seen by so many rows; nothing is copied,
    as a layer that grows makes new tensors."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    part = DynamicCache()  # whole layers, also of models with a window: their masks keep it
    if not length:
        return part
    part.layers = [DynamicLayer() for _ in cache.layers]
    for own, layer in zip(part.layers, cache.layers, strict=True):
        own.lazy_initialization(layer.keys, layer.values)
        own.keys = layer.keys[:, :, :length].expand(rows, -1, -1, -1)
        own.values = layer.values[:, :, :length].expand(rows, -1, -1, -1)
    return part
