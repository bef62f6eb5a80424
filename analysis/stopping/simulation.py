"""Stopping rules simulated on every question, in file order or in many random orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stopping.trace_matrix import TraceMatrix
from cot.stopping.codes import replay, tally

__all__ = ["Simulated", "in_random_orders", "mean_by_question", "simulate"]

Integers = NDArray[np.int64]
CELLS = 2**21
"""Samples simulated at a time."""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Where a rule stopped on every question, and its answer; arrays have the shape [row]."""

    used: Integers
    """Samples used."""
    stopped: NDArray[np.bool_]
    """Whether the rule stopped, rather than the traces ended."""
    answer: Integers
    """Code of its answer."""
    majority: Integers
    """Code of the plain vote over the samples used."""
    tied: NDArray[np.bool_]
    """That vote is tied."""
    all: Integers
    """Code of the vote over all samples, in this order."""
    tokens: Integers | None
    """Tokens used."""


def simulate(matrix: TraceMatrix, traces: Integers, rule: Any, series: Any = None) -> Simulated:
    """Simulate a rule.

    Args:
        traces: the order, [row, sample]: all of `matrix.traces`, or several orders of it stacked.
        series: what the rule reads of the traces beside their answers, for one that needs it.
    """
    codes = matrix.codes_of(traces)
    if series is None:
        replayed, tokens = replay(rule, codes), None
    else:
        replayed, tokens = rule.replay_traces(codes, traces, series)
    each = matrix.tokens_of(traces)
    if tokens is None and each is not None:  # the rule cuts no trace
        seen = np.arange(codes.shape[1]) < replayed.used[:, None]
        tokens = np.where(seen, each, 0).sum(axis=1)
    vote = tally(codes, replayed.used)
    return Simulated(
        used=replayed.used,
        stopped=replayed.stopped,
        answer=replayed.answer,
        majority=vote.answer,
        tied=vote.tied,
        all=tally(codes, np.full(len(codes), codes.shape[1])).answer,
        tokens=tokens,
    )


def mean_by_question(matrix: TraceMatrix, simulated: Simulated) -> pd.DataFrame:
    """Means over stacked orders, one row a question: correct, majority, all (the votes are right),
    used, stopped, tokens."""
    columns: dict[str, Any] = {
        "correct": matrix.is_gold(simulated.answer),
        "majority": matrix.is_gold(simulated.majority),
        "all": matrix.is_gold(simulated.all),
        "used": simulated.used,
        "stopped": simulated.stopped,
    }
    if simulated.tokens is not None:
        columns["tokens"] = simulated.tokens
    n = len(matrix.sizes)  # rows of one order; orders are stacked, and so are axis 0
    return pd.DataFrame({name: each.reshape(-1, n).mean(axis=0) for name, each in columns.items()})


def in_random_orders(
    matrix: TraceMatrix,
    rules: Mapping[str, Any],
    series: Mapping[str, Any],
    permutations: int,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Each rule's averages over the same random orders."""
    sums: dict[str, Any] = dict.fromkeys(rules, 0.0)
    for traces in _orders(matrix, permutations, seed):
        share = len(traces) / (len(matrix.sizes) * permutations)  # of the orders in this chunk
        for name, rule in rules.items():
            simulated = simulate(matrix, traces, rule, series[name])
            sums[name] = sums[name] + mean_by_question(matrix, simulated) * share
    return sums


def _orders(matrix: TraceMatrix, permutations: int, seed: int) -> Iterator[Integers]:
    """Random orders of every question's traces, several stacked, [order × row, sample]."""
    generator = np.random.default_rng(seed)
    at_once = max(1, CELLS // matrix.traces.size)
    for begin in range(0, permutations, at_once):
        tiled = np.tile(matrix.traces, (min(at_once, permutations - begin), 1))
        keys = generator.random(tiled.shape, dtype=np.float32)
        keys[tiled < 0] = 2.0  # above every key, so that places without a trace stay last
        yield np.take_along_axis(tiled, keys.argsort(axis=1), axis=1)
