"""Hooks that write: what is done to the residual stream, after which block, at which tokens.

An edit turns the states of some tokens into others. A change says where: after which block, and at
which tokens of a row of the batch. `Writer` hooks the blocks, applies the changes of each row as
the tokens pass, and counts: states written must be states meant, or the run fails.

    writer = Writer(model)
    with writer.on([8]):
        writer.expect([[Change(layer=8, tokens=range(10, 30), edit=Add(3.0 * direction))]], 10, 30)
        model(...)                                  # one row, of whose tokens 10 to 29 pass
        writer.check()

Layer k is the residual stream after k blocks, as in `analysis.hidden_states.places`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.model_parts import find_blocks

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Add", "Change", "Edit", "Project", "Put", "Writer"]

Floats = NDArray[np.floating]


class Edit(Protocol):
    """What becomes of some states."""

    def __call__(self, states: Tensor, first: int) -> Tensor:
        """New states of tokens that follow one another.

        Args:
            states: shape [token, d_model], in the model's type; may be written over.
            first: place of the first of them among the tokens of the change.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """These states instead: h ← v."""

    vectors: Floats
    """Shape [token of the change, d_model]."""

    def __call__(self, states: Tensor, first: int) -> Tensor:
        return _like(self.vectors[first : first + len(states)], states)


@dataclass(frozen=True, slots=True, eq=False)
class Add:
    """A step along a direction: h ← h + v."""

    vector: Floats
    """Shape [d_model], in the states' own units."""

    def __call__(self, states: Tensor, first: int) -> Tensor:
        return states + _like(self.vector, states)


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """A part of the states is taken out: h ← h − ((h − m) R) L.

    With R = ŵ and L = ŵᵀ (a unit vector), h·ŵ becomes m·ŵ: zero, or a mean.
    """

    right: Floats
    """R, shape [d_model, rank]: what is read."""
    left: Floats
    """L, shape [rank, d_model]: what is taken off for it."""
    centre: Floats | None = None
    """m, shape [d_model]; None is zero."""

    def __call__(self, states: Tensor, first: int) -> Tensor:
        # float32: a difference of large bfloat16 numbers loses what is to be taken out
        wide = states.float()
        off = wide if self.centre is None else wide - _like(self.centre, wide)
        part = (off @ _like(self.right, wide)) @ _like(self.left, wide)
        return (wide - part).to(states.dtype)


def _like(values: Floats, states: Tensor) -> Tensor:
    import torch

    array = np.ascontiguousarray(values, dtype=np.float32)
    return torch.from_numpy(array).to(states.device, states.dtype)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """An edit of one row's states."""

    layer: int
    """Blocks before the states: 0 is what enters the first block."""
    tokens: range
    """Which tokens, ascending and without a gap; 0 is the first generated one, -1 the prompt's
    last."""
    edit: Edit
    """What becomes of them."""


class Writer:
    """Writes into a model's residual stream.

    Args:
        model: a causal language model of transformers.

    Attributes:
        written: states written so far.
    """

    def __init__(self, model: Any) -> None:
        self.blocks = find_blocks(model.base_model)
        self.written = 0
        self._meant = 0
        self._now: dict[int, list[tuple[int, slice, Change, int]]] = {}

    @contextmanager
    def on(self, layers: Sequence[int]) -> Iterator[None]:
        """Hook these layers; the hooks are gone afterwards, whatever happens."""
        self.written = self._meant = 0  # a pass that failed was never checked
        with ExitStack() as stack:
            for layer in sorted(set(layers)):
                if layer == 0:
                    handle = self.blocks[0].register_forward_pre_hook(self._enter, with_kwargs=True)
                else:
                    hook = self._leave(layer)
                    handle = self.blocks[layer - 1].register_forward_hook(hook)
                stack.callback(handle.remove)
            try:
                yield
            finally:
                self._now = {}

    def expect(self, rows: Sequence[Sequence[Change]], start: int, end: int) -> None:
        """Say what passes next: of every row of the batch, tokens `start` to `end` - 1.

        Args:
            rows: the changes of each row, in the order of the batch.
        """
        self.expect_each(rows, [start] * len(rows), end - start)

    def expect_each(
        self, rows: Sequence[Sequence[Change]], starts: Sequence[int], n_tokens: int
    ) -> None:
        """As `expect`, where each row has a start of its own."""
        self._now = {}
        for row, (changes, start) in enumerate(zip(rows, starts, strict=True)):
            for change in changes:
                first = max(change.tokens.start, start)
                last = min(change.tokens.stop, start + n_tokens)
                if first < last:
                    part = (row, slice(first - start, last - start), change)
                    place = first - change.tokens.start
                    self._now.setdefault(change.layer, []).append((*part, place))
                    self._meant += last - first

    def check(self) -> None:
        """Compare what was written with what was meant, and count anew.

        Raises:
            RuntimeError: they differ: a hook that did not fire, or one that fired twice.
        """
        written, meant = self.written, self._meant
        self.written = self._meant = 0
        if written != meant:
            raise RuntimeError(f"hooks wrote {written} states, but {meant} were meant")

    def _write(self, layer: int, states: Tensor) -> Tensor:
        asked = self._now.get(layer)
        if not asked:
            return states
        states = states.clone()
        for row, columns, change, place in asked:
            states[row, columns] = change.edit(states[row, columns], place)
            self.written += columns.stop - columns.start
        return states

    def _enter(self, module: Any, args: Any, kwargs: Any) -> Any:
        if "hidden_states" in kwargs:
            return args, {**kwargs, "hidden_states": self._write(0, kwargs["hidden_states"])}
        return (self._write(0, args[0]), *args[1:]), kwargs

    def _leave(self, layer: int) -> Any:
        def write(module: Any, args: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (self._write(layer, output[0]), *output[1:])
            return self._write(layer, output)

        return write
