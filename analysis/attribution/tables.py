"""What an attribution stores of a trace, and the tables that are made of it.

Four kinds of unit (see `analysis.interventions.units`) lie under activations/attribution:

    METHOD              rows of parts, of the trace and of its tokens
    METHOD randomised   rows of parts, with weights drawn anew
    removals            rows of steps: what the log-odds lose without each, and gain with it alone
    gap                 one row: how far the model's log-probabilities are from the stored ones
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.attribution.contract import Values
from analysis.attribution.parts import PARTS, Target

__all__ = [
    "GAP",
    "REMOVALS",
    "attribution_table",
    "randomised",
    "removal_table",
    "rows_of",
    "token_table",
    "trace_table",
]

GAP, REMOVALS = "gap", "removals"
Rows = Sequence[Mapping[str, Any]]
Done = Mapping[tuple[str, int, str], Rows]
KEYS = ("question_id", "sample_index", "method")
VALUES = (*KEYS, "part", "step", "value", "n_tokens", "second_seed", "randomised")
TRACES = (
    *(*KEYS, "target", "baseline", "gap", "n_steps", "n_scored", "n_tokens"),
    *("n_forward", "n_backward", "seconds"),
)
STEPS = ("question_id", "sample_index", "step", "removed", "inserted", "n_tokens")
TOKENS = (*KEYS, "token", "part", "step", "text", "value")


def randomised(spec: str) -> str:
    """The unit of a method under weights that are drawn anew."""
    return f"{spec} randomised"


def rows_of(
    target: Target, values: Values, again: Values | None, *, tokens: bool, **cost: float
) -> Iterator[dict[str, Any]]:
    """The rows of a trace's attribution.

    Args:
        again: under a second seed.
        tokens: keep values of tokens.
        cost: n_forward and n_backward (tokens), seconds.
    """
    for part, value in values.parts.items():
        yield {
            "kind": "part",
            "part": part.name,
            "step": part.step,
            "value": value,
            "n_tokens": part.n_tokens,
            "second_seed": None if again is None else again.parts[part],
        }
    yield {
        "kind": "trace",
        "target": values.total,
        "baseline": values.baseline,
        "gap": values.gap,
        "n_steps": len(target.steps),
        "n_scored": sum(part.step is not None for part in values.parts),
        "n_tokens": len(target.token_ids),
        **cost,
    }
    if tokens and values.tokens is not None:
        yield {"kind": "tokens", "values": values.tokens.tolist()}


def attribution_table(
    targets: Sequence[Target], methods: Sequence[str], done: Done
) -> pd.DataFrame:
    """The table `attributions`, in the order of methods, traces and parts."""
    order = {name: place for place, name in enumerate(PARTS)}
    rows: list[dict[str, Any]] = []
    for spec in methods:
        for target in targets:
            own = [row for row in _unit(done, target, spec) if row["kind"] == "part"]
            other = {
                (row["part"], row["step"]): row["value"]
                for row in _unit(done, target, randomised(spec))
            }
            own.sort(key=lambda row: (order[row["part"]], row["step"] or 0))
            rows += [
                {**_keys(target, spec), **row, "randomised": other.get((row["part"], row["step"]))}
                for row in own
            ]
    return _typed(rows, VALUES, "value", "second_seed", "randomised")


def trace_table(targets: Sequence[Target], methods: Sequence[str], done: Done) -> pd.DataFrame:
    """The table `attribution_traces`, in the same order."""
    rows = [
        {**_keys(target, spec), **row}
        for spec in methods
        for target in targets
        for row in _unit(done, target, spec)
        if row["kind"] == "trace"
    ]
    return _typed(rows, TRACES, "target", "baseline", "gap", "seconds")


def removal_table(targets: Sequence[Target], done: Done) -> pd.DataFrame:
    """The table `step_removals`."""
    rows = [
        {**_keys(target, ""), **row} for target in targets for row in _unit(done, target, REMOVALS)
    ]
    return _typed(rows, STEPS, "removed", "inserted").astype({"step": "int64"})


def token_table(
    targets: Sequence[Target], methods: Sequence[str], done: Done, tokenizer: Any
) -> pd.DataFrame:
    """The table `attribution_tokens`, of the traces whose tokens were kept."""
    rows: list[dict[str, Any]] = []
    for spec in methods:
        for target in targets:
            for row in _unit(done, target, spec):
                if row["kind"] == "tokens":
                    rows += _tokens(target, spec, row["values"], tokenizer)
    return _typed(rows, TOKENS, "value").astype({"token": "int64"})


def _tokens(
    target: Target, spec: str, values: Sequence[float], tokenizer: Any
) -> Iterator[dict[str, Any]]:
    n = len(target.case.prompt_ids)
    of = {token: part for part in target.parts for span in part.spans for token in span}
    for place, (token, value) in enumerate(zip(target.token_ids, values, strict=True), -n):
        yield {
            **_keys(target, spec),
            "token": place,
            "part": of[place].name,
            "step": of[place].step,
            "text": tokenizer.decode([token]),
            "value": value,
        }


def _unit(done: Done, target: Target, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in done.get((*target.key, name), ())]


def _keys(target: Target, spec: str) -> dict[str, Any]:
    return dict(zip(KEYS, (*target.key, spec), strict=True))


def _typed(rows: Sequence[Any], columns: Sequence[str], *numbers: str) -> pd.DataFrame:
    types: dict[str, Any] = {"sample_index": "int32", **dict.fromkeys(numbers, np.float64)}
    types |= {name: "Int64" for name in columns if name == "step"}
    types |= {name: "int64" for name in columns if name.startswith("n_")}
    return pd.DataFrame(rows, columns=list(columns)).astype(types)
