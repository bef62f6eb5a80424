"""What a capture would take, from lengths alone: no trace is decoded and no model is loaded.

>>> estimate(run, layers="all")                                              # doctest: +SKIP
Estimate(n_vectors=248000, bytes=285696000, n_traces=1600, n_tokens=85846, exact=True, note='')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.catalogue import maker_of
from analysis.hidden_states.places import (
    ENDS,
    EVERY,
    STEPS_PER_TRACE,
    TABLES,
    LayerSpec,
    read_spans,
)
from analysis.hidden_states.planning import Work, layers_there, plan, prepare
from analysis.hidden_states.shared_pass import SPARE, TOKENS_PER_BATCH, check_engine
from analysis.hidden_states.teacher_forcing import Job
from cot.store.run import Run
from cot.store.vectors import read_about, read_forced, read_index
from cot.types import TRACE_KEY

__all__ = ["Estimate", "estimate"]

BYTES = 2
"""Of a float16."""
FIXED = ("prompt_end", "mean")
"""Positions whose token follows from the trace's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is missing."""

    n_vectors: int
    """How many would be written, layers counted."""
    bytes: int
    """What they would take on disk, but for the index."""
    n_traces: int
    """How many traces would be run through the model."""
    n_tokens: int
    """How many tokens: each trace's, and each prompt's once."""
    exact: bool
    """Whether all tables that the positions are read from are there; if not, all these numbers are
    upper bounds."""
    note: str
    """What is bounded, and how; empty where it is exact."""


def estimate(
    run: Run,
    *,
    layers: LayerSpec = "every 4th",
    positions: Sequence[str] = ("prompt_end", "step_end", "pre_answer"),
    spans: str | Path | None = None,
    model: str | None = None,
    engine: str = "transformers",
    device: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    limit: int | None = None,
    steps_per_trace: int = STEPS_PER_TRACE,
    certainty: bool = False,
    **_: Any,
) -> Estimate:
    """What `capture` with the same arguments would do.

    Where a table of `positions` isn't there yet, an upper bound is counted: one answer, and
    `steps_per_trace` steps or sections a trace (as many as it has tokens where that is 0). Vectors
    that are stored count as there wherever the answer or step has moved to since; an answer that no
    token wrote counts as missing.

    Raises:
        InputError: as `capture`.
    """
    check_engine(engine, device)
    lacking: set[str] = set()

    def read(run: Run, name: str) -> pd.DataFrame:
        if name in run.tables():
            return run.table(name)
        lacking.add(name)
        names = [*TRACE_KEY, "step", "section", "start", "end", "token_start", "token_end"]
        return pd.DataFrame(columns=names)

    work = prepare(
        run,
        layers=layers,
        positions=positions,
        spans=None if spans is None else read_spans(Path(spans)),
        model=model,
        limit=limit,
        steps_per_trace=steps_per_trace,
        spare=SPARE.get(engine, 0),
        read=read,
        located=False,
    )
    bounded = [name for name in work.positions if TABLES.get(name) in lacking]
    jobs, n_vectors = _missing(run, work, certainty, everything=bool(bounded))
    lengths = work.traces["n_tokens"].to_numpy()
    for name in bounded:
        most = np.minimum(lengths, steps_per_trace or lengths) if name in ENDS else lengths > 0
        n_vectors += int(most.sum()) * len(work.layers)
    return Estimate(
        n_vectors=n_vectors,
        bytes=n_vectors * work.width * BYTES,
        n_traces=sum(len(job.traces) for job in jobs),
        n_tokens=sum(
            len(job.prompt_ids) + sum(len(trace.token_ids) for trace in job.traces) for job in jobs
        ),
        exact=not bounded,
        note=_note(run, bounded, steps_per_trace),
    )


def _missing(run: Run, work: Work, certainty: bool, everything: bool) -> tuple[list[Job], int]:
    """What would be run, and how many vectors of the known places would be written."""
    folder = run.path / "activations"
    # which token an answer or a step ends at isn't looked for: it is one place wherever it is
    spots = [
        spot
        if _is_fixed(spot.place.position)
        else spot._replace(place=spot.place._replace(token=None))
        for spot in work.spots
    ]
    index = read_index(folder)
    index["token"] = index["token"].where(index["position"].map(_is_fixed).astype(bool))
    there = layers_there(index, read_about(folder).get("shards", {}))
    forced = read_forced(folder)
    done = forced[forced["self_certainty"].notna()] if certainty else forced
    known = set(zip(*(done[name] for name in TRACE_KEY), strict=True))
    whole = (work.traces, work.prompts, spots, work.layers)
    tasks = plan(*whole, there, known)
    n_vectors = sum(len(task.layers) * len(some) for task in tasks for some in task.places.values())
    if everything:  # what isn't known may be missing of any trace
        tasks = plan(*whole, {}, set())
    return [task.job for task in tasks], n_vectors


def _is_fixed(position: str) -> bool:
    return position in FIXED or EVERY.fullmatch(position) is not None


def _note(run: Run, bounded: Sequence[str], steps_per_trace: int) -> str:
    parts = []
    for name in bounded:
        most = f"{steps_per_trace or 'as many as tokens'}" if name in ENDS else "one"
        table = TABLES[name]
        parts.append(
            f"{name}: {most} a trace, as there is no table {table} yet "
            f"(`cot {maker_of(table).name} {run.path}` makes it)"
        )
    return f"upper bound: {'; '.join(parts)}" if parts else ""
