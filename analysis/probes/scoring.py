"""Score a run's hidden states with a probe that was fitted on another run."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.probes.labels import Labels
from analysis.probes.measures import discrimination, sharpness
from analysis.probes.reading import read_rows
from analysis.probes.saving import Fit, StoredProbe, load_stored, question_hashes
from analysis.probes.selection import findings_of
from analysis.probes.sweep import CellResult
from analysis.probes.tables import score_rows, table_of, write
from analysis.probes.targets import find_labels, replayed
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import read_about

__all__ = ["score_with"]

log = logging.getLogger("cot")


def score_with(run: Run, path: str | Path) -> pd.DataFrame:
    """Score the run's captured states with a stored probe; writes the tables that `probe` writes
    and returns `probes`, with one row, without controls: nothing is fitted here.

    Questions that the probe was fitted on (by their text) are left out, and counted. Where the run
    has no gold for the probe's target, the scores are written all the same and the numbers are NaN.

    Raises:
        InputError: not a stored probe; hidden states of another model, revision or width; the
            probe's layer or position was not captured; every question was fitted on.
    """
    run.reads(f"file:{Path(path).resolve()}")
    stored = load_stored(path)
    fit = stored.fit
    _check_model(run, fit, path)
    labels = _labels(run, fit)
    seen = set(fit.questions)
    known = question_hashes(run).reindex(labels.rows["question_id"]).isin(seen).to_numpy()
    if len(known) and known.all():
        raise InputError(f"{path} was fitted on all of these questions: score a run of others")
    if known.any():
        log.info("probe: %d rows of questions that it was fitted on are left out", known.sum())
        excluded = {**labels.excluded, "of questions that it was fitted on": int(known.sum())}
        rows = labels.rows[~known].reset_index(drop=True)
        labels = replace(labels, rows=rows, excluded=excluded)
    cell = read_rows(run, labels.rows, fit.layer, fit.position)
    _check_width(stored, cell.vectors.shape[1], path)
    asked, back = np.unique(cell.row, return_inverse=True)
    scores = stored.score(cell.vectors[asked])[:, back]
    rows = cell.traces
    y, groups = rows["y"].to_numpy(), rows["question_id"].to_numpy()
    why = "no gold for the target" if rows["y"].isna().any() else labels.undefined(y, groups)
    numbers = {}
    if why is None:
        numbers = discrimination(labels, y, scores, groups, fit.seed)
        numbers |= sharpness(labels, y, scores, groups, fit.seed)
    result = CellResult(
        layer=fit.layer,
        position=fit.position,
        rows=rows,
        why=why,
        numbers=numbers,
        scores=scores[None],
        validation=np.empty((0, 0)),
    )
    table = table_of(labels, [result], result, spec=fit.kind, n_folds=0, seed=fit.seed)
    if why is None:
        table["method"] = f"{fit.kind}, fitted on {fit.n} rows of another run"
    method = str(table["method"].iloc[0])
    findings, beside = findings_of(labels, rows, numbers, method=method, seed=fit.seed)
    scored = [score_rows(labels, result, None)]
    return write(run, [table], scored, findings, beside)


def _check_model(run: Run, fit: Fit, path: str | Path) -> None:
    about = read_about(run.path / "activations")
    if not about:
        raise InputError(f"{run.path} has no hidden states: `cot capture` makes them")
    if about["revision"] != fit.revision:
        raise InputError(
            f"{path} reads hidden states of {fit.model} ({fit.revision}), but {run.path} holds "
            f"those of {about['model']} ({about['revision']})"
        )


def _check_width(stored: StoredProbe, width: int, path: str | Path) -> None:
    if stored.fit.d_model != width:
        raise InputError(f"{path} reads vectors of width {stored.fit.d_model}, not {width}")


def _labels(run: Run, fit: Fit) -> Labels:
    """The run's labels; where it has none for a target of traces, its replayed traces, y NaN."""
    try:
        labels = find_labels(run, fit.target)
        if len(labels.rows):
            return _recoded(labels, fit)
    except InputError as error:
        log.info("probe: no gold for %s: %s", fit.target, error)
    if fit.position == "prompt_end" and fit.target == "answer_entropy":
        rows = run.questions()[["question_id"]]
        return Labels(target=fit.target, rows=rows.assign(y=np.nan), kind="number")
    rows, excluded = replayed(run)
    return Labels(target=fit.target, rows=rows.assign(y=np.nan), excluded=excluded)


def _recoded(labels: Labels, fit: Fit) -> Labels:
    """Labels whose choices stand in the order of the probe's heads."""
    if labels.kind != "choice":
        return labels
    names = labels.rows["y"].map(dict(enumerate(labels.choices)))
    shared = names.isin(fit.choices)
    rows = labels.rows[shared].assign(y=[fit.choices.index(name) for name in names[shared]])
    excluded = {**labels.excluded, "with a choice that the probe does not know": sum(~shared)}
    return replace(
        labels, rows=rows.reset_index(drop=True), choices=tuple(fit.choices), excluded=excluded
    )
