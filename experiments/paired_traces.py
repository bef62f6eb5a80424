"""Trace by trace: what of a run is the same in another one that was sampled with the same seeds.

    python experiments/paired_traces.py runs/quantised/quantize=none runs/quantised/quantize=int8

A trace's seed follows from the run's seed, its question and its index, so that two runs of one
model would hold the same traces: what differs is due to their models. Each row is a mean
over questions with its interval:

    same text, same answer,   share of traces whose text, answer (of two valid ones) or dataflow (of
    same dataflow             two with equations) is that of the other run's trace of the same seed
    lost, gained              share of traces, of two valid ones, right before and wrong after, and
                              the other way round
    same majority             share of questions with the same majority answer
    state, layer k            how far the state at the prompt's end has moved, as a part of its
                              distance to another question's state: |h' - h| / mean |g - h|

`other_seeds` is the same mean for two traces of a question with different seeds, one of each run:
what two samples have in common anyhow.

Runs need the tables of `cot vote` and `cot paths`, and `cot capture --positions prompt_end`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

import cot
from analysis.hidden_states.stored_states import captured
from analysis.statistics.bootstrap import mean_interval
from cot.console import Output, emit
from cot.errors import ConsilienceError, InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

Pairs: TypeAlias = pd.DataFrame
"""Traces of one question in two runs: columns of the first end in _1, of the second in _2."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", help="the run that others are compared with")
    parser.add_argument("other", nargs="+", help="runs of the same questions and seed")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    given = parser.parse_args(arguments)
    try:
        rows = [row for other in given.other for row in compared(given.run, other)]
    except ConsilienceError as error:
        sys.exit(f"error: {error}")
    emit(Output(json=given.json), {"pairs": rows}, rows=rows)


def compared(run: str | Path, other: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of two runs.

    Raises:
        InputError: runs of different seeds or questions, or a table is missing.
    """
    one, two = cot.open_run(run), cot.open_run(other)
    if one.identity.seed != two.identity.seed:
        raise InputError(
            f"{other} has seed {two.identity.seed}, and {run} {one.identity.seed}: give runs with "
            "the same seed"
        )
    pairs = _traces(one).merge(_traces(two), on="question_id", suffixes=("_1", "_2"))
    if pairs.empty:
        raise InputError(f"{run} and {other} have no question in common")
    name = Path(other).name
    for measure, counts, value in MEASURES:
        there = pairs[counts(pairs)]
        same_seed = there["sample_index_1"] == there["sample_index_2"]
        beside = _shares(there[~same_seed], value).mean()
        yield _row(name, measure, _shares(there[same_seed], value), float(beside))
    votes = [each.table("votes").query("rule == 'majority'") for each in (one, two)]
    both = votes[0].merge(votes[1], on="question_id", suffixes=("_1", "_2"))
    agreeing = both["answer_1"].fillna("") == both["answer_2"].fillna("")
    yield _row(name, "same majority", agreeing.astype(float))
    for layer, _ in captured(one, None, ["prompt_end"]):
        yield _row(name, f"state, layer {layer}", moved(*(_states(r, layer) for r in (one, two))))


def _valid(pairs: Pairs) -> pd.Series:
    return (pairs["status_1"] == "ok") & (pairs["status_2"] == "ok")


def _has_equations(pairs: Pairs) -> pd.Series:
    return (pairs["dataflow_1"] != "") & (pairs["dataflow_2"] != "")


MEASURES: Sequence[tuple[str, Callable[[Pairs], Any], Callable[[Pairs], Any]]] = (
    (
        "same text",
        lambda pairs: pairs["text_1"].notna(),
        lambda pairs: pairs["text_1"] == pairs["text_2"],
    ),
    ("same answer", _valid, lambda pairs: pairs["answer_1"] == pairs["answer_2"]),
    ("same dataflow", _has_equations, lambda pairs: pairs["dataflow_1"] == pairs["dataflow_2"]),
    ("lost", _valid, lambda pairs: pairs["correct_1"] & ~pairs["correct_2"]),
    ("gained", _valid, lambda pairs: ~pairs["correct_1"] & pairs["correct_2"]),
)
"""Name, the pairs that count, and what is true of a pair."""


def _traces(run: Run) -> pd.DataFrame:
    answers = run.table("answers")[[*TRACE_KEY, "status", "answer", "correct"]]
    paths = run.table("paths")[[*TRACE_KEY, "dataflow"]]
    found = run.traces(["text"]).merge(answers, on=TRACE_KEY).merge(paths, on=TRACE_KEY, how="left")
    found["correct"] = found["correct"].fillna(False).astype(bool)
    return found.assign(dataflow=found["dataflow"].fillna(""))


def _shares(pairs: Pairs, value: Callable[[Pairs], Any]) -> pd.Series:
    """Of each question's pairs, the share of which it is true."""
    return value(pairs).astype(float).groupby(pairs["question_id"]).mean()


def moved(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    """How far each question's state has moved, as a part of its distance to another question's.

    Args:
        before: one row a question that is its index, shape [question, d_model].
        after: likewise; questions that only one has are left out.
    """
    common = before.index.intersection(after.index)
    old, new = before.loc[common].to_numpy(float), after.loc[common].to_numpy(float)
    apart = np.linalg.norm(old[:, None] - old[None], axis=-1).sum(axis=1) / (len(common) - 1)
    return pd.Series(np.linalg.norm(new - old, axis=1) / apart, index=common)


def _states(run: Run, layer: int) -> pd.DataFrame:
    index, vectors = run.activations(layer=layer, position="prompt_end")
    return pd.DataFrame(vectors, index=pd.Index(index["question_id"]))


def _row(
    name: str, measure: str, values: pd.Series, other_seeds: float | None = None
) -> dict[str, Any]:
    low, high = mean_interval(values)
    return {
        "run": name,
        "measure": measure,
        "estimate": float(values.mean()),
        "low": low,
        "high": high,
        "other_seeds": other_seeds,
        "n_questions": len(values),
    }


if __name__ == "__main__":
    main()
