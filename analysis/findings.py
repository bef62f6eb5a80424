"""Findings as a table: what a command's headline numbers are kept in (`findings_COMMAND`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.statistics import mean_interval
from cot.types import Finding

__all__ = ["as_table", "beyond_chance", "extent", "mean_finding", "pick", "verdict_claim"]

EXTENTS = ((0.1, "hardly"), (0.3, "weakly"), (0.6, "moderately"), (1.0, "strongly"))
"""An agreement below each number is called this. AMI has no thresholds of its own: these are a
convention, which docs/reading-the-numbers.md states."""


def mean_finding(
    measure: str,
    values: ArrayLike,
    *,
    subject: str = "",
    baseline: str = "",
    n_traces: int,
    n_excluded: int,
    method: str,
    seed: int,
) -> Finding:
    """The mean of one value a question, with its bootstrap interval; null without questions."""
    given = np.asarray(values, dtype=float)
    low, high = mean_interval(given, seed=seed)
    return Finding(
        measure=measure,
        subject=subject,
        baseline=baseline,
        estimate=float(given.mean()) if len(given) else None,
        low=low if len(given) else None,
        high=high if len(given) else None,
        n_questions=len(given),
        n_traces=n_traces,
        n_excluded=n_excluded,
        method=method,
        seed=seed,
    )


def as_table(analysis: str, findings: Sequence[Finding], **extra: Sequence[Any]) -> pd.DataFrame:
    """One row a finding: analysis, then the fields of `Finding`; `extra` adds columns."""
    names = [field.name for field in fields(Finding)]
    frame = pd.DataFrame([asdict(finding) for finding in findings], columns=names)
    numbers = {"estimate": float, "low": float, "high": float, "p": float, "seed": "Int64"}
    frame = frame.astype(numbers).assign(**extra)
    frame.insert(0, "analysis", analysis)
    return frame


def pick(
    findings: pd.DataFrame, measure: str, subject: str = "", baseline: str = ""
) -> pd.Series | None:
    """The row of a finding, or None where there is none."""
    if findings.empty:
        return None
    same = (
        (findings["measure"] == measure)
        & (findings["subject"] == subject)
        & (findings["baseline"] == baseline)
    )
    rows = findings[same]
    return rows.iloc[0] if len(rows) else None


def beyond_chance(finding: Mapping[Any, Any] | pd.Series) -> bool | None:
    """Whether an agreement is shown to exceed that of permuted labels: p is at most .05, and the
    interval lies above the mean of the null. None where it is undefined."""
    value, low, null, p = (finding[name] for name in ("estimate", "low", "null_mean", "p"))
    if pd.isna(value) or pd.isna(low) or pd.isna(null) or pd.isna(p):
        return None
    return bool(p <= 0.05 and low > null)


def extent(value: float) -> str:
    """How far two partitions agree, as an adverb; of an AMI that is beyond chance.

    >>> extent(0.04), extent(0.36)
    ('hardly', 'moderately')
    """
    return next((word for below, word in EXTENTS if value < below), "strongly")


def verdict_claim(row: pd.Series | Mapping[Any, Any]) -> str:
    """Whether a probe is causal or diagnostic, as the table `probe_verdicts` says.

    Args:
        row: of the table.
    """
    whose = "" if row["target"] == "correct" else f" for {row['target']}"
    if pd.isna(row["effect"]):
        return f"The probe{whose} is diagnostic: nothing was steered along its direction"
    at = f"at layer {int(row['layer'])}"
    beside = f"({row['effect']:.2f} nats per σ, random {row['control_effect']:.2f})"
    if row["verdict"] == "causal":
        return (
            f"The probe{whose} is causal {at}: steering along its direction moves the answer "
            f"further than random directions do {beside}"
        )
    return (
        f"The probe{whose} is diagnostic: steering along its direction {at} is not shown to move "
        f"the answer further than random directions do {beside}"
    )
