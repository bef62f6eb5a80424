"""Do measures of a step's importance agree? Knock-out beside resampling and early answering.

The measures are those of `importance.py`, and `knockout_excess`: what a knock-out takes beyond
what hiding a random span of as many tokens takes.

Two of them are compared by Spearman's rank correlation of a trace's steps, in two ways. `spearman`:
within each trace in which both are known of LEAST steps or more and neither is constant; the mean
over a question's traces, then over questions. `spearman_pooled`: the traces' means are removed, and
the steps of all traces with two or more are ranked together; short traces count there too.

    a trace's steps  0    1    2    3
    knockout        .1  2.0   .3   .2     ranks 1 4 3 2
    resampling      .0   .9   .4   .1     ranks 1 4 3 2        Spearman 1

Three things keep such a number honest: an interval by bootstrap over questions; p, from steps that
are permuted within their traces; and the same correlation of the step's place alone (`position`),
in whichever direction it fits better, as early or late steps may matter by any measure.

Any other score of steps (an attribution, how much attention a step is paid) is compared with these
measures in the same way, by `rank_scores`.

>>> rank_findings(step_importance(run, run.table("interventions")), seed=0)      # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.interventions.importance import STEP_KEY
from analysis.statistics import resample
from analysis.statistics.bootstrap import percentiles
from cot.types import TRACE_KEY, Finding

__all__ = ["rank_findings", "rank_scores"]

LEAST = 3
"""Steps of a trace that its own correlation needs, and questions that an estimate needs."""
PERMUTATIONS = 500
CELLS = 2**20
"""Numbers held at a time while draws are computed."""
MEASURES = {
    "spearman": f"mean over traces with {LEAST} steps or more, then over questions",
    "spearman_pooled": "the traces' means removed, the steps of all traces ranked together",
}
"""Measure to what it is a correlation of."""
IMPORTANCE = ("knockout", "knockout_excess", "resampling", "early_answering")
"""Measures of a step's importance."""
PAIRS = (
    *product(IMPORTANCE[:2], IMPORTANCE[2:]),
    ("knockout_reworded", "knockout"),
    ("resampling", "early_answering"),
    *product(("position",), IMPORTANCE),
)
"""What is correlated with what."""
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Paired:
    """Two measures of the same steps, rows sorted by trace."""

    question: Codes
    """Number of each row's question, from 0, shape [row]."""
    trace: Codes
    """Number of each row's trace, from 0 and ascending, shape [row]."""
    first: Floats
    """One measure, shape [row]."""
    second: Floats
    """The other, shape [row]."""
    position: Floats
    """The step's place, shape [row]."""

    @property
    def n_questions(self) -> int:
        """Questions."""
        return int(self.question.max(initial=-1)) + 1

    @property
    def n_traces(self) -> int:
        """Traces."""
        return int(self.trace.max(initial=-1)) + 1


def rank_findings(table: pd.DataFrame, seed: int) -> list[Finding]:
    """Rank correlations of the measures that the table has, each with interval and p.

    Subject `knockout × resampling` and so on. With baseline `position`, the estimate is how far the
    correlation exceeds that of the step's place in the first measure's stead. n_excluded counts
    the table's traces of which too few steps are known. An estimate that fewer than LEAST questions
    know is None, and `method` says so.

    Args:
        table: `step_importance`.
        seed: of the bootstrap and the permutations.
    """
    known = _with_excess(table).sort_values(STEP_KEY, kind="stable")
    n_all = int((~known.duplicated(TRACE_KEY)).sum())
    pairs = [pair for pair in PAIRS if all(known[name].notna().any() for name in pair)]
    return [
        finding
        for measure, (first, second) in product(MEASURES, pairs)
        for finding in _correlate(known, measure, first, second, n_all, seed)
    ]


def rank_scores(
    scores: pd.DataFrame,
    importance: pd.DataFrame,
    name: str,
    seed: int,
    against: Sequence[str] = IMPORTANCE,
) -> list[Finding]:
    """Rank correlations of any score of steps with measures of their importance: findings with
    subjects `NAME × knockout` and so on, each without a baseline and beyond the step's place.

    A measure that the table lacks, or knows of no step, gives no finding.

    Args:
        scores: question_id, sample_index, step, score; more columns are left alone. n_excluded
            counts the traces among them of which too few steps are known.
        importance: `step_importance`, or another table with its key and `position`.
        name: what the score is.
        seed: of the bootstrap and the permutations.
        against: which measures.
    """
    own = scores[[*STEP_KEY, "score"]].rename(columns={"score": name})
    own = own.astype({"step": int, name: float})
    known = own.merge(_with_excess(importance), on=STEP_KEY, how="left", validate="one_to_one")
    known = known.sort_values(STEP_KEY, kind="stable")
    n_all = int((~known.duplicated(TRACE_KEY)).sum())
    there = [each for each in against if each in known and known[each].notna().any()]
    return [
        finding
        for measure, other in product(MEASURES, there)
        for finding in _correlate(known, measure, name, other, n_all, seed)
    ]


def _with_excess(table: pd.DataFrame) -> pd.DataFrame:
    """The table, with `knockout_excess` where it has knock-outs."""
    if "knockout" not in table:
        return table
    return table.assign(knockout_excess=table["knockout"] - table["knockout_control"])


def _correlate(
    table: pd.DataFrame, measure: str, first: str, second: str, n_all: int, seed: int
) -> Iterator[Finding]:
    """A pair's correlation, and what it has beyond that of the place."""
    within = measure == "spearman"
    pair = _paired(table, first, second, LEAST if within else 2, varied=within)
    method = f"Spearman's rank correlation over steps, {MEASURES[measure]}; traces of which too "
    method += "few steps are known are excluded; 95% bootstrap over questions; p: steps permuted "
    method += f"within traces, {PERMUTATIONS} times, two-sided"
    beside = f"{method}; baseline: the step's place instead of {first}, in the better direction"
    draws = (_within if within else _pooled)(pair, seed) if pair.n_questions >= LEAST else None
    if draws is not None and np.isnan(draws.value):
        draws = None  # a measure is the same at all steps
    why = f"undefined: fewer than {LEAST} questions have traces in which both differ by step"
    for baseline, shown in (("", method), ("position", beside)):
        if baseline == first or (baseline and first == "position"):
            continue
        value: float | None = None
        low = high = p = None
        if draws is not None:
            value = draws.value - (abs(draws.by_place) if baseline else 0.0)
            drawn = draws.drawn - (np.abs(draws.drawn_by_place) if baseline else 0.0)
            low, high = percentiles(drawn[~np.isnan(drawn)])
            p = None if baseline else draws.p
        yield Finding(
            measure=measure,
            subject=f"{first} × {second}",
            baseline=baseline,
            estimate=value,
            low=low,
            high=high,
            p=p,
            n_questions=pair.n_questions,
            n_traces=pair.n_traces,
            n_excluded=n_all - pair.n_traces,
            method=why if draws is None else shown,
            seed=seed,
        )


def _paired(table: pd.DataFrame, first: str, second: str, least: int, *, varied: bool) -> Paired:
    """The rows of which both are known, of traces with at least so many.

    Args:
        table: sorted by trace.
        varied: leave out traces in which a measure is constant.
    """
    known = table[table[first].notna() & table[second].notna()]
    by_trace = known.groupby(TRACE_KEY, sort=False)
    enough = by_trace["step"].transform("size") >= least
    if varied:
        for name in (first, second):
            enough &= by_trace[name].transform("nunique") > 1
    rows = known[enough]
    return Paired(
        question=pd.factorize(rows["question_id"])[0].astype(np.int64),
        trace=rows.groupby(TRACE_KEY, sort=False).ngroup().to_numpy(np.int64),
        **{
            field: rows[name].to_numpy(float)
            for field, name in (("first", first), ("second", second), ("position", "position"))
        },
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A correlation and what it is compared with."""

    value: float
    """The estimate."""
    by_place: float
    """The same with the step's place in the first measure's stead."""
    drawn: Floats
    """The estimate over resampled questions, shape [draw]; NaN where it is undefined."""
    drawn_by_place: Floats
    """The same of the place."""
    p: float
    """Share of permutations with a correlation as far from 0, the estimate counted as one."""


def _within(pair: Paired, seed: int) -> Drawn:
    first, second, place = (_ranks(each, pair) for each in (pair.first, pair.second, pair.position))
    n_traces = np.bincount(pair.question[_starts(pair.trace)], minlength=pair.n_questions)

    def by_question(one: Floats) -> Floats:
        """Mean over each question's traces of the correlation with `second`."""
        cross, square, other = (
            np.bincount(pair.trace, each) for each in (one * second, one**2, second**2)
        )
        rho = cross / np.sqrt(square * other)
        of_trace = pair.question[_starts(pair.trace)]
        return np.bincount(of_trace, rho, pair.n_questions) / n_traces

    counts = resample(pair.n_questions, seed=seed)
    own, by_place = by_question(first), by_question(place)
    value = float(own.mean())
    null = [by_question(each).mean() for each in _permuted(first, pair, seed)]
    return Drawn(
        value=value,
        by_place=float(by_place.mean()),
        drawn=counts @ own / pair.n_questions,
        drawn_by_place=counts @ by_place / pair.n_questions,
        p=_two_sided(value, null),
    )


def _pooled(pair: Paired, seed: int) -> Drawn:
    first, second, place = (
        _less_mean(each, pair) for each in (pair.first, pair.second, pair.position)
    )
    one = np.ones((1, len(first)))
    counts = resample(pair.n_questions, seed=seed)
    chunk = max(1, CELLS // max(1, len(first)))  # memory stays flat in the number of steps

    def drawn(measure: Floats) -> Floats:
        parts = [
            weighted_spearman(measure, second, counts[begin : begin + chunk][:, pair.question])
            for begin in range(0, len(counts), chunk)
        ]
        return np.concatenate(parts)

    value, by_place = (float(weighted_spearman(each, second, one)[0]) for each in (first, place))
    # Ranks are those of the same numbers however they are permuted: they are computed once.
    ranks = (_midranks(each, one)[0] for each in (first, second))
    left, right = (each - each.mean() for each in ranks)
    size = np.sqrt((left**2).sum() * (right**2).sum())
    null = [(each * right).sum() / size for each in _permuted(left, pair, seed)] if size else []
    return Drawn(
        value=value,
        by_place=by_place,
        drawn=drawn(first),
        drawn_by_place=drawn(place),
        p=_two_sided(value, null),
    )


def weighted_spearman(first: Floats, second: Floats, weights: NDArray[np.generic]) -> Floats:
    """Spearman's correlation with each row as often as its weight says, [draw, row] -> [draw].

    NaN where a side is constant among the rows that were drawn.
    """
    share = weights / weights.sum(axis=1, keepdims=True)
    one, other = (_midranks(each, share) for each in (first, second))
    one, other = (each - (share * each).sum(axis=1, keepdims=True) for each in (one, other))
    cross = (share * one * other).sum(axis=1)
    size = np.sqrt((share * one**2).sum(axis=1) * (share * other**2).sum(axis=1))
    found: Floats = np.full(len(cross), np.nan)
    np.divide(cross, size, out=found, where=size > 1e-12)
    return found


def _midranks(values: Floats, weights: Floats) -> Floats:
    """Rank of each row, shape [draw, row]: the weight below it, and half of that at its value."""
    level = np.unique(values, return_inverse=True)[1]
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    at = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(at, axis=1) - at / 2)[:, level]
    return ranks


def _ranks(values: Floats, pair: Paired) -> Floats:
    """Ranks among a trace's steps, ties averaged, their mean removed."""
    ranks = pd.Series(values).groupby(pair.trace).rank().to_numpy(float)
    return _less_mean(ranks, pair)


def _less_mean(values: Floats, pair: Paired) -> Floats:
    """The values with their trace's mean removed.

    Rounded, so that equal differences from unequal means stay ties.
    """
    means = np.bincount(pair.trace, values) / np.bincount(pair.trace)
    return np.round(values - means[pair.trace], 12)


def _permuted(values: Floats, pair: Paired, seed: int) -> Iterator[Floats]:
    """The values permuted among each trace's steps."""
    generator = np.random.default_rng(seed)
    for _ in range(PERMUTATIONS):
        # Rows are sorted by trace already: sorting by trace and chance mixes within traces only.
        yield values[np.lexsort((generator.random(len(values)), pair.trace))]


def _starts(codes: Codes) -> NDArray[np.bool_]:
    """Whether a row is the first of its trace."""
    return np.diff(codes, prepend=-1) > 0


def _two_sided(value: float, null: list[float]) -> float:
    if not null:
        return float("nan")
    # A permutation that gives the same ranks must count, whatever the sums' rounding.
    far = np.abs(null) >= abs(value) - 1e-12
    return float((1 + far.sum()) / (1 + len(null)))
