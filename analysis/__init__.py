"""What is read off a run: each analysis adds tables to it and returns the main one.

    import analysis, cot

    run = cot.open_run("runs/demo")
    votes = analysis.vote(run, rule=["majority"])
    analysis.agree(run)
    analysis.report(run)

`analysis.NAME`, `cot NAME` and the section `[NAME]` of an experiment file are one thing;
`dir(analysis)` lists the names. They are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cot.registry import ANALYSES

OTHERS = {
    "analysis": "analysis.declaration",
    "export": "analysis.exporting",
    "run_experiment": "analysis.experiments",
    "run_sweep": "analysis.experiments",
}
"""What is public beside the analyses, and where it is."""
PACKAGES = ("figures",)

__all__ = [*ANALYSES, *OTHERS, *PACKAGES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name in PACKAGES:
        return import_module(f"analysis.{name}")
    if name in ANALYSES:
        module, _, attribute = ANALYSES[name][0].partition(":")
        return getattr(import_module(module), attribute)
    if name in OTHERS:
        return getattr(import_module(OTHERS[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
