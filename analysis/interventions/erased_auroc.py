"""Whether the label is gone: a probe's AUROC on held-out questions before and after erasure.

The probe reads erased states of questions that neither it nor the eraser was fitted on. Three
probes do, as each shows another thing:

- `same`: fitted on unchanged states of the training questions. What it read is what is erased.
- `refitted`: fitted on the erased states of the training questions. A linear probe finds nothing
  there, as the eraser is fitted on them too: its AUROC is .5 by construction.
- `fresh`: fitted on erased states that the eraser was not fitted on: of the training questions,
  the eraser has one half, the probe the other (and the other way round; the AUROC is the mean).
  It is .5 only where the eraser holds for other questions. Where there are about as many states
  as coordinates, or fewer, it doesn't: what is written over is s, and its noise then carries the
  label.

    for found in erased_auroc(run, direction, seed=0):
        found.states, found.probe, found.measure, found.estimate, found.low, found.high
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.hidden_states.edits import Project
from analysis.hidden_states.stored_states import read_cell
from analysis.interventions.directions import Direction, random_directions
from analysis.interventions.leace import erase, leace, take_out
from analysis.probes.crossfit import fit_space
from analysis.probes.estimator import load_probe, predictions
from analysis.statistics import auroc, auroc_per_question, resample
from analysis.statistics.bootstrap import percentiles
from analysis.statistics.ranking import auroc_draws
from analysis.statistics.shuffled_labels import shuffled
from cot.store.run import Run

__all__ = ["ErasedAuroc", "erased_auroc"]

log = logging.getLogger("cot")

States = Literal["unchanged", "erased", "random", "shuffled"]
Reader = Literal["same", "refitted", "fresh"]
DECIMALS = 6
"""Of a probability: a refitted probe's weights are 0 but for rounding, which must not rank."""
FITTED = 3
"""Of the random subspaces, those that probes are fitted for: fits take long, and all are alike."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedAuroc:
    """An AUROC on held-out questions."""

    states: States
    """What the probe read: states as they are, with the label erased, and the controls: with random
    subspaces of the same rank taken out (mean over them), and with shuffled labels erased."""
    probe: Reader
    """Which probe read them; see the module."""
    measure: Literal["auroc", "within_question_auroc"]
    """Over all traces, or the mean over questions that have both labels."""
    estimate: float
    """The AUROC; NaN where it is undefined."""
    low: float
    """Lower end of its 95% interval, by bootstrap over questions."""
    high: float
    """Upper end."""
    difference: float
    """This AUROC less that of the erased states, of the same probe and measure."""
    difference_low: float
    """Lower end of its interval; questions are drawn for both together."""
    difference_high: float
    """Upper end."""
    n_questions: int
    """Questions that count: of the second measure, those with both labels."""
    n_traces: int
    """Traces that are scored."""


def erased_auroc(
    run: Run, direction: Direction, *, n_random: int = 10, seed: int = 0
) -> list[ErasedAuroc]:
    """The AUROC of the direction's probe on held-out questions, of each kind of states.

    Args:
        direction: one that was fitted on this run; one from a file gives nothing, as it has no
            eraser.
        n_random: random subspaces.
        seed: of the probes, the random subspaces and the bootstrap.
    """
    if direction.eraser is None:
        return []
    traces = run.traces([])
    keys = list(zip(traces["question_id"], traces["sample_index"].tolist(), strict=True))
    known = traces[[key in direction.labels for key in keys]]
    cell = read_cell(run, known, direction.layer, direction.position)
    names = zip(cell.traces["question_id"], cell.traces["sample_index"].tolist(), strict=True)
    y = np.array([direction.labels[key] for key in names], dtype=bool)
    groups = cell.traces["question_id"].to_numpy()
    data = _Data(
        kind=direction.source,
        X=cell.vectors[cell.row].astype(np.float64),
        y=y,
        groups=groups,
        fold=np.array([direction.folds[name] for name in groups]),
        random=random_directions(n_random, cell.vectors.shape[1], seed),
        seed=seed,
    )
    with threadpool_limits(1):  # on such small matrices threads wait for one another
        scores = [*_by_trained(data, direction), *_by_fresh(data)]
    found: dict[Reader, dict[States, list[Floats]]] = {}
    for probe, states, score in scores:
        found.setdefault(probe, {}).setdefault(states, []).append(score.round(DECIMALS))
    return [*_measured(found, y, groups, seed)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Data:
    """What is read."""

    kind: str
    """The probe's spec."""
    X: Floats
    """Unchanged states, shape [row, d_model]."""
    y: NDArray[np.bool_]
    """Labels, shape [row]."""
    groups: NDArray[Any]
    """Questions, shape [row]."""
    fold: NDArray[np.int64]
    """The direction's folds, shape [row]."""
    random: Floats
    """Random directions, shape [draw, d_model]."""
    seed: int
    """Of the probes."""

    def fit(self, X: Floats, rows: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        """A probe fitted to some rows of states X, which gives P(True) of states."""
        probe = load_probe(self.kind)(seed=self.seed)
        space = fit_space(X[rows], probe.n_components, self.seed)
        probe.fit(space.place(X[rows]), self.y[rows], self.groups[rows])
        return lambda states: predictions(probe, space.place(states))


Scores = Iterator[tuple[Reader, States, Floats]]


def _by_trained(data: _Data, direction: Direction) -> Scores:
    """Held-out P(True), shape [row], by the same and the refitted probe, of each kind of states."""
    assert direction.eraser is not None
    n_folds = len(direction.eraser)
    arms: list[tuple[States, Sequence[Project | None]]]
    arms = [("erased", direction.eraser), ("unchanged", [None] * n_folds)]
    if direction.shuffled_eraser is not None:
        arms += [("shuffled", direction.shuffled_eraser)]
    arms += [
        ("random", [take_out(vector[None], mean) for mean in direction.mean])
        for vector in data.random
    ]
    folds = [data.fold == number for number in np.unique(data.fold)]
    same = [data.fit(data.X, ~test) for test in folds]
    for number, (states, changes) in enumerate(arms):
        anew = states != "random" or number >= len(arms) - FITTED
        scores = np.empty((2, len(data.y)))
        for test, change, probe in zip(folds, changes, same, strict=True):
            X = _changed(change, data.X)
            scores[0, test] = probe(X[test])
            if anew:
                again = probe if change is None else data.fit(X, ~test)
                scores[1, test] = again(X[test])
        yield "same", states, scores[0]
        if anew:
            yield "refitted", states, scores[1]


def _by_fresh(data: _Data) -> Scores:
    """Held-out P(True), shape [row], by a probe and with an eraser that saw different questions;
    nothing where there are too few to share out."""
    numbers = np.unique(data.fold)
    for first in (0, 1):
        scores: dict[tuple[States, int], Floats] = {}
        for number in numbers:
            others = numbers[numbers != number]
            mine = np.isin(data.fold, others[first::2])
            test, rest = data.fold == number, np.isin(data.fold, others[1 - first :: 2])
            if min(_n_labels(data.y[mine]), _n_labels(data.y[rest])) < 2:
                log.info("a fresh probe of erased states needs more questions, or more folds")
                return
            for key, change in _fresh_arms(data, mine):
                X = _changed(change, data.X)
                own = scores.setdefault(key, np.empty(len(data.y)))
                own[test] = data.fit(X, rest)(X[test])
        for (states, _), score in scores.items():
            yield "fresh", states, score


def _fresh_arms(
    data: _Data, rows: NDArray[np.bool_]
) -> Iterator[tuple[tuple[States, int], Project | None]]:
    """What is fitted on some rows: states and number to the change."""
    tasks = [data.y[rows], shuffled(data.y[rows], data.seed)]
    names: tuple[States, States] = ("erased", "shuffled")
    for name, project in zip(names, leace(data.X[rows], tasks), strict=True):
        yield (name, 0), project
    yield ("unchanged", 0), None
    centre = data.X[rows].mean(axis=0)
    for draw, vector in enumerate(data.random[-FITTED:]):
        yield ("random", draw), take_out(vector[None], centre)


def _changed(change: Project | None, X: Floats) -> Floats:
    return X if change is None else erase(change, X)


def _n_labels(y: NDArray[np.bool_]) -> int:
    return len(np.unique(y))


def _measured(
    scores: Mapping[Reader, Mapping[States, Sequence[Floats]]],
    y: NDArray[np.bool_],
    groups: NDArray[Any],
    seed: int,
) -> Iterator[ErasedAuroc]:
    """Each probe's AUROC of each kind of states beside that of the erased ones."""
    measures: tuple[tuple[Literal["auroc", "within_question_auroc"], Any], ...]
    measures = (("auroc", _pooled), ("within_question_auroc", _within))
    for probe, kinds in scores.items():
        for measure, draw in measures:
            erased, erased_draws, _ = _mean(draw, kinds["erased"], y, groups, seed)
            for states, each in kinds.items():
                estimate, draws, n_questions = _mean(draw, each, y, groups, seed)
                low, high = _interval(draws)
                less = _interval(draws - erased_draws)
                yield ErasedAuroc(
                    states=states,
                    probe=probe,
                    measure=measure,
                    estimate=estimate,
                    low=low,
                    high=high,
                    difference=estimate - erased,
                    difference_low=less[0],
                    difference_high=less[1],
                    n_questions=n_questions,
                    n_traces=len(y),
                )


Drawn = tuple[float, Floats, int]
"""An AUROC, that of each bootstrap sample, and the number of questions that count."""


def _mean(
    draw: Callable[..., Drawn],
    scores: Sequence[Floats],
    y: NDArray[np.bool_],
    groups: NDArray[Any],
    seed: int,
) -> Drawn:
    """The mean AUROC of several scores of the same rows."""
    each = [draw(y, score, groups, seed) for score in scores]
    draws: Floats = np.mean([values for _, values, _ in each], axis=0)
    return float(np.mean([value for value, _, _ in each])), draws, each[0][2]


def _interval(draws: Floats) -> tuple[float, float]:
    return percentiles(draws[~np.isnan(draws)])  # a draw of one label only has no AUROC


def _pooled(y: NDArray[np.bool_], score: Floats, groups: NDArray[Any], seed: int) -> Drawn:
    draws = auroc_draws(y, score, groups, seed=seed)
    return auroc(y, score), draws, len(np.unique(groups))


def _within(y: NDArray[np.bool_], score: Floats, groups: NDArray[Any], seed: int) -> Drawn:
    values = auroc_per_question(y, score, groups).to_numpy(float)
    if not len(values):
        return np.nan, np.empty(0), 0
    draws: Floats = resample(len(values), seed=seed) @ values / len(values)
    return float(values.mean()), draws, len(values)
