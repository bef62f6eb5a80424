"""What attributions say, and whether they can be believed.

value       mean of a part's values, nats: `METHOD × question`, `METHOD × step` (all steps together)
gap         completeness: Σ |gap| over Σ |what the values should sum to|, over questions
deletion    what the log-odds lose without the highest step, less what they lose without another one
            of like length (half to twice its tokens): the mean of all such, which is what a random
            one gives
insertion   the same of what they gain where that step alone is left in
spearman    rank correlation over a trace's steps, also `spearman_pooled`: with knock-out,
            resampling and early answering (see `analysis.interventions.step_ranks`), with the same
            method under a second seed, and under random weights, where it must be 0 (arXiv
            1810.03292)

Deletion and insertion take steps out and force the rest again, as occlusion does: of occlusion the
deletion test is passed by construction, which its finding says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.attribution.contract import Attribution
from analysis.findings import mean_finding
from analysis.interventions.importance import STEP_KEY
from analysis.interventions.step_ranks import rank_scores
from analysis.statistics import ratio_interval
from cot.types import TRACE_KEY, Finding

__all__ = ["BESIDE", "like_steps", "validity"]

BESIDE = ("second_seed", "randomised")
"""What a method's scores are ranked against, of its own."""
LIKE = 2.0
"""Steps are of like length where one has at most so many times the other's tokens."""


def validity(
    values: pd.DataFrame,
    traces: pd.DataFrame,
    removals: pd.DataFrame,
    importance: pd.DataFrame,
    methods: Mapping[str, Attribution],
    n_cases: int,
    seed: int,
) -> list[Finding]:
    """All findings, method by method.

    Args:
        values: table `attributions`.
        traces: table `attribution_traces`.
        removals: table `step_removals`.
        importance: question_id, sample_index, step, position, and measures of importance.
        methods: as typed.
        n_cases: traces with an answer; those without another one to compare with are excluded.
        seed: of bootstraps and permutations.
    """
    found: list[Finding] = []
    for spec, method in methods.items():
        own = values[values["method"] == spec]
        found += _means(own, spec, n_cases, seed)
        found += _gap(traces[traces["method"] == spec], spec, n_cases, seed)
        steps = own[own["step"].notna()].rename(columns={"value": "score"})
        steps = steps.astype({"step": int})
        for name, column in (("deletion", "removed"), ("insertion", "inserted")):
            built = name == "deletion" and method.removes
            found.append(_against_like(steps, removals, name, column, spec, n_cases, seed, built))
        found += rank_scores(steps, importance, spec, seed)
        beside = steps[[*STEP_KEY, *BESIDE]].merge(importance[[*STEP_KEY, "position"]], on=STEP_KEY)
        found += rank_scores(steps, beside, spec, seed, BESIDE)
    return found


def _means(own: pd.DataFrame, spec: str, n_cases: int, seed: int) -> Iterator[Finding]:
    for part, rows in own.groupby("part", sort=False):
        by_trace = rows.groupby(TRACE_KEY, sort=False)["value"].sum()
        yield mean_finding(
            "value",
            by_trace.groupby("question_id", sort=False).mean().to_numpy(),
            subject=f"{spec} × {part}",
            n_traces=len(by_trace),
            n_excluded=n_cases - len(by_trace),
            method="nats of log-odds, summed over the part's tokens (of steps: over all that were "
            "looked at); mean over a question's traces, then over questions; 95% bootstrap over "
            "questions; traces without the part, or another answer to compare with, are excluded",
            seed=seed,
        )


def _gap(own: pd.DataFrame, spec: str, n_cases: int, seed: int) -> Iterator[Finding]:
    known = own[own["gap"].notna()]
    if known.empty:
        return
    whole = (known["target"] - known["baseline"]).abs()
    by_question = (
        pd.DataFrame({"gap": known["gap"].abs(), "whole": whole})
        .groupby(known["question_id"], sort=False)
        .mean()
    )
    low, high = ratio_interval(by_question["gap"], by_question["whole"], seed=seed)
    total = float(by_question["whole"].sum())
    yield Finding(
        measure="gap",
        subject=spec,
        estimate=float(by_question["gap"].sum()) / total if total else None,
        low=low if total else None,
        high=high if total else None,
        n_questions=len(by_question),
        n_traces=len(known),
        n_excluded=n_cases - len(known),
        method="completeness gap: what the values' sum lacks of log-odds less the baseline's, as a "
        "share of that difference; sums over questions, 95% bootstrap over questions",
        seed=seed,
    )


def _against_like(
    steps: pd.DataFrame,
    removals: pd.DataFrame,
    name: str,
    column: str,
    spec: str,
    n_cases: int,
    seed: int,
    built: bool,
) -> Finding:
    """The highest step's effect less that of others of like length."""
    both = removals.merge(steps[[*STEP_KEY, "score"]], on=STEP_KEY)
    rows = []
    for (question, _), trace in both.groupby(TRACE_KEY, sort=False):
        top = int(trace["score"].to_numpy().argmax())
        like = like_steps(trace["n_tokens"].tolist(), top)
        if like:
            effects = trace[column].to_numpy()
            rows.append((question, effects[top] - effects[like].mean()))
    table = pd.DataFrame(rows, columns=["question_id", "difference"])
    method = "nats; the step with the highest value, less the mean of the trace's other steps with "
    method += "half to twice its tokens; traces without such are excluded; mean over a question's "
    method += "traces, then over questions; 95% bootstrap over questions"
    if built:
        method += "; by construction: the values are what this test measures"
    return mean_finding(
        name,
        table.groupby("question_id", sort=False)["difference"].mean().to_numpy(),
        subject=spec,
        baseline="random_step",
        n_traces=len(table),
        n_excluded=n_cases - len(table),
        method=method,
        seed=seed,
    )


def like_steps(n_tokens: Sequence[int], step: int) -> list[int]:
    """Places of the other steps of like length.

    >>> like_steps([4, 8, 9, 2, 1], 0)
    [1, 3]
    """
    own = n_tokens[step]
    sizes = np.asarray(n_tokens, dtype=float)
    like = (sizes <= LIKE * own) & (sizes >= own / LIKE)
    like[step] = False
    return [int(place) for place in np.flatnonzero(like)]
