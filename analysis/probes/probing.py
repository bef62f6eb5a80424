"""Does the model's state tell whether the trace is right?

At each captured layer and position a probe is fitted and tested on questions that it has not seen
(outer folds keep questions whole; what is tuned is tuned on inner folds of the training questions).
Pooled AUROC mixes two things: which questions are hard, and which trace of a question is right.
Within-question AUROC is the second alone, and 0.5 by construction at `prompt_end`.

The headline may not choose its cell (layer and position) on the test questions. For each outer
fold the cell is the one with the best within-question AUROC on inner folds of that fold's
*training* questions; the fold's traces are scored by that cell's probe; `findings_probe` is
computed from these scores. The table marks as `best` the cell that was chosen for most folds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.activations.cells import captured, read_cell
from analysis.findings import as_table
from analysis.probes.controls import length_features
from analysis.probes.crossfit import cross_fit
from analysis.probes.estimator import Probe
from analysis.probes.folds import question_folds
from analysis.probes.measures import NUMBERS, measure, undefined
from analysis.probes.selection import choose_cells, headlines, nested_scores
from analysis.probes.targets import labelled
from cot.errors import InputError
from cot.progress import track
from cot.registry import find
from cot.run import Run

__all__ = ["probe"]

log = logging.getLogger("cot")

COLUMNS = (
    *("target", "layer", "position", "n_questions", "n_traces", "n_excluded", "positives"),
    *NUMBERS,
    *("best", "method", "seed"),
)
KEY = ["question_id", "sample_index"]


def probe(
    run: Run,
    *,
    target: str = "correct",
    layers: Sequence[int] | None = None,
    positions: Sequence[str] | None = None,
    seed: int = 0,
    folds: int = 5,
    kind: str = "logistic",
) -> pd.DataFrame:
    """Probe the captured states; writes and returns the table `probes`, one row a cell.

    Columns: target, layer, position; n_questions, n_traces, n_excluded, positives; auroc, low, high
    (pooled); within_question_auroc, within_low, within_high, n_within (mean over the questions with
    both classes, and their number); control (pooled AUROC, labels shuffled over all traces),
    control_within (within-question AUROC, labels shuffled within questions); length, length_within
    (a probe of log length alone, same folds); best; method; seed. Intervals are 95%, by bootstrap
    over questions. NaN is undefined, and `method` says why.

    Also writes `probe_scores` (question_id, sample_index, target, layer, position, score: each
    trace's P(True) by a probe that never saw its question) and `findings_probe`.

    Args:
        target: see `TARGETS` in targets.py.
        layers: captured layers; all where None.
        positions: captured positions; all where None. `step_end` is read at the last step.
        seed: of folds, shuffles and bootstrap.
        folds: outer folds; no more than there are questions.
        kind: a registered probe.

    Raises:
        InputError: an unknown target or probe, or a layer or position that was not captured.
    """
    if folds < 2:
        raise InputError(f"folds is {folds}: at least 2 are needed to test on unseen questions")
    make = find("probes", kind)
    traces, excluded = labelled(run, target)
    cells = captured(run, layers, positions)
    if not cells:
        raise InputError(f"{run.path} has no hidden states: `cot capture` makes them")
    for reason, number in excluded.items():
        log.info("probe: %d traces %s are left out", number, reason)
    total = len(traces) + sum(excluded.values())
    traces["fold"] = question_folds(traces["y"], traces["question_id"], folds, seed)
    n_folds = max(1, traces["fold"].nunique())
    traces["length"] = _length_scores(make, traces, n_folds, seed)
    rows: list[dict[str, Any]] = []
    scores: list[pd.DataFrame] = []
    validation = np.full((0, n_folds), np.nan)
    with track("probing", total=len(cells), unit="cells") as advance:
        for layer, position in cells:
            cell = read_cell(run, traces, layer, position)
            y, groups = cell.traces["y"].to_numpy(bool), cell.traces["question_id"].to_numpy()
            fold = cell.traces["fold"].to_numpy(np.int64)
            row: dict[str, Any] = {"target": target, "layer": layer, "position": position}
            row |= {"seed": seed, "n_questions": len(np.unique(groups)), "n_traces": len(y)}
            row |= {"n_excluded": total - len(y), "positives": int(y.sum())}
            why = undefined(y, groups)
            if why is None:
                numbers, fitted = measure(make, cell, fold, n_folds, seed)
                row |= {**numbers, "method": f"{kind}, {n_folds} folds of whole questions"}
                scores.append(
                    cell.traces[[*KEY, "y", "fold"]].assign(
                        target=target, layer=layer, position=position, score=fitted.scores
                    )
                )
                validation = np.vstack([validation, fitted.validation])
            rows.append(row if why is None else {**row, "method": f"undefined: {why}"})
            advance(1)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table = table.astype({name: float for name in NUMBERS if name != "n_within"})
    table["n_within"] = table["n_within"].fillna(0).astype(int)
    table["best"] = False
    nested: pd.DataFrame | None = None
    note = str(table["method"].iloc[0])
    if scores:
        chosen = choose_cells(validation)
        nested = nested_scores(scores, chosen)
        best = scores[np.bincount(chosen).argmax()].iloc[0]
        is_best = (table["layer"] == best["layer"]) & (table["position"] == best["position"])
        table["best"] = is_best
        note = f"{kind}; layer and position chosen on inner folds, tested on unseen questions"
    findings = headlines(nested, seed=seed, n_excluded=total - len(traces), note=note)
    parameters = {"target": target, "seed": seed, "folds": folds, "kind": kind}
    parameters |= {"layers": None if layers is None else [int(layer) for layer in layers]}
    parameters |= {"positions": None if positions is None else list(positions)}
    columns = [*KEY, "target", "layer", "position", "score"]
    made = {
        "probes": table,
        "probe_scores": pd.concat(scores or [pd.DataFrame(columns=columns)])[columns],
        "findings_probe": as_table(findings),
    }
    for name, frame in made.items():
        run.write_table(
            name,
            frame.reset_index(drop=True),
            command="probe",
            parameters=parameters,
            inputs=["answers", "fidelity", "activations"],
        )
    return table


def _length_scores(
    make: Callable[[int], Probe], traces: pd.DataFrame, n_folds: int, seed: int
) -> NDArray[np.float64]:
    """Cross-fitted scores of the traces' lengths; NaN where no probe can be tested."""
    y, groups = traces["y"].to_numpy(bool), traces["question_id"].to_numpy()
    if undefined(y, groups):
        return np.full(len(y), np.nan)
    fold, every = traces["fold"].to_numpy(np.int64), np.arange(len(y))
    return cross_fit(make, length_features(traces), every, y, groups, fold, n_folds, seed).scores
