"""The tables that probes write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings import as_table
from analysis.probes.measures import COUNTS, NUMBERS
from analysis.probes.sweep import CellResult
from analysis.probes.targets import Labels
from cot.store.run import Run
from cot.types import Finding

__all__ = ["score_rows", "table_of", "write"]

COLUMNS = (
    *("target", "kind", "layer", "position", "n_questions", "n_traces", "n_excluded", "positives"),
    *NUMBERS,
    *("best", "method", "seed"),
)
SCORES = ("question_id", "sample_index", "step", "target", "layer", "position", "score", "chosen")


def table_of(
    labels: Labels,
    results: Sequence[CellResult],
    best: CellResult | None,
    *,
    spec: str,
    n_folds: int,
    seed: int,
) -> pd.DataFrame:
    """The rows of `probes` of one target."""
    total = len(labels.rows) + sum(labels.excluded.values())
    rows: list[dict[str, Any]] = []
    for result in results:
        y = result.rows["y"].to_numpy()
        method = f"{spec}, {n_folds} folds of whole questions"
        rows.append(
            {
                "target": labels.target,
                "kind": spec,
                "layer": result.layer,
                "position": result.position,
                "n_questions": result.rows["question_id"].nunique(),
                "n_traces": len(y),
                "n_excluded": total - len(y),
                "positives": int(np.sum(labels.truths(y)[0])) if len(y) else 0,
                **result.numbers,
                "best": result is best,
                "method": f"undefined: {result.why}" if result.why else method,
                "seed": seed,
            }
        )
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    counts = {name: table[name].fillna(0).astype(int) for name in COUNTS}
    return table.astype({name: float for name in NUMBERS if name not in COUNTS}).assign(**counts)


def score_rows(labels: Labels, result: CellResult, folds: Collection[int] | None) -> pd.DataFrame:
    """The rows of `probe_scores` of one cell, which was chosen for these folds; None: for all."""
    scores, y = result.scores[0], result.rows["y"].to_numpy()
    score = scores[y.astype(int), np.arange(len(y))] if labels.kind == "choice" else scores[0]
    return result.rows[labels.keys].assign(
        target=labels.target,
        layer=result.layer,
        position=result.position,
        score=score,
        chosen=True if folds is None else result.rows["fold"].isin(folds),
    )


def write(
    run: Run,
    tables: Sequence[pd.DataFrame],
    scores: Sequence[pd.DataFrame],
    findings: Sequence[Finding],
    beside: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Write `probes`, `probe_scores` and `findings_probe`; returns the first."""
    joined = pd.concat(scores) if len(scores) else pd.DataFrame({"question_id": []}, dtype="str")
    joined = joined.reindex(columns=SCORES)
    joined = joined.astype({"sample_index": "Int64", "step": "Int64", "score": "float64"})
    joined = joined.astype({"chosen": "bool"})
    if joined["sample_index"].notna().all():
        joined = joined.astype({"sample_index": "int32"})
    extra = {name: [row[name] for row in beside] for name in (beside[0] if beside else ())}
    made = {
        "probes": pd.concat(tables),
        "probe_scores": joined,
        "findings_probe": as_table("probe", findings, **extra),
    }
    for name, frame in made.items():
        run.write_table(name, frame.reset_index(drop=True))
    return made["probes"].reset_index(drop=True)
