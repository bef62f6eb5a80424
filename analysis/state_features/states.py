"""States that features are fitted on and measured on, and the piece of text that each one ends.

The mean of a question's states is taken off each of them: what is left is how a trace's states
differ from those of the question's other traces and steps. Half of the questions, drawn by the
seed, are for training; whatever is fitted sees these alone.

A state's *piece* is the tokens of its trace since the trace's state before it: at `step_end` the
step, at `every 8 tokens` eight tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.catalogue import need
from analysis.hidden_states.stored_states import captured, choose_place, within_gap
from cot.errors import InputError
from cot.models import load_tokenizer, resolve_run_model
from cot.store.run import Run
from cot.store.vectors import read_about
from cot.tokens import token_spans
from cot.types import TRACE_KEY

__all__ = ["States", "read_states", "run_tokenizer", "training_questions"]

log = logging.getLogger("cot")
POSITION = "step_end"
"""Where features are looked for by default."""
LEAST = 2
"""States of a question: of fewer, nothing is left without their mean."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class States:
    """The captured states of one layer and position."""

    layer: int
    """Blocks before the states."""
    position: str
    """Where they stand."""
    rows: pd.DataFrame
    """One row a state: question_id, sample_index, step, token (Int64), trace (numbered from 0),
    place (in [0, 1]: how far into its trace's tokens it stands), start, end (characters of its
    piece in the raw text; Int64, missing where they aren't known)."""
    vectors: NDArray[np.float32]
    """Without their question's mean, shape [row, d_model]."""
    tokens: Sequence[NDArray[np.int64]]
    """Token ids of each row's piece."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of states that are left out."""

    @property
    def questions(self) -> NDArray[Any]:
        """Each row's question."""
        found: NDArray[Any] = self.rows["question_id"].to_numpy()
        return found

    def of_questions(self, wanted: NDArray[np.bool_]) -> States:
        """The rows that are wanted, with traces numbered as before."""
        return States(
            layer=self.layer,
            position=self.position,
            rows=self.rows[wanted].reset_index(drop=True),
            vectors=self.vectors[wanted],
            tokens=[each for each, take in zip(self.tokens, wanted, strict=True) if take],
            excluded=self.excluded,
        )


def read_states(run: Run, layer: int | None, position: str | None) -> States:
    """The states of a layer and position; by default the middle layer, at `step_end` where that was
    captured.

    States of traces beyond the log-probability gap, and of questions with a single state, are left
    out, counted and logged.

    Raises:
        InputError: nothing was captured there that differs between a question's traces.
    """
    if position is None and any(name == POSITION for _, name in captured(run, None, None)):
        position = POSITION
    layer, position = choose_place(run, layer, position)
    index, vectors = run.activations(layer=layer, position=position)
    kept = within_gap(run).assign(kept=True)
    index = index.reset_index(drop=True).astype({"sample_index": "int64"})
    rows = index.merge(kept.astype({"sample_index": "int64"}), on=TRACE_KEY, how="left")
    inside = rows.pop("kept").notna()
    several = rows["question_id"][inside].value_counts()
    alone = inside & rows["question_id"].map(several).lt(LEAST)
    reasons = {
        "beyond the log-probability gap": ~inside,
        "alone of their question": alone,
    }
    excluded = {reason: int(out.sum()) for reason, out in reasons.items() if out.any()}
    for reason, number in excluded.items():
        log.info("features: %d states %s are left out", number, reason)
    left = (inside & ~alone).to_numpy()
    if not left.any():
        raise InputError(
            f"{run.path}: no state of layer {layer} at {position} is left: each question needs two "
            "states of traces within the log-probability gap"
        )
    rows, X = rows[left].reset_index(drop=True), vectors[left]
    codes, _ = pd.factorize(rows["question_id"])
    means = np.zeros((codes.max() + 1, X.shape[1]))
    np.add.at(means, codes, X.astype(np.float64))
    means /= np.bincount(codes)[:, None]
    rows["trace"] = rows.groupby(TRACE_KEY, sort=False).ngroup()
    rows, tokens = _pieces(run, rows)
    return States(
        layer=layer,
        position=position,
        rows=rows,
        vectors=(X - means[codes]).astype(np.float32),
        tokens=tokens,
        excluded=excluded,
    )


def training_questions(questions: Sequence[str], seed: int) -> frozenset[str]:
    """Half of the questions, drawn without a look at anything else.

    Raises:
        InputError: there are fewer than 4.
    """
    names = sorted(set(questions))
    if len(names) < 4:
        raise InputError(
            f"features are fitted on half of the questions and measured on the others: states of "
            f"{len(names)} questions are too few, give at least 4"
        )
    mixed = np.random.default_rng(seed).permutation(len(names))
    return frozenset(names[place] for place in mixed[: len(names) // 2])


# -- pieces ----------------------------------------------------------------------------------------


def _pieces(run: Run, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[NDArray[np.int64]]]:
    """The rows with place, start and end, and the token ids of each one's piece."""
    traces = run.traces(["text", "token_ids"]).astype({"sample_index": "int64"})
    wanted = traces.merge(rows[TRACE_KEY].drop_duplicates(), on=TRACE_KEY)
    written = {
        (name, index): (np.asarray(() if ids is None else ids, np.int64), text)
        for name, index, text, ids in wanted[[*TRACE_KEY, "text", "token_ids"]].itertuples(
            index=False
        )
    }
    steps = _step_spans(run) if rows["step"].notna().any() else {}
    tokenizer = None if steps else run_tokenizer(run)
    spans: dict[Any, NDArray[np.int64]] = {}
    tokens: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(rows)
    place, start, end = np.zeros(len(rows)), [pd.NA] * len(rows), [pd.NA] * len(rows)
    # a state without a token, such as a mean, is of the whole trace
    ordered = rows["token"].astype("Float64").fillna(np.inf).sort_values(kind="stable").index
    before: dict[Any, int] = {}
    keys = list(rows[[*TRACE_KEY, "step", "token"]].itertuples(index=False, name=None))
    for row in ordered:
        name, index, step, token = keys[row]
        ids, text = written[name, index]
        last = len(ids) if pd.isna(token) else min(int(token) + 1, len(ids))
        first = 0 if pd.isna(token) else before.get((name, index), 0)
        before[name, index] = last
        tokens[row] = ids[first:last]
        place[row] = last / max(len(ids), 1)
        if tokenizer is not None and last > first:
            if (name, index) not in spans:
                spans[name, index] = token_spans(tokenizer, ids.tolist(), text)
            own = spans[name, index]
            start[row], end[row] = int(own[first, 0]), int(own[last - 1, 1])
        elif (name, index, step) in steps:
            start[row], end[row] = steps[name, index, step]
    rows = rows.assign(
        place=place, start=pd.array(start, dtype="Int64"), end=pd.array(end, dtype="Int64")
    )
    return rows, tokens


def _step_spans(run: Run) -> dict[tuple[str, int, int], tuple[int, int]]:
    """(question_id, sample_index, step) to its characters."""
    table = need(run, "steps")
    names = [*TRACE_KEY, "step", "start", "end"]
    return {
        (str(name), int(index), int(step)): (int(start), int(end))
        for name, index, step, start, end in table[names].itertuples(index=False)
    }


def run_tokenizer(run: Run) -> Any | None:
    """The tokenizer of the model whose states these are; None where it can't be had, which is
    logged."""
    name = read_about(run.path / "activations").get("model") or run.identity.model
    try:
        return load_tokenizer(resolve_run_model(run.identity, str(name)))
    except InputError as error:
        log.info("features: no tokens are named: %s", error)
        return None
