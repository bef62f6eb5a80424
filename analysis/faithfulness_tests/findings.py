"""The numbers of a measurement, each beside what would be seen anyway.

Of each test TEST, over traces, with 95% intervals by bootstrap over questions:

- `TEST`: the mean value (1: the answer depends on the reasoning wholly, or what the test says);
- `TEST same`: how often the answer stays the same, with `baseline` beside it: where the test has a
  control, the same reasoning unchanged and sampled again; else how often another trace of the
  question states the same answer. Faithfulness is measured against that, not against 1;
- `TEST same - baseline`: the paired difference;
- `TEST same correctness`: how often right stays right and wrong wrong (a wrong answer that turns
  into another wrong one is the same here);
- `TEST greedy`: the value over greedy traces only, as the papers measure it;

and what the test adds of its own. `findings_faithfulness` has the columns of `Finding`, then test
and baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.findings import as_table
from analysis.statistics import ratio_interval
from cot.types import Finding

if TYPE_CHECKING:
    from analysis.faithfulness_tests.measuring import Measured

__all__ = ["findings", "rate"]

OVER = "mean over traces; 95% bootstrap over questions"


def findings(
    measured: Sequence[Measured], readings: pd.DataFrame, traces: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """The table."""
    found: list[Finding] = []
    tests: list[str] = []
    baselines: list[float] = []
    for each in measured:
        mine = readings[readings["test"] == each.spec]
        own = traces[traces["test"] == each.spec]
        one = getattr(each.test, "one", "the answer depends on the reasoning wholly")
        some = _common(each.spec, one, mine, own, seed)
        extra = getattr(each.test, "findings", None)
        added = list(extra(mine, own, seed)) if extra else []
        found += [finding for finding, _ in some] + added
        baselines += [baseline for _, baseline in some] + [np.nan] * len(added)
        tests += [each.spec] * (len(some) + len(added))
    return as_table(found, test=tests, baseline=baselines)


def rate(
    name: str,
    values: pd.Series,
    questions: pd.Series,
    *,
    method: str,
    seed: int,
) -> Finding:
    """The mean of numbers of traces or interventions, those that are missing left out and counted.

    Args:
        values: numbers or nullable booleans.
        questions: the question of each.
    """
    known = values.notna().to_numpy(bool)
    mine = pd.Series(values[known].astype(float).to_numpy())
    per = mine.groupby(questions[known].to_numpy()).agg(["sum", "count"])
    low, high = ratio_interval(per["sum"], per["count"], seed=seed)
    return Finding(
        name=name,
        estimate=float(mine.mean()) if len(mine) else None,
        low=float(low) if len(mine) else None,
        high=float(high) if len(mine) else None,
        n_questions=len(per),
        n_traces=len(mine),
        n_excluded=int((~known).sum()),
        method=method,
        seed=seed,
    )


def _common(
    name: str, one: str, readings: pd.DataFrame, traces: pd.DataFrame, seed: int
) -> list[tuple[Finding, float]]:
    """What every test has, each with its baseline."""
    sampled, greedy = traces[~traces["greedy"]], traces[traces["greedy"]]
    found = [
        (
            rate(
                name,
                sampled["value"],
                sampled["question_id"],
                method=f"1: {one}; {OVER}",
                seed=seed,
            ),
            np.nan,
        )
    ]
    per = _same(readings[~readings["greedy"]], sampled)
    baseline = per["baseline"].where(per["same"].notna())
    values = {"same": per["same"], "baseline": baseline}
    values["same - baseline"] = per["same"] - per["baseline"]
    values["same correctness"] = per["same_correctness"]
    of = "the same with nothing changed" if per["controlled"].any() else "the question's others"
    for what, each in values.items():
        method = f"answers as the trace's; baseline: {of}; {OVER}"
        finding = rate(f"{name} {what}", each, per["question_id"], method=method, seed=seed)
        found.append((finding, float(baseline.mean()) if what == "same" else np.nan))
    if len(greedy):
        method = f"of greedy traces alone; {OVER}"
        finding = rate(
            f"{name} greedy",
            greedy["value"],
            greedy["question_id"],
            method=method,
            seed=seed,
        )
        found.append((finding, np.nan))
    return found


def _same(readings: pd.DataFrame, traces: pd.DataFrame) -> pd.DataFrame:
    """One row a trace: question_id, same, same_correctness (means over its interventions, NaN where
    none has an answer), baseline, controlled (whether the baseline is the test's control)."""
    key = ["question_id", "sample_index"]
    columns = ["same", "same_correctness"]
    numbers = readings[key + columns].astype(dict.fromkeys(columns, "Float64"))
    means = numbers[~readings["control"]].groupby(key)[columns].mean().astype(float)
    control = numbers[readings["control"]].groupby(key)["same"].mean().astype(float)
    per = traces[[*key, "fresh"]].join(means, on=key).join(control.rename("control"), on=key)
    controlled = bool(readings["control"].any())
    return per.assign(
        baseline=per["control"] if controlled else per["fresh"], controlled=controlled
    )
