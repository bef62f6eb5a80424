"""Names of plug-ins, and how a name becomes a callable.

A name is looked up among the built-ins, then among installed entry points (group `cot.<kind>`);
`package.module:attribute` works too. Nothing is imported until it is asked for.

    >>> find("engines", "transformers").__name__
    'TransformersEngine'
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from cot.errors import InputError

__all__ = ["find", "names"]

BUILT_IN: dict[str, dict[str, str]] = {
    "engines": {
        "transformers": "cot.engines.transformers:TransformersEngine",
        "vllm": "cot.engines.vllm:VllmEngine",
        "replay": "cot.engines.replay:ReplayEngine",
    },
    "datasets": {
        "arithmetic": "cot.datasets.arithmetic:load",
    },
    "votes": {
        "majority": "analysis.voting.majority:majority",
    },
    "clusterers": {
        "average_linkage": "analysis.paths.cluster:AverageLinkage",
    },
    "probes": {
        "logistic": "analysis.probes.logistic:LogisticProbe",
    },
}


def names(kind: str) -> list[str]:
    """All names of a kind of plug-in, built in and installed, sorted."""
    installed = {point.name for point in entry_points(group=f"cot.{kind}")}
    return sorted(installed | set(BUILT_IN[kind]))


def find(kind: str, name: str) -> Any:
    """The plug-in called `name`.

    Raises:
        InputError: no such name (the message lists the valid ones), or its module or attribute
            does not exist.
    """
    target = BUILT_IN[kind].get(name)
    if target is None:
        for point in entry_points(group=f"cot.{kind}"):
            if point.name == name:
                return point.load()
        if ":" not in name:
            raise InputError(f"unknown {kind[:-1]} {name!r}: choose from {', '.join(names(kind))}")
        target = name
    module_name, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise
        raise InputError(f"{name!r}: there is no module {module_name!r} to import") from None
    except AttributeError:
        raise InputError(f"{name!r}: module {module_name!r} has no {attribute!r}") from None
