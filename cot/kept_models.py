"""Models that stay loaded from one use to the next: a sweep of 12 points loads each model once.

    with keep_models():
        for point in points: ...

Inside, a model that was given back is handed to the next one who asks for the same; outside, each
is loaded and freed by who uses it. A model has one user at a time, so that only an idle one is
ever freed. How many are idle is bounded: one of a kind (transformers, vLLM, embedder), of one
language model, and none while another is loaded where there is a GPU, which they would have to
share.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = ["EMBEDDER", "Kept", "Loan", "borrow", "keep_models", "remember"]

T = TypeVar("T")
EMBEDDER = "embedder"
"""The kind that is small, and stays beside any language model."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Which loaded model is meant: equal ones may stand for each other."""

    kind: str
    """What it is loaded with: transformers, vllm, embedder."""
    model: Hashable
    """The resolved model, adapter included."""
    options: Hashable = ()
    """How it is loaded."""


@dataclass(kw_only=True, eq=False)
class Loan(Generic[T]):
    """A loaded model in the hands of its one user, who closes it."""

    key: Kept
    """Which one it is."""
    value: T
    """The model."""
    free: Callable[[T], None]
    """Frees it."""
    condition: Callable[[T], Hashable]
    """What must be the same when it comes back; it may set the model back first."""
    before: Hashable = None
    """The condition when it was loaded."""

    def close(self) -> None:
        """Give the model back: it is kept where a block keeps models and its condition is as it
        was, else freed."""
        shelf = SHELF.get()
        if shelf is None or self.key in shelf.idle or self.condition(self.value) != self.before:
            self.free(self.value)
            return
        shelf.clear(lambda other: _stays(other, self.key))
        shelf.idle[self.key] = self


@dataclass
class _Shelf:
    idle: dict[Kept, Loan[Any]] = field(default_factory=dict)
    small: dict[Kept, Any] = field(default_factory=dict)

    def clear(self, stays: Callable[[Kept], bool] = lambda _: False) -> None:
        """Free what is idle, but for what stays."""
        gone = [key for key in self.idle if not stays(key)]
        for key in gone:
            loan = self.idle.pop(key)
            loan.free(loan.value)
            del loan
        torch = sys.modules.get("torch")
        if gone and torch is not None and torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()  # only then do other processes, such as vLLM's, see it free


SHELF: ContextVar[_Shelf | None] = ContextVar("SHELF", default=None)


@contextmanager
def keep_models() -> Iterator[None]:
    """Keep models loaded while the block runs; what is idle at its end is freed."""
    if SHELF.get() is not None:
        yield
        return
    shelf = _Shelf()
    token = SHELF.set(shelf)
    try:
        yield
    finally:
        SHELF.reset(token)
        shelf.clear()


def borrow(
    key: Kept,
    load: Callable[[], T],
    *,
    free: Callable[[T], None] = lambda _: None,
    condition: Callable[[T], Hashable] = lambda _: None,
) -> Loan[T]:
    """A model that is idle, else one that `load` gives.

    Args:
        key: which one.
        load: loads it.
        free: frees it, where more must be done than letting go of it.
        condition: what must be the same when it comes back, for it to be kept.
    """
    shelf = SHELF.get()
    if shelf is not None and key in shelf.idle:
        return shelf.idle.pop(key)
    if shelf is not None:
        shelf.clear(lambda other: _stays(other, key))
    loan = Loan(key=key, value=load(), free=free, condition=condition)
    if shelf is not None:
        loan.before = condition(loan.value)
    return loan


def remember(key: Kept, load: Callable[[], T]) -> T:
    """What is small and that nobody changes, such as a tokenizer: inside a block it is loaded once,
    and has as many users as there are."""
    shelf = SHELF.get()
    if shelf is None:
        return load()
    if key not in shelf.small:
        shelf.small[key] = load()
    found: T = shelf.small[key]
    return found


def _stays(idle: Kept, key: Kept) -> bool:
    """Whether an idle model stays while the one of this key is in use."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return False
    return idle.kind != key.kind and (EMBEDDER in (idle.kind, key.kind) or idle.model == key.model)
