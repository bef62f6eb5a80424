"""Features of a run's states: fitted on its training questions, or read from a file; encoded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.interventions.direction_files import read_labels
from analysis.probes.stored_probes import question_hashes
from analysis.probes.targets import Labels, find_labels
from analysis.state_features.contract import Dictionary, Features, Training
from analysis.state_features.linear import pca, random_features
from analysis.state_features.measuring import furthest, trace_scores
from analysis.state_features.states import States, training_questions
from analysis.state_features.stored_features import (
    check_suits,
    load_features,
    save_features,
)
from cot.errors import InputError
from cot.registry import build
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = [
    "BASELINES",
    "CONCEPT",
    "Fitted",
    "LabelledTraces",
    "Split",
    "fit_all",
    "label_traces",
    "read_fitted",
    "stored_place",
]

log = logging.getLogger("cot")
Floats = NDArray[np.float64]
BASELINES = ("pca", "random")
CONCEPT = "cav"
"""The method that reads a table of labels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledTraces:
    """The traces with states that have a label."""

    name: str
    """What the labels are of."""
    trace: NDArray[np.int64]
    """Their numbers in `States.rows`, ascending."""
    y: NDArray[np.bool_]
    """Their labels."""
    questions: NDArray[np.object_]
    """Their questions."""
    n_excluded: int
    """Traces of the run without a label or a state."""

    def of(self, wanted: frozenset[str]) -> LabelledTraces:
        """Those of some questions."""
        mine = np.isin(self.questions, list(wanted))
        return replace(self, trace=self.trace[mine], y=self.y[mine], questions=self.questions[mine])

    def by_key(self, states: States) -> dict[tuple[str, int], bool]:
        """(question_id, sample_index) to label."""
        known = dict(zip(self.trace.tolist(), self.y.tolist(), strict=True))
        rows = states.rows.drop_duplicates("trace")[[*TRACE_KEY, "trace"]]
        return {
            (str(name), int(index)): known[trace]
            for name, index, trace in rows.itertuples(index=False)
            if trace in known
        }

    def scores(self, values: Floats, rows: pd.DataFrame) -> Floats:
        """Mean values of each of these traces' states, shape [trace, feature]."""
        numbers, means = trace_scores(values, rows["trace"].to_numpy())
        return means[np.searchsorted(numbers, self.trace)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Questions that features are fitted on, and those that they are measured on."""

    training: frozenset[str]
    """Seen by the fit; empty where nothing of this run was."""
    held_out: frozenset[str]
    """All others with states."""

    def rows(self, states: States, held_out: bool) -> NDArray[np.bool_]:
        """Which states are of held-out, or of training questions."""
        wanted = self.held_out if held_out else self.training
        return np.isin(states.questions, list(wanted))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """One method's features, in all states."""

    method: str
    """As typed, or `pca` or `random`."""
    made: Dictionary
    """The features."""
    values: Floats
    """Shape [row, feature]."""
    baseline: bool
    """Whether others are compared with it, and it was not asked for."""
    best: tuple[int, int] | None
    """The feature that tells the target's labels best on training questions, and its sign."""
    concept: str = ""
    """What a table of labels is of."""
    labelled: Training | None = None
    """What the concept's vector was fitted to; None where there is none, or not here."""


def label_traces(labels: Labels, states: States) -> LabelledTraces:
    """The labels of traces that have states.

    Raises:
        InputError: they aren't one boolean a trace.
    """
    if labels.kind != "boolean" or labels.keys != list(TRACE_KEY):
        raise InputError(
            f"target {labels.target} is not one boolean a trace: choose one that is, such as "
            "correct or majority"
        )
    numbers = states.rows.drop_duplicates("trace")[[*TRACE_KEY, "trace"]]
    known = labels.rows[[*TRACE_KEY, "y"]].astype({"sample_index": "int64"})
    found = numbers.merge(known, on=TRACE_KEY).sort_values("trace")
    without_state = len(known) - len(found)
    if without_state:
        log.info("features: %d traces have no state to be measured on", without_state)
    return LabelledTraces(
        name=labels.target,
        trace=found["trace"].to_numpy(np.int64),
        y=found["y"].to_numpy(bool),
        questions=found["question_id"].to_numpy(object),
        n_excluded=without_state + sum(labels.excluded.values()),
    )


def fit_all(
    run: Run,
    states: States,
    *,
    methods: Sequence[str],
    n_features: int,
    target: str,
    labels: str | None,
    seed: int,
) -> tuple[list[Fitted], Split, LabelledTraces]:
    """Fit each method and the baselines on training questions, and store the methods' features."""
    fits: dict[str, Features] = {spec: build("features", spec) for spec in dict.fromkeys(methods)}
    judged = label_traces(find_labels(run, target), states)
    training = training_questions(list(states.questions), seed)
    split = Split(training=training, held_out=frozenset(states.questions) - training)
    inside = split.rows(states, held_out=False)
    seen = _training(states, inside)
    own = judged.of(training)
    components = pca(seen, n_features=n_features, seed=seed)
    made: dict[str, tuple[Dictionary, str, Training | None]] = {}
    for spec, fit in fits.items():
        given, name = seen, ""
        if labels is not None and spec.split(":")[0] == CONCEPT:
            given, name = _labelled(run, labels, states, inside)
        log.info("features: fitting %s to %d states", spec, len(given.vectors))
        found = fit(given, n_features=n_features, seed=seed)
        made[spec] = found, name, given if name else None
    width = states.vectors.shape[1]
    for name, baseline in (
        ("pca", components),
        ("random", random_features(width, n_features=n_features, seed=seed)),
    ):
        made.setdefault(name, (baseline, "", None))
    fitted = []
    for spec, (dictionary, name, given_labels) in made.items():
        values = dictionary.encode(states.vectors)
        best = furthest(own.scores(values, states.rows), own.y, own.questions)
        fitted.append(
            Fitted(
                method=spec,
                made=dictionary,
                values=values,
                baseline=spec not in fits,
                best=best,
                concept=name,
                labelled=given_labels,
            )
        )
        if spec in fits:
            save_features(
                run,
                states.of_questions(inside),
                dictionary,
                components,
                method=spec,
                concept=name,
                target=judged.name,
                best=best,
                n=len(given_labels.vectors if given_labels else seen.vectors),
                seed=seed,
            )
    return fitted, split, judged


def read_fitted(
    run: Run, path: str, states: States, *, target: str, seed: int
) -> tuple[list[Fitted], Split, LabelledTraces]:
    """Stored features and their baselines in the states of this run; nothing is fitted.

    Raises:
        InputError: not stored features; states of another width; every question was fitted on.
    """
    stored = load_features(path)
    fit = stored.fit
    width = states.vectors.shape[1]
    if fit.d_model != width:
        raise InputError(f"{path} reads vectors of width {fit.d_model}, not {width}")
    judged = label_traces(find_labels(run, target), states)
    hashes = question_hashes(run)
    seen = frozenset(hashes.index[hashes.isin(fit.questions)]) & frozenset(states.questions)
    split = Split(training=seen, held_out=frozenset(states.questions) - seen)
    if not split.held_out:
        raise InputError(f"{path} was fitted on all of these questions: measure a run of others")
    if seen:
        log.info("features: %d questions that they were fitted on are left out", len(seen))
    best = fit.best if fit.target == judged.name else None
    random = random_features(width, n_features=fit.n_features, seed=seed)
    fitted = [
        Fitted(
            method=name,
            made=made,
            values=made.encode(states.vectors),
            baseline=name != fit.method,
            best=None if best is None or name != fit.method else (int(best[0]), int(best[1])),
            concept=fit.concept if name == fit.method else "",
        )
        for name, made in {"pca": stored.pca, "random": random, fit.method: stored.made}.items()
    ]
    return sorted(fitted, key=lambda each: each.baseline), split, judged


def stored_place(run: Run, path: str) -> tuple[int, str]:
    """Layer and position that stored features read; checks that the run's states suit."""
    run.reads(f"file:{Path(path).resolve()}")
    fit = load_features(path).fit
    check_suits(run, fit, path)
    return fit.layer, fit.position


def _training(states: States, inside: NDArray[np.bool_]) -> Training:
    rows = states.rows[inside]
    return Training(
        vectors=states.vectors[inside],
        questions=rows["question_id"].to_numpy(),
        traces=rows["trace"].to_numpy(np.int64),
    )


def _labelled(
    run: Run, file: str, states: States, inside: NDArray[np.bool_]
) -> tuple[Training, str]:
    """The training states of traces with a label in the table, and what it is of."""
    known = label_traces(read_labels(run, file), states)
    y = pd.Series(known.y, index=known.trace)
    mine = inside & states.rows["trace"].isin(known.trace).to_numpy()
    if not mine.any():
        raise InputError(
            f"{file}: no labelled trace is of a training question: label traces of more questions"
        )
    training = _training(states, mine)
    return replace(training, labels=y.loc[training.traces].to_numpy(bool)), known.name
