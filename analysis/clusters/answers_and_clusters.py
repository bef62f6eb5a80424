"""Clusters and equations by question, and the findings over the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.answer_table import ballots_of
from analysis.findings import as_table, mean_finding
from analysis.statistics.mutual_information import Measure, compare
from cot.types import TRACE_KEY, Finding

__all__ = ["findings", "per_question"]

MEASURES: tuple[tuple[Measure, str, str], ...] = (
    ("ami", "ami", "answers × {}"),
    ("v_measure", "v_measure", "answers × {}"),
    ("a_given_b", "conditional_entropy", "answers given {}"),
    ("b_given_a", "conditional_entropy", "{} given answers"),
)
"""Of two partitions: how it is computed, its measure and its subject as a finding."""
BOOTSTRAP = "; 95% bootstrap over questions"


def per_question(paths: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The table `path_questions`, one row a question of `paths`.

    Columns: question_id, n_clusters, cluster_entropy (nats), effective_clusters (e to that),
    n_dataflows (among traces with equations); same_answer_different_cluster (of the question's
    pairs of valid traces with the same answer, the share in different clusters; NaN without a
    pair), same_cluster_different_answer (likewise); n_right, right_checked (right traces with an
    equation that can be checked, and an answer that holds a number), right_over_wrong (those of
    them whose answer comes from a wrong one).
    """
    rows = []
    lined = _valid(paths, answers)
    groups = dict(list(lined.groupby("question_id", sort=False)))
    for question_id, mine in paths.groupby("question_id", sort=False):
        valid = groups.get(question_id, lined.iloc[:0])
        noise = mine["cluster"] < 0
        sizes = np.r_[mine.loc[~noise, "cluster"].value_counts(), np.ones(int(noise.sum()))]
        p = sizes / sizes.sum()
        entropy = float(-(p * np.log(p)).sum())
        right = valid[valid["correct"].fillna(False).astype(bool)]
        right_checked = right[(right["n_checked"] > 0) & right["n_reaching"].notna()]
        rows.append(
            {
                "question_id": question_id,
                "n_clusters": len(sizes),
                "cluster_entropy": entropy,
                "effective_clusters": float(np.exp(entropy)),
                "n_dataflows": mine.loc[mine["dataflow"] != "", "dataflow"].nunique(),
                "same_answer_different_cluster": _share_that_differ(valid, "answer", "cluster"),
                "same_cluster_different_answer": _share_that_differ(valid, "cluster", "answer"),
                "n_right": len(right),
                "right_checked": len(right_checked),
                "right_over_wrong": int((right_checked["n_reaching"] > 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def findings(
    paths: pd.DataFrame,
    per: pd.DataFrame,
    answers: pd.DataFrame,
    steps: pd.DataFrame,
    compared: Sequence[tuple[Finding, tuple[float, float]]],
    seed: int,
) -> pd.DataFrame:
    """The table `findings_paths`, those on what was `compared` last; with null_mean, null_high
    (95th percentile) and p where labels permuted within questions are the null."""
    valid = _valid(paths, answers)
    traces = paths.groupby("question_id", sort=False).size()
    n_steps = steps.groupby("question_id").size().reindex(traces.index).fillna(0) / traces
    found = [
        mean_finding(
            measure,
            values,
            n_traces=len(paths),
            n_excluded=0,
            method=f"mean over questions of {what}{BOOTSTRAP}",
            seed=seed,
        )
        for measure, values, what in (
            ("clusters_per_question", per["n_clusters"], "the number of clusters of reasoning"),
            ("cluster_entropy", per["cluster_entropy"], "the clusters' entropy, nats"),
            ("effective_clusters", per["effective_clusters"], "e to the clusters' entropy"),
            ("dataflows_per_question", per["n_dataflows"], "the number of different dataflows"),
            ("steps_per_trace", n_steps, "the mean number of steps of a trace"),
        )
    ]
    for name, same, other in (
        ("same_answer_different_cluster", "answer", "cluster"),
        ("same_cluster_different_answer", "cluster", "answer"),
    ):
        known = per[name].dropna()
        found.append(
            mean_finding(
                name,
                known,
                n_traces=len(valid),
                n_excluded=len(per) - len(known),
                method=f"of a question's pairs of traces with the same {same}, the share with "
                f"another {other}{BOOTSTRAP}; questions without such a pair and traces without a "
                "valid answer excluded",
                seed=seed,
            )
        )
    found += _wrong_equations(paths, seed)
    found.append(_right_over_wrong(per, seed))
    found.append(_follows(valid, seed))
    nulls = [(np.nan, np.nan)] * len(found)
    for other in ("cluster", "dataflow"):
        for finding, null in _mutual(valid, other, seed):
            found.append(finding)
            nulls.append(null)
    for finding, null in compared:
        found.append(finding)
        nulls.append(null)
    null_mean, null_high = zip(*nulls, strict=True)
    return as_table("paths", found, null_mean=null_mean, null_high=null_high)


def _valid(paths: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Traces with a valid answer: the columns of `paths`, answer and correct."""
    kept = ballots_of(answers)[[*TRACE_KEY, "answer", "correct"]]
    joined = paths.merge(kept, on=TRACE_KEY)
    alone = -1 - np.arange(len(joined))
    return joined.assign(cluster=np.where(joined["cluster"] < 0, alone, joined["cluster"]))


def _share_that_differ(frame: pd.DataFrame, same: str, other: str) -> float:
    """Of the pairs that agree in `same`, the share unlike in `other`; NaN without such a pair."""
    both = frame.groupby([same, other]).size().to_numpy()
    alike = frame.groupby(same).size().to_numpy()
    pairs = (alike * (alike - 1)).sum()
    return float(1 - (both * (both - 1)).sum() / pairs) if pairs else np.nan


def _wrong_equations(paths: pd.DataFrame, seed: int) -> list[Finding]:
    found = []
    for measure, count, what in (
        ("wrong_equations", "n_wrong", "are wrong"),
        ("corrected_equations", "n_corrected", "are wrong and corrected later"),
        ("wrong_equations_reaching_answer", "n_reaching", "are wrong and lead to the answer"),
    ):
        known = paths[(paths["n_checked"] > 0) & paths[count].notna()]
        sums = known.groupby("question_id", sort=False)[[count, "n_checked"]].sum().astype(float)
        found.append(
            mean_finding(
                measure,
                sums[count] / sums["n_checked"],
                n_traces=len(known),
                n_excluded=paths["question_id"].nunique() - len(sums),
                method=f"mean over questions of the share of checkable equations that {what}"
                f"{BOOTSTRAP}; traces without a checkable equation excluded"
                + ", and those with a wrong one whose answer holds no number"
                * (count == "n_reaching"),
                seed=seed,
            )
        )
    return found


def _right_over_wrong(per: pd.DataFrame, seed: int) -> Finding:
    known = per[per["right_checked"] > 0]
    return mean_finding(
        "right_over_wrong_equation",
        known["right_over_wrong"] / known["right_checked"],
        n_traces=int(known["right_checked"].sum()),
        n_excluded=len(per) - len(known),
        method="of a question's right traces with a checkable equation, the share whose answer "
        f"comes from a wrong one{BOOTSTRAP}; questions without such a trace excluded",
        seed=seed,
    )


def _follows(valid: pd.DataFrame, seed: int) -> Finding:
    stated = valid[valid["follows"].notna()]
    shares = stated["follows"].astype(float).groupby(stated["question_id"], sort=False).mean()
    return mean_finding(
        "answer_follows",
        shares,
        n_traces=len(stated),
        n_excluded=valid["question_id"].nunique() - len(shares),
        method="of a question's traces with equations, the share whose answer is the result of one"
        f"{BOOTSTRAP}; traces without equations or a valid answer excluded",
        seed=seed,
    )


def _mutual(
    valid: pd.DataFrame, other: str, seed: int
) -> Sequence[tuple[Finding, tuple[float, float]]]:
    """Answers against clusters or dataflows: each measure, and its null's mean and 95th
    percentile."""
    rows = valid[valid["dataflow"] != ""] if other == "dataflow" else valid
    pairs = [
        (mine["answer"].to_numpy(), mine[other].to_numpy())
        for _, mine in rows.groupby("question_id", sort=False)
    ]
    found = []
    for computed, measure, subject in MEASURES:
        result = compare(pairs, measure=computed, seed=seed)
        known = result.values[~np.isnan(result.values)]
        finding = mean_finding(
            measure,
            known,
            subject=subject.format(f"{other}s"),
            n_traces=len(rows),
            n_excluded=len(pairs) - len(known),
            method=f"mean over questions in which answers and {other}s both have two classes or "
            f"more, others excluded{BOOTSTRAP}; null: labels permuted within questions",
            seed=seed,
        )
        null = result.null if len(known) else np.array([np.nan])
        bounds = float(null.mean()), float(np.quantile(null, 0.95))
        found.append((replace(finding, p=result.p), bounds))
    return found
