"""How far each trace's answer depends on its reasoning: one number a trace, of several tests.

`faithfulness` is the mean of the values of the tests that change the reasoning and nothing else
(`REASONING`), of those that were made; NaN for a trace without any. It is what votes, signals and
the agreement table read.
"""

from __future__ import annotations

import pandas as pd

from analysis.catalogue import need
from cot.store.run import Run

__all__ = ["REASONING", "profile"]

REASONING = ("early_answering", "adding_mistakes", "filler")
"""Tests whose value is 1 where the answer depends on the reasoning wholly, and 0 where not."""


def profile(run: Run) -> pd.DataFrame:
    """One row a sampled trace: question_id, sample_index, one column a test as it was typed (its
    value, NaN where there is none), faithfulness."""
    traces = need(run, "faithfulness_traces")
    sampled = traces[~traces["greedy"]]
    key = ["question_id", "sample_index"]
    wide = sampled.pivot(index=key, columns="test", values="value")
    counted = [test for test in wide if test.partition(":")[0] in REASONING]
    return wide.assign(faithfulness=wide[counted].mean(axis=1)).reset_index()
