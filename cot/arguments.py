"""Keyword arguments of public functions: a wrong name is an InputError that lists near ones.

@known_arguments
def draw(dataset: str, *, seed: int = 0): ...

draw("arithmetic", sead=1)   # InputError: draw() has no argument 'sead': did you mean 'seed'?
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from cot.errors import InputError

__all__ = ["known_arguments", "unknown_name"]

P = ParamSpec("P")
T = TypeVar("T")


def known_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which refuses keyword arguments that are not in its signature.

    Raises (when called):
        InputError: an unknown name; the message says near ones and all that there are.
    """

    @functools.wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> T:
        known = inspect.signature(call).parameters
        for name in named:
            if name not in known:
                raise InputError(
                    unknown_name(f"{function.__name__}() has no argument", name, known)
                )
        return function(*given, **named)

    return call


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """A message on a name that there is not: near ones, then all."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 2)
    hint = f" did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"{what} {name!r}:{hint} choose from {', '.join(known)}"
