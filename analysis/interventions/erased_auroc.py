"""Whether the label is gone: a probe's AUROC on held-out questions before and after erasure.

The probe reads states of questions that neither it nor the eraser was fitted on. It reads them
in two ways: the `same` probe that was fitted on unchanged states, and one that is `refitted` on the
erased states of the training questions. A linear probe that is refitted finds nothing there, by
construction, and its AUROC is .5; the same probe shows how much of what it read is left in states
of other questions.

    for found in erased_auroc(run, direction, seed=0):
        found.states, found.probe, found.measure, found.estimate, found.low, found.high
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.hidden_states.edits import Project
from analysis.hidden_states.stored_states import read_cell
from analysis.interventions.directions import Direction, random_directions
from analysis.interventions.leace import erase, take_out
from analysis.probes.crossfit import fit_space
from analysis.probes.estimator import load_probe, predictions
from analysis.statistics import auroc, auroc_per_question, resample
from analysis.statistics.bootstrap import percentiles
from analysis.statistics.ranking import auroc_draws
from cot.store.run import Run

__all__ = ["ErasedAuroc", "erased_auroc"]

States = Literal["unchanged", "erased", "random", "shuffled"]
DECIMALS = 6
"""Of a probability: a refitted probe's weights are 0 but for rounding, which must not rank."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedAuroc:
    """An AUROC on held-out questions."""

    states: States
    """What the probe read: states as they are, with the label erased, and the controls: with random
    subspaces of the same rank taken out (mean over them), and with shuffled labels erased."""
    probe: Literal["same", "refitted"]
    """Fitted on unchanged states, or on states that were changed alike."""
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
    fold = np.array([direction.folds[name] for name in groups])
    X = cell.vectors[cell.row].astype(np.float64)
    random = random_directions(n_random, X.shape[1], seed)
    arms: dict[States, list[Sequence[Project] | None]] = {
        "erased": [direction.eraser],
        "unchanged": [None],
        "random": [[take_out(r[None], mean) for mean in direction.mean] for r in random],
    }
    if direction.shuffled_eraser is not None:
        arms["shuffled"] = [direction.shuffled_eraser]
    arms = {states: changes for states, changes in arms.items() if changes}
    with threadpool_limits(1):  # on such small matrices threads wait for one another
        scores = {
            states: [_scores(direction.source, X, y, groups, fold, each, seed) for each in changes]
            for states, changes in arms.items()
        }
    return [*_measured(scores, y, groups, seed)]


def _scores(
    kind: str,
    X: Floats,
    y: NDArray[np.bool_],
    groups: NDArray[Any],
    fold: NDArray[np.int64],
    change: Sequence[Project] | None,
    seed: int,
) -> Floats:
    """Held-out P(True) by the same probe and by the refitted one, shape [2, row]."""
    found = np.full((2, len(y)), np.nan)
    for number in np.unique(fold):
        test = fold == number
        own = None if change is None else change[number]
        changed = X if own is None else erase(own, X)
        for place, trained_on in enumerate((X, changed)):
            probe = load_probe(kind)(seed=seed)
            space = fit_space(trained_on[~test], probe.n_components, seed)
            probe.fit(space.place(trained_on[~test]), y[~test], groups[~test])
            found[place, test] = predictions(probe, space.place(changed[test]))
    rounded: Floats = found.round(DECIMALS)
    return rounded


def _measured(
    scores: dict[States, list[Floats]], y: NDArray[np.bool_], groups: NDArray[Any], seed: int
) -> Iterator[ErasedAuroc]:
    """Each kind of states beside the erased ones, which come first."""
    measures: tuple[tuple[Literal["auroc", "within_question_auroc"], Any], ...]
    measures = (("auroc", _pooled), ("within_question_auroc", _within))
    probes: tuple[Literal["same", "refitted"], ...] = ("same", "refitted")
    for place, probe in enumerate(probes):
        for measure, draw in measures:
            erased: tuple[float, Floats] | None = None
            for states, arms in scores.items():
                each = [draw(y, arm[place], groups, seed) for arm in arms]
                estimate = float(np.mean([value for value, _, _ in each]))
                draws = np.mean([values for _, values, _ in each], axis=0)
                erased = erased or (estimate, draws)
                low, high = _interval(draws)
                less = _interval(draws - erased[1])
                yield ErasedAuroc(
                    states=states,
                    probe=probe,
                    measure=measure,
                    estimate=estimate,
                    low=low,
                    high=high,
                    difference=estimate - erased[0],
                    difference_low=less[0],
                    difference_high=less[1],
                    n_questions=each[0][2],
                    n_traces=len(y),
                )


def _interval(draws: Floats) -> tuple[float, float]:
    return percentiles(draws[~np.isnan(draws)])  # a draw of one label only has no AUROC


def _pooled(
    y: NDArray[np.bool_], score: Floats, groups: NDArray[Any], seed: int
) -> tuple[float, Floats, int]:
    """The AUROC over all traces, its draws, and the number of questions."""
    return auroc(y, score), auroc_draws(y, score, groups, seed=seed), len(np.unique(groups))


def _within(
    y: NDArray[np.bool_], score: Floats, groups: NDArray[Any], seed: int
) -> tuple[float, Floats, int]:
    """The mean AUROC over questions with both labels, its draws, and their number."""
    values = auroc_per_question(y, score, groups).to_numpy(float)
    if not len(values):
        return np.nan, np.empty(0), 0
    draws: Floats = resample(len(values), seed=seed) @ values / len(values)
    return float(values.mean()), draws, len(values)
