"""The findings of `cot attention`: receiver heads, their reliability, and attention beside
knock-out."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings import as_table
from analysis.interventions.importance import STEP_KEY
from analysis.interventions.step_ranks import rank_scores
from analysis.step_attention.heads import Heads
from analysis.step_attention.scores import LEAST
from cot.store.run import Run
from cot.types import Finding

__all__ = ["HIGHEST", "attention_findings"]

log = logging.getLogger("cot")
HIGHEST = 8
"""Heads that findings are about, those of the highest receiver scores."""


def attention_findings(
    run: Run, heads: Heads, steps: pd.DataFrame, nearest: int, draws: int, seed: int
) -> pd.DataFrame:
    """The table `findings_attention`; more columns: layer, head (Int64)."""
    found = [_count(heads, nearest, seed), _reliability(heads, nearest, seed)]
    places: list[tuple[Any, Any]] = [(None, None)] * 2
    best = heads.table.dropna(subset=["kurtosis"]).sort_values("kurtosis", ascending=False)
    for row in best.head(HIGHEST).to_dict("records"):
        for baseline in ("", "permuted", "position"):
            found.append(_head(row, baseline, nearest, draws, seed))
            places.append((row["layer"], row["head"]))
    ranks = _ranks(run, heads, steps, seed)
    places += [(None, None)] * len(ranks)
    columns = {
        name: pd.array([place[i] for place in places], dtype="Int64")
        for i, name in enumerate(("layer", "head"))
    }
    return as_table("attention", [*found, *ranks], **columns)


def _why(heads: Heads, nearest: int) -> str:
    need = LEAST + nearest + 1
    text = f"nearest {nearest}: a receiver score needs {need} steps, which {heads.n_short} of "
    text += f"{heads.n_read} traces lack"
    if heads.n_short == heads.n_read:
        text += f"; undefined: {'the traces are too short' if not nearest else 'give --nearest 0'}"
    return text


def _count(heads: Heads, nearest: int, seed: int) -> Finding:
    known = heads.table["p"].notna().any()
    method = "heads whose receiver score exceeds that of the place alone and, adjusted for place, "
    method += (
        "that of permuted later steps: one-sided t-tests over questions, Holm's correction over "
    )
    method += f"{len(heads.table)} heads; {_why(heads, nearest)}"
    if not known and heads.n_traces:
        method += "; undefined: fewer than three questions have a score and a position baseline"
    return Finding(
        measure="receiver_heads",
        estimate=float(heads.table["receiver"].sum()) if known else None,
        low=None,
        high=None,
        n_questions=heads.n_questions,
        n_traces=heads.n_traces,
        n_excluded=heads.n_read - heads.n_traces,
        method=method,
        seed=seed,
    )


def _reliability(heads: Heads, nearest: int, seed: int) -> Finding:
    value, low, high = (None if np.isnan(each) else each for each in heads.reliability)
    return Finding(
        measure="reliability",
        subject="receiver_scores",
        estimate=value,
        low=low,
        high=high,
        n_questions=heads.n_questions,
        n_traces=heads.n_traces,
        n_excluded=heads.n_read - heads.n_traces,
        method="correlation over heads of the receiver scores of odd and of even questions, "
        f"Spearman–Brown; 95% bootstrap over the questions of each half; {_why(heads, nearest)}",
        seed=seed,
    )


def _head(row: dict[Any, Any], baseline: str, nearest: int, draws: int, seed: int) -> Finding:
    column = f"beyond_{baseline}" if baseline else "kurtosis"
    ends = (f"{column}_low", f"{column}_high") if baseline else ("low", "high")
    value, low, high = (None if pd.isna(row[name]) else row[name] for name in (column, *ends))
    method = {
        "": f"mean over questions of the excess kurtosis (G2) of a trace's vertical scores, the "
        f"nearest {nearest} later steps left out; among the highest of all heads, so that it is "
        "somewhat too high",
        "permuted": "the same of the scores over what places foretell, less that where each later "
        f"step's attention is permuted, mean of {draws} draws",
        "position": "less the same of what a step's place foretells: mean attention to the first "
        "step, and to others by distance, in other questions' traces",
    }[baseline]
    p = None if not baseline or pd.isna(row["p_holm"]) else float(row["p_holm"])
    if baseline:
        method += "; p: of both controls, Holm over heads"
    return Finding(
        measure="kurtosis",
        subject=f"layer {row['layer']} head {row['head']}",
        baseline=baseline,
        estimate=value,
        low=low,
        high=high,
        p=p,
        n_questions=int(row["n_questions"]),
        n_traces=int(row["n_traces"]),
        n_excluded=int(row["n_excluded"]),
        method=method,
        seed=seed,
    )


def _ranks(run: Run, heads: Heads, steps: pd.DataFrame, seed: int) -> list[Finding]:
    """Rank correlations of vertical scores with the steps' importance, where that is measured."""
    if "step_importance" not in run.tables() or run.stale("step_importance") is not None:
        log.info("attention is not compared with knock-out: cot intervene --method knockout first")
        return []
    importance = run.table("step_importance")
    if steps.empty or importance.empty:
        return []
    found = []
    keys = heads.table.loc[heads.table["receiver"], ["layer", "head"]]
    groups = {"attention": steps}
    if len(keys):
        groups["receiver_heads"] = steps.merge(keys, on=["layer", "head"])
    for name, rows in groups.items():
        scores = rows.groupby(STEP_KEY, sort=False)["score"].mean().reset_index()
        found += rank_scores(scores, importance, name, seed)
    return found
