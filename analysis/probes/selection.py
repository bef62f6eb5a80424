"""The headline, from a cell that was not chosen on the questions it is tested on.

For each outer fold the cell is the one whose probe did best on inner folds, all of them training
questions of that fold (a classifier: *within* questions; a regressor: R²); the fold's rows keep
that cell's scores. (The pooled AUROC would choose a cell that tells hard questions from easy ones.)
The shuffled labels go through the same choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probes.measures import SETS, Part, measure
from analysis.probes.sweep import CellResult
from analysis.probes.targets import Labels
from cot.types import Finding

__all__ = ["choose_cells", "findings_of", "folds_of", "headlines", "most_chosen"]

COLUMNS = ("control", "length", "tfidf", "embedding", "position_only")
"""Of `findings_probe`, beside those of a finding."""
MEASURES = {
    "auroc": ("low", "high", ""),
    "within_question_auroc": ("within_low", "within_high", "_within"),
    "r2": ("r2_low", "r2_high", "_r2"),
    "accuracy": ("accuracy_low", "accuracy_high", "_accuracy"),
}
"""Measure to the names of its interval's ends, and to what its control's and baselines' names end
in; see `measures.NUMBERS`."""
Floats = NDArray[np.float64]


def choose_cells(validation: Floats) -> NDArray[np.int64]:
    """The cell of each outer fold, shape [cell, fold] -> [fold]; the first of equals."""
    # argmax would take a NaN for the largest
    best: NDArray[np.int64] = np.argmax(np.nan_to_num(validation, nan=-np.inf), axis=0)
    return best


def folds_of(results: Sequence[CellResult]) -> list[list[int]]:
    """The folds that each cell was chosen for."""
    chosen = choose_cells(np.stack([result.validation[0] for result in results]))
    return [np.flatnonzero(chosen == place).tolist() for place in range(len(results))]


def most_chosen(results: Sequence[CellResult]) -> CellResult:
    """The cell that was chosen for most folds; the first of equals."""
    chosen = choose_cells(np.stack([result.validation[0] for result in results]))
    return results[int(np.bincount(chosen).argmax())]


def headlines(
    labels: Labels,
    results: Sequence[CellResult],
    baselines: Mapping[str, Mapping[str, Floats]],
    *,
    seed: int,
    method: str,
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """The findings of a target, each from nested scores; see `findings_of`.

    Args:
        results: the cells in which something was fitted; none gives nulls.
        baselines: see `sweep`; that of the position is of the one that was chosen most.
        method: how the numbers were made, or why there are none.
    """
    if not results:
        return findings_of(labels, labels.rows[:0], {}, method=method, seed=seed)
    parts = [_nested(results, number) for number in range(len(SETS))]
    rows = parts[0][0]
    known = baselines[most_chosen(results).position]
    beside = {name: values[:, rows["place"]] for name, values in known.items()}
    numbers = measure(labels, parts, beside, seed)
    return findings_of(labels, rows, numbers, method=method, seed=seed)


def findings_of(
    labels: Labels, rows: pd.DataFrame, numbers: Mapping[str, float], *, method: str, seed: int
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """The numbers as findings of the target, and beside each its control and its baselines."""
    known = [name for name in MEASURES if name in numbers] or list(MEASURES)[:2]
    findings, controls = [], []
    for name in known:
        low, high, suffix = MEASURES[name]
        within = name == "within_question_auroc"
        findings.append(
            Finding(
                measure=name,
                subject=labels.target,
                estimate=_known(numbers.get(name)),
                low=_known(numbers.get(low)),
                high=_known(numbers.get(high)),
                n_questions=int(numbers.get("n_within", 0))
                if within
                else rows["question_id"].nunique(),
                n_traces=len(rows),
                n_excluded=sum(labels.excluded.values()),
                method=method,
                seed=seed,
            )
        )
        controls.append({name: numbers.get(f"{name}{suffix}", np.nan) for name in COLUMNS})
    return findings, controls


def _nested(results: Sequence[CellResult], number: int) -> Part:
    """Each fold's rows of the cell chosen for it, and their scores [task, row]; `number` is the
    place of the labels in `SETS`."""
    chosen = choose_cells(np.stack([result.validation[number] for result in results]))
    rows, scores = [], []
    for fold, cell in enumerate(chosen):
        here = results[cell].rows["fold"].to_numpy() == fold
        rows.append(results[cell].rows[here])
        scores.append(results[cell].scores[number][:, here])
    return pd.concat(rows, ignore_index=True), np.concatenate(scores, axis=1)


def _known(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
