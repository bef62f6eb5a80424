"""Consilience: do answers, reasoning and hidden states of a model's chains of thought agree?

import cot, analysis

run = cot.sample("arithmetic", out="runs/demo", n=12, limit=12)
votes = analysis.vote(run, rules=["majority"])
"""

import cot._rooms  # noqa: F401 - says if another file hides a package
from cot.answers import extract_answers
from cot.errors import ConsilienceError, InputError
from cot.importers import import_traces
from cot.run import Run, open_run
from cot.sampler import sample

__all__ = [
    "ConsilienceError",
    "InputError",
    "Run",
    "extract_answers",
    "import_traces",
    "open_run",
    "sample",
]
