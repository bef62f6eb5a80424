"""Which kinds a question is of, and how suspicious its majority is. All rules and thresholds are
here.

A question may be of several kinds; each compares its answers, its reasoning or its hidden states,
over the traces with a valid answer:

- `no valid answer`: nothing to vote on, and no other kind applies.
- `right for the wrong reason`: the majority is right, and of its traces that state an equation that
  can be checked, at least HALF take their answer from a false one (see
  `analysis.equations.outcomes`: one that is corrected, or leads nowhere, is none).
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

A tokenizer that writes a number digit by digit lets the lens read its first digit only (see
`analysis.logit_lens.inputs`): 12 and 14 are one answer there, and don't differ.

**Suspicion**, a score in [0, 1] to sort questions for people to look at, is the mean of the doubts
that can be computed for a question:

- *answers*: 1 - the majority's share of valid answers;
- *clusters*: 1 - the share of clusters of reasoning (each one vote, split over its traces' answers)
  that the majority's answer gets;
- *steps*: the share of the majority's traces that take their answer from a false equation, of those
  that state one that can be checked;
- *probe*: 1 - the mean cross-fitted P(correct) of the majority's traces;
- *faithfulness*: 1 - the mean of how far the answers of the majority's traces depend on their
  reasoning, where `cot faithfulness` has been run;
- *knock-out*: the share of the majority's traces whose answer loses no more by the hidden step that
  matters most than by a random span of the other steps (see `analysis.agreement.moved_answers`),
  where `cot intervene` has hidden steps.

Each doubt rises as its source trusts the majority less, and the score with it. A question without a
valid answer has suspicion 1. Whether the score ranks wrong majorities above right ones is reported
beside it, and beside the vote's share alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics import mean_interval

__all__ = [
    "DECIDED",
    "KINDS",
    "decided",
    "doubts_of",
    "kinds_of",
    "kinds_table",
    "suspicion_of",
]

SPLIT = 0.5
HALF = 0.5
WRONG_REASON, DECIDED = "right for the wrong reason", "decided before reasoning"
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
        traces: its valid traces: answer, cluster, n_reaching, n_checked (equations), lens_answer,
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
        "right for the wrong reason": correct is True and _share(checked["n_reaching"] > 0) >= HALF,
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


def kinds_table(agreement: pd.DataFrame, seed: int) -> pd.DataFrame:
    """How many questions are of each kind: the table `agreement_kinds`, in the order of KINDS.

    Columns: kind, n (questions of it), share (of the questions compared), low, high (95% bootstrap
    over questions), n_questions (compared), n_applicable (questions to which the rule can apply: a
    right majority with an equation that can be checked, for `right for the wrong reason`; all, for
    the others), control, control_low, control_high (share by chance, known of `decided before
    reasoning` alone: were the state another question's), n_by_chance, n_control (questions of which
    chance is known), seed.

    Args:
        agreement: the table.
    """
    rows = []
    for kind in KINDS:
        marked = agreement["kinds"].map(lambda kinds, kind=kind: kind in list(kinds))
        known = agreement["decided_control"].dropna()
        chance, n = (known if kind == DECIDED else known[:0]).astype(float), len(agreement)
        right = agreement["correct"].fillna(False).astype(bool) & (agreement["n_checked"] > 0)
        rows.append(
            {"kind": kind, "n": int(marked.sum()), **_share_of(marked.astype(float), seed)}
            | {"n_questions": n, "n_applicable": int(right.sum()) if kind == WRONG_REASON else n}
            | {f"control{name}": value for name, value in _named(_share_of(chance, seed)).items()}
            | {"n_by_chance": int(chance.sum()), "n_control": len(chance), "seed": seed}
        )
    return pd.DataFrame(rows)


def _share_of(marked: pd.Series, seed: int) -> dict[str, float]:
    low, high = mean_interval(marked, seed=seed)
    return {"share": float(marked.mean()) if len(marked) else np.nan, "low": low, "high": high}


def _named(numbers: dict[str, float]) -> dict[str, Any]:
    return {"": numbers["share"], "_low": numbers["low"], "_high": numbers["high"]}


def suspicion_of(traces: pd.DataFrame, majority: str | None) -> tuple[float, str]:
    """The score of one question, and in words the doubt that weighs most.

    Args:
        traces: see `doubts_of`.
        majority: the winning answer, or None.
    """
    doubts = doubts_of(traces, majority)
    if not doubts:
        return 1.0, "no trace states a valid answer"
    why = max(doubts, key=lambda reason: doubts[reason])
    return float(sum(doubts.values()) / len(doubts)), why


def doubts_of(traces: pd.DataFrame, majority: str | None) -> dict[str, float]:
    """Each doubt of one question, in words, and its size; none without a valid answer.

    Args:
        traces: its valid traces: answer, cluster, n_reaching, n_checked (equations), score (the
            probe's P(correct), NaN where unknown), faithfulness, needless (likewise).
        majority: the winning answer, or None.
    """
    if majority is None or not len(traces):
        return {}
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
        wrong = int((checked["n_reaching"] > 0).sum())
        reason = f"{wrong} of {len(checked)} of the majority's answers come from a false equation"
        doubts[reason] = wrong / len(checked)
    scores = winners["score"].dropna()
    if len(scores):
        doubts[f"the probe gives the majority's traces {scores.mean():.0%}"] = 1 - scores.mean()
    depends = winners["faithfulness"].dropna()
    if len(depends):
        reason = f"other reasoning leaves the majority's answers at {1 - depends.mean():.0%}"
        doubts[reason] = 1 - depends.mean()
    needless = winners["needless"].dropna()
    if len(needless):
        reason = (
            f"{needless.mean():.0%} of the majority's answers lose no more by a hidden step than "
        )
        doubts[f"{reason}by a random span"] = needless.mean()
    return doubts
