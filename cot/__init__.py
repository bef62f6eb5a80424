"""Consilience: do answers, reasoning and hidden states of a model's chains of thought agree?

    import cot, analysis

    run = cot.sample("arithmetic", out="runs/demo", n=12, limit=12)
    votes = analysis.vote(run, rule=["majority"])

Functions are imported when first used, so that `cot --help` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import cot.hidden_packages  # noqa: F401 - says if another file hides a package

if TYPE_CHECKING:
    from cot.errors import ConsilienceError, InputError
    from cot.importers import import_traces
    from cot.sampling.sampler import sample
    from cot.sampling.sweep import sweep
    from cot.store.merging import merge
    from cot.store.run import Run, open_run

__all__ = [
    "ConsilienceError",
    "InputError",
    "Run",
    "import_traces",
    "merge",
    "open_run",
    "sample",
    "sweep",
]

HOMES = {
    "ConsilienceError": "cot.errors",
    "InputError": "cot.errors",
    "Run": "cot.store.run",
    "import_traces": "cot.importers",
    "merge": "cot.store.merging",
    "open_run": "cot.store.run",
    "sample": "cot.sampling.sampler",
    "sweep": "cot.sampling.sweep",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for."""
    if name not in HOMES:
        raise AttributeError(f"module 'cot' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
