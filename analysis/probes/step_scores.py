"""The scores of a probe of correctness along a trace, step by step.

The probes are those of the last step's end, cross-fitted: each outer fold's is fitted on the last
steps of the training questions and scores *every* captured step of the others, so that no trace is
scored by a probe that has seen its question. Steps before the last are out of the distribution that
it was fitted on: a score that rises shows that a trace becomes more like those that end right, not
that the model knows so at that step; and a probe that reads how far a trace has come rises too.

    score_steps(run, labels, layer=16, spec="logistic", n_folds=5, seed=0)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.crossfit import fit_space
from analysis.probes.estimator import load_probe, predictions
from analysis.probes.sweep import read_rows
from analysis.probes.targets import Labels
from cot.store.run import Run

__all__ = ["COLUMNS", "POSITION", "score_steps"]

POSITION = "step_end"
COLUMNS = ("question_id", "sample_index", "step", "layer", "score")


def score_steps(
    run: Run, labels: Labels, *, layer: int, spec: str, n_folds: int, seed: int
) -> pd.DataFrame:
    """The table `probe_steps`: question_id, sample_index, step, layer, score (P(True)), one row a
    captured step of the questions that have labels, in the order of the index of hidden states.

    Traces without a label (cut off, say) are scored with their question's others.

    Args:
        labels: booleans of traces; rows have `fold`, whole questions each (see `question_folds`).
        layer: captured at `step_end`.
        spec: the probe, as it is typed.
        n_folds: how many folds there are.
        seed: as for `cross_fit`.
    """
    make = load_probe(spec)
    last = read_rows(run, labels.rows, layer, POSITION)
    index, vectors = run.activations(layer=layer, position=POSITION)
    steps = index[["question_id", "sample_index", "step"]].assign(row=np.arange(len(index)))
    folds = labels.rows.drop_duplicates("question_id").set_index("question_id")["fold"]
    steps = steps.assign(fold=steps["question_id"].map(folds), layer=layer, score=np.nan)
    # questions without any label are in no fold, and their steps are left out
    steps = steps.dropna(subset=["sample_index", "step", "fold"]).reset_index(drop=True)
    rows, vector = last.traces, last.vectors[last.row]
    y, groups = rows["y"].to_numpy(bool), rows["question_id"].to_numpy()
    scores = np.full(len(steps), np.nan)
    for number in range(n_folds):
        train = rows["fold"].to_numpy() != number
        test = (steps["fold"] == number).to_numpy()
        if not test.any() or not train.any():
            continue
        with threadpool_limits(1):  # the same sums in the same order on any machine
            probe = make(seed=seed)
            space = fit_space(vector[train], probe.n_components, seed)
            probe.fit(space.place(vector[train]), y[train], groups[train])
            scores[test] = predictions(probe, space.place(vectors[steps.loc[test, "row"]]))
    kinds = {"sample_index": "int32", "step": "int32"}
    return steps.assign(score=scores)[list(COLUMNS)].astype(kinds)
