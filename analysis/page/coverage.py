"""What a budget left out, in a sentence that stands beside the numbers it concerns.

>>> captured_ends(gather(open_run("runs/demo")))                              # doctest: +SKIP
('Hidden states were captured at 2,560 of 79,849 ends of steps (3.2%).',)
"""

from __future__ import annotations

import pandas as pd

from analysis.figures.text import number, percent
from analysis.hidden_states.places import ENDS, TABLES
from analysis.page.cards import find
from analysis.page.evidence import Evidence
from cot.store.vectors import read_index
from cot.types import TRACE_KEY

__all__ = ["captured_ends", "steps_looked_at"]


def captured_ends(evidence: Evidence) -> tuple[str, ...]:
    """For ends of steps and of sections, how many of those of the captured traces have a hidden
    state; nothing for those that all have one, or none."""
    folder = evidence.run.path / "activations"
    if not (folder / "index.parquet").exists():
        return ()
    index = read_index(folder)
    said = []
    for position in ENDS:
        taken = index[index["position"] == position].drop_duplicates([*TRACE_KEY, "step"])
        whole = evidence.get(TABLES[position])
        if taken.empty or whole.empty:
            continue
        of = len(whole.merge(taken[list(TRACE_KEY)].drop_duplicates(), on=list(TRACE_KEY)))
        if len(taken) < of:
            said.append(
                f"Hidden states were captured at {len(taken):,} of {of:,} ends of "
                f"{TABLES[position]} ({percent(len(taken) / of)})."
            )
    return tuple(said)


def steps_looked_at(findings: pd.DataFrame, test: str) -> str:
    """At how many of a trace's steps a faithfulness test asked; empty where at all of them."""
    share = number((find(findings, "steps_looked_at", test) or {}).get("estimate"))
    if share is None or share >= 1:
        return ""
    return f"It asked at {percent(share)} of a trace's steps, on average (its budget)."
