"""The run's tables as the page carries them: CSV as `cot export` writes it, packed.

The page opens from disk and may fetch nothing, so that what can be downloaded travels in it: CSV
with formulas defused, gzip, base64. The smallest tables come first, up to a budget; `cot export`
writes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.exporting import as_csv
from analysis.page.evidence import Evidence
from analysis.page.shards import packed as gzipped
from cot.store.run import Run

__all__ = ["BUDGET", "Downloads", "pack", "pack_tables"]

BUDGET = 3_000_000
"""Characters of packed tables that one page carries."""
QUESTIONS = "one row a question: its text, reference answer and choices"
CELLS = 1_000_000
"""A table with more cells than this is left to `cot export`, unpacked and unmeasured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """What can be downloaded."""

    packed: dict[str, str]
    """Table to its CSV, gzipped, in base64."""
    rows: dict[str, int]
    """Table to its number of rows, for those that are packed."""
    sentences: dict[str, str]
    """Table to what it holds, as its analysis declares it, for those that are packed."""
    left_out: tuple[str, ...]
    """Tables too large for the page."""
    command: str
    """What writes those."""


def pack(evidence: Evidence, budget: int = BUDGET) -> Downloads:
    """The questions and the derived tables that fit."""
    makers = evidence.makers
    holds = {name: makers[name].makes[name] for name in evidence.tables}
    return pack_tables(
        {"questions": evidence.questions, **evidence.tables},
        {"questions": QUESTIONS, **holds},
        evidence.run,
        budget,
    )


def pack_tables(
    frames: Mapping[str, pd.DataFrame], holds: Mapping[str, str], run: Run, budget: int = BUDGET
) -> Downloads:
    """Those of a run's tables that fit.

    Args:
        frames: table to its rows.
        holds: table to what it holds.
    """
    small = {name: frame for name, frame in frames.items() if frame.size <= CELLS}
    found = {name: gzipped(as_csv(frame)) for name, frame in small.items()}
    packed: dict[str, str] = {}
    used = 0
    for name in sorted(found, key=lambda name: len(found[name])):
        used += len(found[name])
        if used > budget:
            break
        packed[name] = found[name]
    return Downloads(
        packed=packed,
        rows={name: len(frames[name]) for name in packed},
        sentences={name: holds[name] for name in packed},
        left_out=tuple(name for name in frames if name not in packed),
        command=f"cot export {run.path} --to csv",
    )
