"""Probe the captured states, with controls and baselines.

At each captured layer and position a probe is fitted and tested on questions that it has not seen
(outer folds keep questions whole; what is tuned is tuned on inner folds of the training questions).
Pooled AUROC mixes two things: which questions are hard, and which trace of a question is right.
Within-question AUROC is the second alone, and 0.5 by construction at `prompt_end`.

The headline may not choose its cell (layer and position) on the test questions: see selection.py.
`findings_probe` is computed from the scores of cells chosen on inner folds; the table marks as
`best` the cell that was chosen for most folds.

    probe(run, target=["correct", "cluster"])
    probe(run, target="step_value", layers=[16])
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters.embedding import DEFAULT_EMBEDDER
from analysis.declaration import Shown, analysis
from analysis.hidden_states.stored_states import captured
from analysis.probes.baselines import places, text_features
from analysis.probes.crossfit import cross_fit, question_folds
from analysis.probes.estimator import Make, is_classifier, load_probe
from analysis.probes.selection import folds_of, headlines, most_chosen
from analysis.probes.step_scores import COLUMNS, POSITION, score_steps
from analysis.probes.stored_probes import save_best, score_with
from analysis.probes.sweep import CellResult, sweep
from analysis.probes.tables import score_rows, table_of, write
from analysis.probes.targets import TARGETS, Labels, find_labels
from analysis.statistics.shuffled_labels import shuffled, shuffled_within
from cot.errors import InputError
from cot.progress import track
from cot.store.run import Run
from cot.types import Finding

__all__ = ["probe"]

log = logging.getLogger("cot")
KINDS = {"boolean": "logistic", "choice": "logistic", "number": "ridge"}
Floats = NDArray[np.float64]


SHOWN = ["target", "layer", "position", "n_traces", "auroc", "low", "high"]
SHOWN += ["within_question_auroc", "within_low", "within_high", "control", "control_within"]
SHOWN += ["length", "tfidf", "embedding", "position_only", "r2", "control_r2", "accuracy", "chance"]
SHOWN += ["best", "verdict"]


def _show(run: Run, table: pd.DataFrame) -> Shown:
    if "probe_verdicts" in run.tables() and run.stale("probe_verdicts") is None:
        # whether steering along a target's direction moves the answer: `cot intervene` says so
        told = run.table("probe_verdicts").set_index("target")["verdict"]
        table = table.assign(verdict=table["target"].map(told).where(table["best"].astype(bool)))
    rows = table.to_dict("records")
    known = [name for name in SHOWN if name in table and table[name].notna().any()]
    json = {"probes": [{**row, "text_baseline": row["tfidf"]} for row in rows]}
    return Shown(json=json, tables=[table[known].to_dict("records")])


def _targets() -> str:
    return "\n".join(
        f"{name}\n  {meaning[0].upper()}{meaning[1:]}." for name, meaning in TARGETS.items()
    )


@analysis(
    makes={
        "probes": "one row a target, layer and position: the probe, its controls and baselines",
        "probe_scores": "one row a trace, layer and position: the cross-fitted score",
        "probe_steps": "one row a step: the score of the probe of correctness",
        "findings_probe": "pooled and within-question AUROC of each target",
    },
    choices={"target": _targets, "kind": "probes"},
    show=_show,
)
def probe(
    run: Run,
    target: Sequence[str] = ("correct",),
    kind: str | None = None,
    layers: Sequence[int] | None = None,
    positions: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 0,
    embedder: str = DEFAULT_EMBEDDER,
    fitted: str | None = None,
) -> pd.DataFrame:
    """Probe the captured states; writes and returns the table `probes`, one row a cell and target.

    Columns: target, kind, layer, position; n_questions, n_traces (rows), n_excluded, positives;
    auroc, low, high (pooled); within_question_auroc, within_low, within_high, n_within (mean over
    the questions with both classes, and their number); auprc, brier; on_wrong_majority,
    n_wrong_majority (within-question AUROC on questions whose majority is wrong); control (pooled
    AUROC, labels shuffled over all rows), control_within (within-question AUROC, labels shuffled
    within questions), selectivity (auroc - control); the baselines length, tfidf, embedding and
    position_only, pooled and `_within` (see baselines.py); accuracy, accuracy_low, accuracy_high,
    chance (choices only); r2, r2_low, r2_high, spearman, control_r2 (numbers only); best; method;
    seed. For numbers an AUROC is that of values above the median; for choices it is the mean over
    choices, each against the rest. Intervals are 95%, by bootstrap over questions. NaN is
    undefined, and `method` says why where all are. Brier is of probabilities fitted with balanced
    classes: it is no measure of calibration where one class is rare.

    Also writes `probe_scores` (question_id, sample_index, step, target, layer, position, score:
    each row's P(True), number, or P of the choice it states, by a probe that never saw its
    question; chosen: whether the place was chosen for the row's fold, without its questions),
    `findings_probe` (with control and baselines beside each finding), and each target's
    best probe, fitted to all rows, to probes/TARGET.safetensors (see stored_probes.py). Where
    `correct` is probed and `step_end` captured, `probe_steps` holds each step's score in the layer
    that most folds chose there (see step_scores.py); else it is empty.

    Args:
        target: what is predicted.
        kind: the probe, with its parameters; logistic by default, and ridge for numbers.
        layers: captured layers; all by default.
        positions: captured positions; all by default. step_end is read at the last step.
        folds: number of folds of whole questions, at most the number of questions.
        seed: seed of the folds, shuffles and bootstrap.
        embedder: a sentence-transformers model for the baseline embedding; tfidf leaves it out.
        fitted: a probe fitted on another run (RUN/probes/TARGET.safetensors), which scores this
            run; nothing is fitted.

    Raises:
        InputError: an unknown target or probe, one that does not suit the target, or a layer or
            position that was not captured.
    """
    if fitted is not None:
        return score_with(run, fitted)
    if folds < 2:
        raise InputError(f"folds is {folds}: at least 2 are needed to test on unseen questions")
    if kind is not None:
        load_probe(kind)
    targets = list(dict.fromkeys(target))
    cells = captured(run, layers, positions)
    if not cells:
        raise InputError(f"{run.path} has no hidden states: `cot capture` makes them")
    found = [_prepare(find_labels(run, each), folds, seed) for each in targets]
    for labels in found:
        _check_suits(labels, kind or KINDS[labels.kind])
    tables, scores = [], []
    findings: list[Finding] = []
    beside: list[dict[str, Any]] = []
    along = pd.DataFrame(columns=list(COLUMNS))
    for labels in found:
        mine = [cell for cell in cells if labels.positions is None or cell[1] in labels.positions]
        if not mine:
            where = " or ".join(labels.positions or ())
            raise InputError(f"{labels.target} is read at {where}: `cot capture` that position")
        spec = kind or KINDS[labels.kind]
        results, baselines = _sweep(run, labels, mine, spec, embedder, seed)
        tested = [result for result in results if result.why is None]
        n_folds = _n_folds(labels)
        best = most_chosen(tested) if tested else None
        tables.append(table_of(labels, results, best, spec=spec, n_folds=n_folds, seed=seed))
        folds_for = folds_of(tested) if tested else []
        scores += [score_rows(labels, *pair) for pair in zip(tested, folds_for, strict=True)]
        method = f"{spec}; layer and position chosen on inner folds, tested on unseen questions"
        if best is None:
            method = str(tables[-1]["method"].iloc[0])
        made = headlines(labels, tested, baselines, seed=seed, method=method)
        findings += made[0]
        beside += made[1]
        if best is not None:
            save_best(run, labels, best, spec=spec, seed=seed)
        ends = [result for result in tested if result.position == POSITION]
        if labels.target == "correct" and ends:
            layer = most_chosen(ends).layer
            along = score_steps(run, labels, layer=layer, spec=spec, n_folds=n_folds, seed=seed)
    run.write_table("probe_steps", along)
    return write(run, tables, scores, findings, beside)


def _prepare(labels: Labels, folds: int, seed: int) -> Labels:
    """The labels with folds and shuffled labels; says what was left out."""
    for reason, number in labels.excluded.items():
        log.info("probe %s: %d rows %s are left out", labels.target, number, reason)
    rows = labels.rows.reset_index(drop=True)
    y, groups = rows["y"].to_numpy(), rows["question_id"].to_numpy()
    rows = rows.assign(
        place=np.arange(len(rows)),
        mixed=shuffled(y, seed),
        mixed_within=shuffled_within(y, groups, seed),
    )
    spread = replace(labels, rows=rows).spread() if len(rows) else np.zeros(0, bool)
    return replace(labels, rows=rows.assign(fold=question_folds(spread, groups, folds, seed)))


def _n_folds(labels: Labels) -> int:
    return max(1, int(labels.rows["fold"].nunique()))


def _check_suits(labels: Labels, spec: str) -> None:
    if is_classifier(load_probe(spec)(seed=0)) == (labels.kind == "number"):
        other = "a number: a regressor such as ridge predicts it"
        if labels.kind != "number":
            other = "no number: a classifier such as logistic predicts it"
        raise InputError(f"kind {spec} does not suit {labels.target}, which is {other}")


def _sweep(
    run: Run, labels: Labels, cells: Sequence[tuple[int, str]], spec: str, embedder: str, seed: int
) -> tuple[list[CellResult], Mapping[str, Mapping[str, Floats]]]:
    """The cells' results, and the baselines of each position."""
    make, rows = load_probe(spec), labels.rows
    whole = {
        name: _cross_fit(make, labels, features(), seed)
        for name, features in text_features(run, rows, embedder).items()
        if not labels.undefined(rows["y"].to_numpy(), rows["question_id"].to_numpy())
    }
    baselines = {}
    for position in dict.fromkeys(position for _, position in cells):
        baselines[position] = dict(whole)
        if whole:
            features = places(run, rows, labels.keys, position)
            baselines[position]["position_only"] = _cross_fit(make, labels, features, seed)
    slim = rows.drop(columns=rows.columns.difference(_needed(labels)))
    with track(f"probing {labels.target}", total=len(cells), unit="cells") as advance:
        results = sweep(
            run,
            replace(labels, rows=slim),
            cells,
            spec=spec,
            n_folds=_n_folds(labels),
            baselines=baselines,
            seed=seed,
            advance=advance,
        )
    return results, baselines


def _needed(labels: Labels) -> list[str]:
    return [*labels.keys, "y", "mixed", "mixed_within", "wrong_majority", "fold", "place"]


def _cross_fit(make: Make, labels: Labels, features: Any, seed: int) -> Floats:
    """Cross-fitted scores of a baseline, shape [task, row]."""
    rows = labels.rows
    return cross_fit(
        make,
        features,
        np.arange(len(rows)),
        labels.tasks(rows["y"].to_numpy()),
        rows["question_id"].to_numpy(),
        rows["fold"].to_numpy(np.int64),
        _n_folds(labels),
        seed,
    ).scores
