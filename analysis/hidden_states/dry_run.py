"""What a capture would do, and how long it would take; nothing is written.

The time is measured, not guessed: the model is loaded, and questions are replayed, spread over what
is missing, for about ten seconds; the rest is taken to go at that pace.

    >>> estimate(run, layers="all")                                              # doctest: +SKIP
    Estimate(n_vectors=248000, bytes=285696000, n_traces=1600, n_tokens=85846, seconds=161.2)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.catalogue import maker_of
from analysis.hidden_states.backend import Job
from analysis.hidden_states.capturing import (
    SPARE,
    TOKENS_PER_BATCH,
    check_engine,
    open_backend,
)
from analysis.hidden_states.layers import LayerSpec
from analysis.hidden_states.plan import Task
from analysis.hidden_states.preparing import prepare
from analysis.hidden_states.spans import read_spans
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import read_about, read_index, read_replays

__all__ = ["Estimate", "estimate"]

SECONDS = 10.0
"""For which questions are replayed, at least two where there are two; the first warms up."""
BYTES = 2
"""Of a float16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is missing."""

    n_vectors: int
    """How many would be written, layers counted."""
    bytes: int
    """What they would take on disk, but for the index."""
    n_traces: int
    """How many traces would be replayed."""
    n_tokens: int
    """How many tokens: each trace's, and each prompt's once."""
    seconds: float
    """How long, loading the model included; 0 where nothing is missing."""


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
) -> Estimate:
    """What `capture` with the same arguments would do.

    Raises:
        InputError: as `capture`; or a table that the positions are read from isn't there yet.
    """
    check_engine(engine, device)
    work = prepare(
        run,
        layers=layers,
        positions=positions,
        spans=None if spans is None else read_spans(Path(spans)),
        model=model,
        limit=limit,
        spare=SPARE.get(engine, 0),
        read=_read,
    )
    folder = run.path / "activations"
    tasks = work.tasks(read_index(folder), read_about(folder), read_replays(folder))
    n_vectors = sum(len(task.layers) * len(some) for task in tasks for some in task.places.values())
    seconds = 0.0
    if tasks:
        start = time.perf_counter()
        with open_backend(run, work, engine, device, tokens_per_batch) as backend:
            loading = time.perf_counter() - start
            ordered = _spread(tasks)
            done, spent = 0, 0.0
            for number, task in enumerate(ordered):
                start = time.perf_counter()
                for _ in backend.replay([task.job], task.layers):
                    pass
                if number > 0 or len(ordered) == 1:
                    spent += time.perf_counter() - start
                    done += _tokens(task.job)
                if spent > SECONDS:
                    break
        seconds = loading + spent * sum(_tokens(task.job) for task in tasks) / done
    return Estimate(
        n_vectors=n_vectors,
        bytes=n_vectors * work.width * BYTES,
        n_traces=sum(len(task.job.traces) for task in tasks),
        n_tokens=sum(_tokens(task.job) for task in tasks),
        seconds=round(seconds, 1),
    )


def _read(run: Run, name: str) -> pd.DataFrame:
    if name not in run.tables():
        command = f"cot {maker_of(name).name} {run.path}"
        raise InputError(
            f"{run.path} has no table {name} yet, and a dry run writes none: `{command}` first"
        )
    return run.table(name)


def _spread(tasks: Sequence[Task]) -> list[Task]:
    """In an order whose every beginning is spread over all: 0, 1/2, 1/4, 3/4, 1/8, …"""
    bits = max(1, (len(tasks) - 1).bit_length())
    order = [int(format(number, f"0{bits}b")[::-1], 2) for number in range(2**bits)]
    return [tasks[place] for place in order if place < len(tasks)]


def _tokens(job: Job) -> int:
    return len(job.prompt_ids) + sum(len(trace.token_ids) for trace in job.traces)
