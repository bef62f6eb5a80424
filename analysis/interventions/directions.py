"""Directions that tell a target's two labels apart; none acts on a question it was fitted on.

A probe of one layer reads wᵀ(h − mean) / scale off a state h: its direction in the model's own
space is ŵ = (w / scale) / |w / scale|, the way in which its log-odds of the positive label rise
fastest. (Of the difference of means this is the difference over each coordinate's variance.) For
each fold of whole questions, one probe is fitted on the other folds.

    for direction in find_directions(run, target="correct", kind="diff_means", layers=[16], ...):
        fold = direction.folds[question_id]
        step = direction.sigma[fold] * direction.unit[fold]     # one mean norm along ŵ
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.catalogue import need
from analysis.hidden_states.edits import Project
from analysis.hidden_states.stored_states import captured, choose_place, read_cell
from analysis.interventions.direction_files import (
    ONLY_BOOLEAN,
    GivenDirection,
    read_direction,
    read_labels,
    single_weight,
)
from analysis.interventions.leace import leace
from analysis.probes.crossfit import fit_space, question_folds
from analysis.probes.estimator import load_probe
from analysis.probes.targets import Labels, captured_traces, find_labels
from analysis.statistics.shuffled_labels import shuffled
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["Direction", "find_directions", "random_directions"]

log = logging.getLogger("cot")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Direction:
    """A direction in one layer, fitted anew for each fold of questions."""

    target: str
    """What it tells apart."""
    source: str
    """What it was fitted by: a probe's spec, or the file that it came from."""
    layer: int
    """Blocks before the states that it was fitted on."""
    position: str
    """Where these states stand."""
    folds: Mapping[str, int]
    """question_id to fold, of all questions that it may act on: a fold's direction was fitted
    without the fold's questions. Questions without any label are in fold 0."""
    unit: Floats
    """ŵ, pointing to the positive label, shape [fold, d_model]."""
    shuffled: Floats | None
    """The same, fitted on labels shuffled over all training traces, shape [fold, d_model]; None for
    a direction from a file."""
    mean: Floats
    """Mean of the training states, shape [fold, d_model]."""
    along: Floats
    """Mean of h·ŵ over the training states, shape [fold]."""
    sigma: Floats
    """Mean norm of the training states, shape [fold]."""
    eraser: Sequence[Project] | None
    """What erases the labels (see leace.py), one a fold; None for a direction from a file."""
    shuffled_eraser: Sequence[Project] | None
    """The same, fitted on the shuffled labels; None where `shuffled` is."""
    labels: Mapping[tuple[str, int], bool]
    """(question_id, sample_index) to label, of the traces that have one and a state here."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of traces that nothing was fitted on."""


def random_directions(n: int, d_model: int, seed: int) -> Floats:
    """Unit vectors, each evenly distributed over the sphere, shape [n, d_model]."""
    vectors = np.random.default_rng(seed).normal(size=(n, d_model))
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def find_directions(
    run: Run,
    *,
    target: str,
    kind: str,
    layers: Sequence[int] | None,
    position: str | None,
    folds: int,
    seed: int,
    direction: str | None,
    labels: str | None,
) -> list[Direction]:
    """The target's directions, one a layer.

    Traces beyond the log-probability gap and those without a label or a captured state are left
    out, counted and logged.

    Args:
        target: a boolean target of `cot probe`; not used where `labels` is given, nor where
            `direction` is a stored probe, which has a target of its own.
        kind: a probe of one layer, such as diff_means or logistic; not used with `direction`.
        layers: captured layers; by default the one that the run's probe of this target chose. Of a
            vector exactly one.
        position: where the states stand that the direction is fitted on; by default likewise. For
            what the run has no probe of, the middle of what was captured.
        folds: number of folds of whole questions, at most the number of questions.
        seed: of the folds, the fits and the shuffled labels.
        direction: a file with a direction, instead of a fit; see direction_files.py. It is the same
            for all questions, and acts on none that it was fitted on.
        labels: a file with a label for each trace, instead of the target's.

    Raises:
        InputError: a target without two labels, a probe without a direction, a layer or position
            that was not captured, or a file that doesn't suit.
    """
    given = None if direction is None else read_direction(run, direction)
    known = _known(run, target, given) if labels is None else read_labels(run, labels)
    for reason, number in known.excluded.items():
        log.info("directions of %s: %d traces %s are left out", known.target, number, reason)
    if given is not None:
        assert direction is not None
        return [_from_file(run, known, given, direction, layers, position)]
    if folds < 2:
        raise InputError(f"folds is {folds}: a direction is fitted on other questions, so give 2")
    places = _places(run, known.target if labels is None else None, layers, position)
    prepared = _prepare(known, folds, seed)
    with threadpool_limits(1):  # on such small matrices threads wait for one another
        return [_fit(run, prepared, place, kind, seed) for place in places]


def _known(run: Run, target: str, given: GivenDirection | None) -> Labels:
    """The labels of the target, or of what a stored probe predicts."""
    if given is not None and given.target not in (None, target):
        log.info("directions: the stored probe's target is %s, not %s", given.target, target)
    found = find_labels(run, target if given is None or given.target is None else given.target)
    if found.kind != "boolean":
        what = "number" if found.kind == "number" else "choice of several"
        raise InputError(f"target {found.target} is a {what}: {ONLY_BOOLEAN}")
    return found


def _places(
    run: Run, target: str | None, layers: Sequence[int] | None, position: str | None
) -> list[tuple[int, str]]:
    """(layer, position) of each direction: as asked, else as the run's probe of the target chose;
    None for what isn't probed."""
    if layers is None or position is None:
        best = None if target is None else _best_place(run, target, layers is None)
        if best is None:
            first = layers[0] if layers else None
            best = choose_place(run, first, position)
            log.info("no probe chose a place: layer %d at %s", *best)
        layers = [best[0]] if layers is None else layers
        position = best[1] if position is None else position
    found = captured(run, layers, [position])
    if not found:
        raise InputError(f"{run.path} has no hidden states: `cot capture` makes them")
    return found


def _best_place(run: Run, target: str, needed: bool) -> tuple[int, str] | None:
    """Layer and position that `probes` marks as best for the target."""
    if "probes" not in run.tables() and not needed:
        return None
    probes = need(run, "probes")
    best = probes[probes["best"].astype(bool) & (probes["target"] == target)]
    if len(best):
        return int(best["layer"].iloc[0]), str(best["position"].iloc[0])
    if needed:
        there = ", ".join(probes["target"].unique())
        raise InputError(
            f"no probe of {target} has chosen a layer (probed: {there}): "
            f"`cot probe {run.path} --target {target}` does, or give layers"
        )
    return None


# -- fitted on the other folds ---------------------------------------------------------------------


def _prepare(labels: Labels, folds: int, seed: int) -> Labels:
    """The labels with folds: those of the probe, and the same for all layers."""
    rows = labels.rows
    y, groups = rows["y"].to_numpy(bool), rows["question_id"].to_numpy()
    return replace(labels, rows=rows.assign(fold=question_folds(y, groups, folds, seed)))


def _fit(run: Run, labels: Labels, place: tuple[int, str], kind: str, seed: int) -> Direction:
    cell = read_cell(run, labels.rows, *place)
    rows, X = cell.traces, cell.vectors[cell.row]
    y = rows["y"].to_numpy(bool)
    groups, fold = rows["question_id"].to_numpy(), rows["fold"].to_numpy()
    if why := labels.undefined(y, groups):
        raise InputError(f"no direction of {labels.target} in layer {place[0]}: {why}")
    fits = []
    for number in range(int(labels.rows["fold"].max()) + 1):
        train = fold != number
        if len(np.unique(y[train])) < 2:
            raise InputError(
                f"no direction of {labels.target}: without the questions of fold {number}, all "
                f"{train.sum()} traces have the same label; give more folds"
            )
        # over all traces: shuffled within questions, labels keep each question's share, and the
        # direction stays nearly what it was where most questions have one label
        tasks = [y[train], shuffled(y[train], seed + number)]
        fits.append(_fit_fold(kind, X[train], tasks, groups[train], seed))
    unit, mean = np.stack([each.units for each in fits]), np.stack([each.mean for each in fits])
    erasers = list(zip(*(each.erasers for each in fits), strict=True))
    folds = dict.fromkeys(run.questions()["question_id"], 0)
    folds |= dict(zip(labels.rows["question_id"], labels.rows["fold"].tolist(), strict=True))
    return Direction(
        target=labels.target,
        source=kind,
        layer=place[0],
        position=place[1],
        folds=folds,
        unit=unit[:, 0],
        shuffled=unit[:, 1],
        mean=mean,
        along=(mean * unit[:, 0]).sum(axis=1),
        sigma=np.array([each.sigma for each in fits]),
        eraser=erasers[0],
        shuffled_eraser=erasers[1],
        labels=_keyed(rows),
        excluded=_excluded(labels, rows, place),
    )


class _Fold(NamedTuple):
    """What is fitted on a fold's training states."""

    units: Floats
    """A unit vector a task, shape [task, d_model]."""
    erasers: list[Project]
    """One a task."""
    mean: Floats
    """Shape [d_model]."""
    sigma: float
    """Mean norm."""


def _fit_fold(
    kind: str,
    X: NDArray[np.floating],
    tasks: Sequence[NDArray[np.bool_]],
    groups: NDArray[Any],
    seed: int,
) -> _Fold:
    """Fit to states [row, d_model] each task's labels [row], as `cross_fit` does."""
    units = []
    probes: list[Any] = [load_probe(kind)(seed=seed) for _ in tasks]
    space = fit_space(X, probes[0].n_components, seed)
    placed = space.place(X)
    for probe, task in zip(probes, tasks, strict=True):
        probe.fit(placed, task, groups)
        weight = single_weight(getattr(probe, "layers_", None), f"kind {kind}")
        # back from the axes to the coordinates, and from their spreads to the model's own units
        unfolded = (weight if space.axes is None else space.axes @ weight) / space.scale
        length = float(np.linalg.norm(unfolded))
        if not length > 0:
            raise InputError(f"kind {kind}: its weights are all 0: it points nowhere")
        units.append(unfolded / length)
    mean = X.mean(axis=0, dtype=np.float64)
    return _Fold(np.stack(units), leace(X, tasks), mean, _mean_norm(X))


def _mean_norm(X: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(X.astype(np.float64), axis=1).mean())


def _keyed(rows: pd.DataFrame) -> dict[tuple[str, int], bool]:
    """The label of each trace."""
    keys = zip(rows["question_id"], rows["sample_index"].tolist(), strict=True)
    return dict(zip(keys, rows["y"].tolist(), strict=True))


def _excluded(labels: Labels, used: pd.DataFrame, place: tuple[int, str]) -> dict[str, int]:
    """Why traces are left out here; says it of those that have no state at the place."""
    if not (number := len(labels.rows) - len(used)):
        return dict(labels.excluded)
    reason = f"without a state at {place[1]}"
    log.info("directions of %s: %d traces %s are left out", labels.target, number, reason)
    return {**labels.excluded, reason: number}


# -- from a file -----------------------------------------------------------------------------------


def _from_file(
    run: Run,
    labels: Labels,
    given: GivenDirection,
    file: str,
    layers: Sequence[int] | None,
    position: str | None,
) -> Direction:
    """The same direction for all questions but those that it was fitted on."""
    if given.layer is None:
        if layers is None or len(layers) != 1:
            raise InputError(f"{file}: a vector belongs to one layer: give exactly one of layers")
        place = choose_place(run, layers[0], position)
    else:
        assert given.position is not None
        place = (given.layer, given.position)
        what = "feature" if given.target is None else "probe"
        if (layers is not None and list(layers) != [place[0]]) or position not in (None, place[1]):
            raise InputError(
                f"{file}: this {what} reads layer {place[0]} at {place[1]}: give no other layers "
                "and no other position"
            )
        captured(run, [place[0]], [place[1]])
    asked = run.questions()["question_id"]
    folds = {name: 0 for name in asked if name not in given.seen}
    if not folds:
        raise InputError(f"{file} was fitted on all of these questions: give a run of others")
    cell = read_cell(run, captured_traces(run)[0], *place)
    used = cell.traces["question_id"].isin(folds).to_numpy()
    if not used.any():
        raise InputError(f"{file}: no trace that it may act on has a state in layer {place[0]}")
    states = cell.vectors[cell.row[used]]
    if states.shape[1] != len(given.weight):
        raise InputError(
            f"{file}: the direction has the width {len(given.weight)}, but the hidden states of "
            f"{run.path} have {states.shape[1]}: give one of the same model"
        )
    rows = read_cell(run, labels.rows, *place).traces
    excluded = _excluded(labels, rows, place)
    if seen := int(rows["question_id"].isin(given.seen).sum()):
        excluded["of questions that the direction was fitted on"] = seen
        log.info(
            "directions: %d questions that %s was fitted on are left out, with %d traces",
            *(len(given.seen), file, seen),
        )
    unit = given.weight / np.linalg.norm(given.weight)
    mean = states.mean(axis=0, dtype=np.float64)
    return Direction(
        target=labels.target,
        source=str(file),
        layer=place[0],
        position=place[1],
        folds=folds,
        unit=unit[None],
        shuffled=None,
        mean=mean[None],
        along=np.array([mean @ unit]),
        sigma=np.array([_mean_norm(states)]),
        eraser=None,
        shuffled_eraser=None,
        labels=_keyed(rows[rows["question_id"].isin(folds)]),
        excluded=excluded,
    )
