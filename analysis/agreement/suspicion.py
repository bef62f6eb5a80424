"""A suspicion score in [0, 1], to sort questions for people to look at.

The mean of the doubts that can be computed for a question:

- *answers*: 1 - the majority's share of valid answers;
- *clusters*: 1 - the share of clusters of reasoning (each one vote, split over its traces' answers)
  that the majority's answer gets;
- *steps*: the share of the majority's traces that state a false equation, of those that state one
  that can be checked;
- *probe*: 1 - the mean cross-fitted P(correct) of the majority's traces;
- *faithfulness*: 1 - the mean of how far the answers of the majority's traces depend on their
  reasoning, where `cot faithfulness` has been run.

Each doubt rises as its witness trusts the majority less, and the score with it. A question without
a valid answer has suspicion 1. Whether the score ranks wrong majorities above right ones is
reported beside it, and beside the vote's share alone.
"""

from __future__ import annotations

import pandas as pd

__all__ = ["suspicion_of"]


def suspicion_of(traces: pd.DataFrame, majority: str | None) -> tuple[float, str]:
    """The score of one question, and in words the doubt that weighs most.

    Args:
        traces: its valid traces: answer, cluster, n_wrong, n_checked (equations), score (the
            probe's P(correct), NaN where unknown), faithfulness (likewise).
        majority: the winning answer, or None.
    """
    if majority is None or not len(traces):
        return 1.0, "no trace states a valid answer"
    chosen = traces["answer"] == majority
    winners = traces[chosen]
    share = float(chosen.mean())
    cluster_share = float(chosen.groupby(traces["cluster"]).mean().mean())
    doubts = {
        f"the majority holds {share:.0%} of the answers": 1 - share,
        f"the majority holds {cluster_share:.0%} of the clusters of reasoning": 1 - cluster_share,
    }
    checked = winners[winners["n_checked"] > 0]
    if len(checked):
        wrong = int((checked["n_wrong"] > 0).sum())
        reason = f"{wrong} of {len(checked)} of the majority's traces state a false equation"
        doubts[reason] = wrong / len(checked)
    scores = winners["score"].dropna()
    if len(scores):
        doubts[f"the probe gives the majority's traces {scores.mean():.0%}"] = 1 - scores.mean()
    depends = winners["faithfulness"].dropna()
    if len(depends):
        reason = f"other reasoning leaves the majority's answers at {1 - depends.mean():.0%}"
        doubts[reason] = 1 - depends.mean()
    why = max(doubts, key=lambda reason: doubts[reason])
    return float(sum(doubts.values()) / len(doubts)), why
