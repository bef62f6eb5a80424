"""Every cell (layer and position) of a target, several at a time.

A cell is measured by itself from the run's files, with one BLAS thread: what comes out is the same
whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.stored_states import Cell, read_cell
from analysis.probes.crossfit import cross_fit
from analysis.probes.estimator import load_probe
from analysis.probes.measures import SETS, measure
from analysis.probes.targets import Labels
from cot.store.run import Run

__all__ = ["CellResult", "read_rows", "sweep"]


def read_rows(run: Run, rows: pd.DataFrame, layer: int, position: str) -> Cell:
    """The rows that have a vector there, and the vectors.

    Rows of steps have their own step's (at `step_end`), rows of traces the last step's; rows of
    questions are read at `prompt_end`.

    Raises:
        InputError: nothing was captured there.
    """
    if "step" not in rows:
        return read_cell(run, rows, layer, position)
    index, vectors = run.activations(layer=layer, position=position)
    keys = ["question_id", "sample_index", "step"]
    place = index[keys].assign(row=np.arange(len(index))).dropna()
    place = place.astype({name: rows[name].dtype for name in keys})
    joined = rows.merge(pd.DataFrame(place), on=keys, how="inner")
    return Cell(
        traces=joined.drop(columns="row"), vectors=vectors, row=joined["row"].to_numpy(np.int64)
    )


Floats = NDArray[np.float64]
WORTH_PROCESSES = 10_000
"""Cells times rows; starting processes takes longer than fewer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellResult:
    """One cell of the sweep."""

    layer: int
    """Blocks before it."""
    position: str
    """As captured."""
    rows: pd.DataFrame
    """The rows that have a vector here: the columns that were given."""
    why: str | None
    """Why nothing was fitted, or None."""
    numbers: Mapping[str, float]
    """See `measures.measure`; empty where nothing was fitted."""
    scores: Floats
    """Cross-fitted, shape [set, task, row]; see `measures.SETS`."""
    validation: Floats
    """Of each fold's probe on its inner folds, mean over tasks, shape [set, fold]."""


def sweep(
    run: Run,
    labels: Labels,
    cells: Sequence[tuple[int, str]],
    *,
    spec: str,
    n_folds: int,
    baselines: Mapping[str, Mapping[str, Floats]],
    seed: int,
    advance: Callable[[int], None],
) -> list[CellResult]:
    """Measure the cells, in their order.

    Args:
        labels: rows have the columns of `measures.SETS`, `fold`, and their number `place`.
        spec: the probe, as it is typed.
        baselines: position to baseline to cross-fitted scores, shape [task, row of labels].
        advance: told after each cell.
    """
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    tasks = (
        delayed(_measure_cell)(run, labels, cell, spec, n_folds, baselines[cell[1]], seed)
        for cell in cells
    )
    results = []
    for result in Parallel(processes(len(cells), len(labels.rows)), return_as="generator")(tasks):
        results.append(result)
        advance(1)
    return results


def processes(n_cells: int, n_rows: int) -> int:
    """As many as there are cores (LOKY_MAX_CPU_COUNT may lower that), where they are worth it."""
    from joblib import cpu_count

    return min(cpu_count(), n_cells) if n_cells * n_rows >= WORTH_PROCESSES else 1


def _measure_cell(
    run: Run,
    labels: Labels,
    place: tuple[int, str],
    spec: str,
    n_folds: int,
    baselines: Mapping[str, Floats],
    seed: int,
) -> CellResult:
    cell = read_rows(run, labels.rows, *place)
    rows = cell.traces
    groups, y = rows["question_id"].to_numpy(), rows["y"].to_numpy()
    fitted: dict[str, Any] = {"scores": np.empty((0, 0, 0)), "validation": np.empty((0, 0))}
    numbers: dict[str, float] = {}
    why = labels.undefined(y, groups)
    if why is None:
        tasks = [task for name in SETS for task in labels.tasks(rows[name].to_numpy())]
        fold = rows["fold"].to_numpy(np.int64)
        found = cross_fit(
            load_probe(spec), cell.vectors, cell.row, tasks, groups, fold, n_folds, seed
        )
        scores = found.scores.reshape(len(SETS), -1, len(rows))
        validation = found.validation.reshape(len(SETS), -1, n_folds).mean(axis=1)
        fitted = {"scores": scores, "validation": validation}
        beside = {name: values[:, rows["place"]] for name, values in baselines.items()}
        numbers = measure(labels, [(rows, each) for each in scores], beside, seed)
    return CellResult(
        layer=place[0], position=place[1], rows=rows, why=why, numbers=numbers, **fitted
    )
