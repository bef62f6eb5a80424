"""In which way the witnesses of a question agree or part. All rules and thresholds are here.

A question may be of several kinds; each compares witnesses of its traces with a valid answer:

- `no valid answer`: nothing to vote on, and no other kind applies.
- `right for the wrong reason`: the majority is right, and of its traces that state an equation that
  can be checked, at least HALF state a false one.
- `probe against majority`: votes weighted by the cross-fitted probe choose another answer.
- `lens against statement`: of the traces whose last layer can be read, more than HALF state another
  answer than that layer holds most probable right before it is written.
- `decided before reasoning`: of the traces whose prompt's end can be read, more than HALF state the
  answer that the last layer already holds most probable there. By luck some do: `agree` says how
  many questions would be of this kind were the state another question's.
- `same answer, different reasoning`: of the pairs of traces with the winning answer, more than HALF
  are in different clusters of reasoning.
- `same reasoning, different answer`: of the pairs of traces in one cluster, more than HALF end in
  different answers.
- `split answers`: the winning class holds at most SPLIT of the valid answers.
- `unanimous`: all valid answers are one class, and their traces are in one cluster.

Numbers with a digit tokenizer are read by their first digit only (see
`analysis.logit_lens.inputs`):
12 and 14 are one there, and no witness against one another.
"""

from __future__ import annotations

import pandas as pd

__all__ = ["KINDS", "decided", "kinds_of"]

SPLIT = 0.5
HALF = 0.5
KINDS = (
    "no valid answer",
    "right for the wrong reason",
    "probe against majority",
    "lens against statement",
    "decided before reasoning",
    "same answer, different reasoning",
    "same reasoning, different answer",
    "split answers",
    "unanimous",
)
"""From what to look at first to what needs no look."""


def kinds_of(
    traces: pd.DataFrame, majority: str | None, correct: bool | None, probe: str | None
) -> list[str]:
    """The kinds of one question, in the order of KINDS; empty where no rule fits.

    Args:
        traces: its valid traces: answer, cluster, n_wrong, n_checked (equations), lens_answer,
            candidate, decided_at_prompt (missing where unknown).
        majority: the winning answer, or None.
        correct: whether it is right; None without gold.
        probe: the answer that the probe's vote chooses; None where unknown.
    """
    if majority is None or not len(traces):
        return ["no valid answer"]
    winners = traces[traces["answer"] == majority]
    checked = winners[winners["n_checked"] > 0]
    read = traces.dropna(subset=["lens_answer", "candidate"])
    holds = {
        "right for the wrong reason": correct is True and _share(checked["n_wrong"] > 0) >= HALF,
        "probe against majority": probe is not None and probe != majority,
        "lens against statement": _share(read["lens_answer"] != read["candidate"]) > HALF,
        "decided before reasoning": decided(traces["decided_at_prompt"]),
        "same answer, different reasoning": _share_unlike(winners["cluster"]) > HALF,
        "same reasoning, different answer": _unlike_in_clusters(traces) > HALF,
        "split answers": len(winners) / len(traces) <= SPLIT,
        "unanimous": traces["answer"].nunique() == 1 and traces["cluster"].nunique() == 1,
    }
    return [kind for kind in KINDS if holds.get(kind)]


def decided(at_prompt: pd.Series) -> bool:
    """Whether a question is `decided before reasoning`.

    Args:
        at_prompt: for each trace, whether its answer is the one held at the prompt's end, or the
            control's; missing where unknown.
    """
    return _share(at_prompt.dropna().astype(bool)) > HALF


def _share(marked: pd.Series) -> float:
    """Share of True; 0 of none."""
    return float(marked.mean()) if len(marked) else 0.0


def _unlike_in_clusters(traces: pd.DataFrame) -> float:
    """Of the pairs of traces in one cluster, the share with different answers."""
    pairs = unlike = 0.0
    for _, rows in traces.groupby("cluster"):
        n = len(rows) * (len(rows) - 1)
        pairs, unlike = pairs + n, unlike + n * _share_unlike(rows["answer"])
    return unlike / pairs if pairs else 0.0


def _share_unlike(labels: pd.Series) -> float:
    """Of all pairs of rows, the share with different labels; 0 without a pair."""
    n = len(labels)
    if n < 2:
        return 0.0
    counts = labels.value_counts().to_numpy()
    return float(1 - (counts * (counts - 1)).sum() / (n * (n - 1)))
