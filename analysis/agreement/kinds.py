"""In which way the witnesses of a question agree or part. All rules and thresholds are here.

A question may be of several kinds:

- `unanimous`: all valid answers are one class, and its traces take one path.
- `split answers`: the winning class holds at most SPLIT of the valid answers.
- `same answer, different reasoning`: of the pairs of traces with the winning answer, more than HALF
  take different paths.
- `same reasoning, different answer`: of the pairs of traces on one path, more than HALF end in
  different answers.
- `probe against majority`: the class with the largest total of cross-fitted probe scores is not the
  majority's.
- `no valid answer`: nothing to vote on.
"""

from __future__ import annotations

import pandas as pd

__all__ = ["KINDS", "kinds_of", "probe_choice"]

SPLIT = 0.5
HALF = 0.5
KINDS = (
    "unanimous",
    "split answers",
    "same answer, different reasoning",
    "same reasoning, different answer",
    "probe against majority",
    "no valid answer",
)


def kinds_of(traces: pd.DataFrame, majority: str | None) -> list[str]:
    """The kinds of one question, in the order of KINDS; empty where no rule fits.

    Args:
        traces: its valid traces: answer, path, score (the probe's P(correct), NaN where unknown).
        majority: the winning answer, or None.
    """
    if majority is None or not len(traces):
        return ["no valid answer"]
    winners = traces[traces["answer"] == majority]
    found = []
    if traces["answer"].nunique() == 1 and traces["path"].nunique() == 1:
        found.append("unanimous")
    if len(winners) / len(traces) <= SPLIT:
        found.append("split answers")
    if _share_unlike(winners["path"]) > HALF:
        found.append("same answer, different reasoning")
    pairs = unlike = 0.0
    for _, rows in traces.groupby("path"):
        n = len(rows) * (len(rows) - 1)
        pairs, unlike = pairs + n, unlike + n * _share_unlike(rows["answer"])
    if pairs and unlike / pairs > HALF:
        found.append("same reasoning, different answer")
    choice = probe_choice(traces)
    if choice is not None and choice != majority:
        found.append("probe against majority")
    return found


def probe_choice(traces: pd.DataFrame) -> str | None:
    """The answer with the largest total probe score, or None without scores; a tie falls to the
    class that comes first."""
    scored = traces.dropna(subset="score")
    if not len(scored):
        return None
    return str(scored.groupby("answer", sort=False)["score"].sum().idxmax())


def _share_unlike(labels: pd.Series) -> float:
    """Of all pairs of rows, the share with different labels; 0 without a pair."""
    n = len(labels)
    if n < 2:
        return 0.0
    counts = labels.value_counts().to_numpy()
    return float(1 - (counts * (counts - 1)).sum() / (n * (n - 1)))
