"""What a probe predicts of a trace, and which traces have it."""

from __future__ import annotations

import logging

import pandas as pd

from analysis.prerequisites import need
from cot.errors import InputError
from cot.run import Run

__all__ = ["TARGETS", "labelled"]

log = logging.getLogger("cot")

TARGETS = {"correct": "the stated answer is right"}
"""Target to its meaning."""


def labelled(run: Run, target: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The traces that have a label, and why the others don't count.

    `correct` is known of traces with a valid answer to a question with gold. A missing, unparsed or
    truncated answer is not a wrong one: such traces are left out. So are traces that were not
    replayed, or whose fidelity is flagged.

    Returns:
        traces: question_id, sample_index, y (bool), characters, tokens (lengths), in run order.
        excluded: reason to number of traces.

    Raises:
        InputError: an unknown target.
    """
    if target not in TARGETS:
        raise InputError(f"unknown target {target!r}: choose from {', '.join(TARGETS)}")
    keys = ["question_id", "sample_index"]
    answers = need(run, "answers")[[*keys, "status", "correct"]]
    traces = run.traces(["text"]).merge(answers, on=keys, how="left")
    traces = traces.merge(need(run, "fidelity"), on=keys, how="left")
    reasons = {
        "without a valid answer": traces["status"] != "ok",
        "without gold": traces["correct"].isna(),
        "not replayed": traces["n_tokens"].isna(),
        "replayed with too large a gap": traces["flagged"].fillna(False).astype(bool),
    }
    left = pd.Series(True, index=traces.index)
    excluded = {}
    for reason, out in reasons.items():
        if number := int((out & left).sum()):
            excluded[reason] = number
        left &= ~out
    chosen = traces[left]
    labels = chosen[keys].assign(
        y=chosen["correct"].astype(bool),
        characters=chosen["text"].str.len(),
        tokens=chosen["n_tokens"],
    )
    return labels.reset_index(drop=True), excluded
