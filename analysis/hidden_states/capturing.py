"""Hidden states of the stored traces, by teacher forcing, and what a capture would take.

The stored token ids are run through the model again (teacher forcing; the text is never tokenised
anew) and the residual stream is kept where it is asked for. The forward passes are checked: the
log-probability of every sampled token is compared with the stored one.

    >>> capture(run, layers=[8, 16], positions=["prompt_end", "pre_answer"])     # doctest: +SKIP
    >>> estimate(run, layers="all")                                              # doctest: +SKIP
    Estimate(n_vectors=248000, bytes=285696000, n_traces=1600, n_tokens=85846, seconds=161.2)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.catalogue import maker_of
from analysis.declaration import Shown, analysis
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.places import LayerSpec, read_spans
from analysis.hidden_states.planning import Task, Work, places, prepare
from analysis.hidden_states.stored_states import MAX_GAP, gaps_table, largest_gap
from analysis.hidden_states.teacher_forcing import Job, TeacherForcing
from analysis.hidden_states.vllm_forcing import VllmTeacherForcing
from cot.errors import InputError
from cot.models import load_model
from cot.progress import track
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter, read_about, read_gaps, read_index
from cot.types import TRACE_KEY

__all__ = [
    "ENGINES",
    "SPARE",
    "TOKENS_PER_BATCH",
    "Estimate",
    "capture",
    "estimate",
    "open_teacher_forcing",
]

log = logging.getLogger("cot")

TOKENS_PER_BATCH = 16_384
ENGINES = ("transformers", "vllm")
SPARE = {"vllm": 1}
"""Tokens of the context that an engine needs for itself: vLLM always generates one."""


def _show(run: Run, captured: pd.DataFrame) -> Shown:
    gaps = run.table("logprob_gaps")
    files = (run.path / "activations").glob("*.safetensors")
    result = {
        "n_vectors": len(captured),
        "bytes": sum(file.stat().st_size for file in files),
        "layers": sorted(captured["layer"].unique().tolist()),
        "n_traces": len(gaps),
        "n_without_logprobs": int(gaps["max_logprob_gap"].isna().sum()),
        "max_logprob_gap": gaps["max_logprob_gap"].max(),
        "n_flagged": int(gaps["flagged"].sum()),
    }
    return Shown(json=result, tables=[[result]])


def _dry_run(run: Run, dry_run: bool, max_gap: float, **asked: Any) -> Shown:
    """Say what would be captured, how large it is and how long it takes; write nothing."""
    planned = asdict(estimate(run, **asked))
    return Shown(json=planned, tables=[[planned]])


@analysis(
    makes={
        "logprob_gaps": "one row a trace: the largest gap between stored and new log-probabilities"
    },
    show=_show,
    views={"dry_run": _dry_run},
)
def capture(
    run: Run,
    layers: LayerSpec = "every 4th",
    positions: Sequence[str] = ("prompt_end", "step_end", "pre_answer"),
    spans: str | Path | None = None,
    model: str | None = None,
    engine: Literal["transformers", "vllm"] = "transformers",
    device: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    limit: int | None = None,
    max_gap: float = MAX_GAP,
) -> pd.DataFrame:
    """Capture what is missing into the run's activations/; also writes the table `logprob_gaps`.

    Returns one row a vector of the asked layers and positions: question_id, sample_index (Int64,
    missing for `prompt_end`), position, step (Int64, missing but for `step_end`), token (Int64
    index into the generated ids, -1 for the prompt's last), layer. `run.activations` reads them.

    Table `logprob_gaps`, one row a trace that was run again: question_id, sample_index, n_tokens,
    max_logprob_gap (NaN where the trace has no stored log-probabilities), flagged (whether the gap
    is too large for the vectors to be trusted).

    Traces without token ids or without a prompt, and those longer than the model's context, are
    left out, counted and named in a notice.

    Args:
        layers: layers to capture: numbers, ranges, fractions of the depth, all, or every 4th, which
            takes the last layer too.
        positions: positions to capture: prompt_end, step_end, pre_answer, answer, mean, every 8
            tokens.
        spans: a file of character spans to capture as well: question_id, sample_index, start, end,
            name.
        model: the model to run; by default the one that sampled the run.
        engine: the engine that runs it: transformers or vllm.
        device: a torch device, by default CUDA where there is one; `auto` spreads the model over
            all of them. vLLM chooses for itself.
        tokens_per_batch: most tokens in one batch, prompts and padding included.
        limit: number of questions to capture, from the first; all by default.
        max_gap: largest log-probability gap, in nats; traces beyond it are flagged and left out.

    Raises:
        InputError: an unknown layer, position, engine or model; spans that aren't in the traces;
            no model named for an imported run; a model other than the one whose states are there,
            or one that a capture can't look into.
    """
    check_engine(engine, device)
    if spans is not None:
        run.reads(f"file:{Path(spans).resolve()}")
    work = prepare(
        run,
        layers=layers,
        positions=positions,
        spans=None if spans is None else read_spans(Path(spans)),
        model=model,
        limit=limit,
        spare=SPARE.get(engine, 0),
    )
    folder = run.path / "activations"
    with (
        VectorWriter(folder, model=work.model.name, revision=work.model.revision) as writer,
    ):
        _forget_stale(writer, work)
        if tasks := work.tasks(writer.index, writer.about, writer.gaps):
            with open_teacher_forcing(run, work, engine, device, tokens_per_batch) as forcing:
                _capture(forcing, tasks, work.traces, writer)
    run.write_table("logprob_gaps", gaps_table(run, writer.gaps, max_gap))
    index = pd.DataFrame([spot.place for spot in work.spots], columns=list(Place._fields))
    index = index.astype({"sample_index": "Int64", "step": "Int64", "token": "Int64"})
    return index.merge(pd.DataFrame({"layer": work.layers}), how="cross")


def check_engine(engine: str, device: str | None) -> None:
    """Raise InputError for an engine that isn't known, or a device that it can't be given."""
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine == "vllm" and device is not None:
        raise InputError("vLLM chooses its device: leave --device out, or use transformers")


@contextmanager
def open_teacher_forcing(
    run: Run, work: Work, engine: str, device: str | None, tokens_per_batch: int
) -> Iterator[TeacherForcing]:
    """The model, loaded in the precision of the run."""
    dtype = _dtype(run, device)
    if engine == "transformers":
        yield HookTeacherForcing(
            load_model(work.model, dtype=dtype, device=device), tokens_per_batch
        )
        return
    with closing(
        VllmTeacherForcing(
            work.model.name,
            layers=work.layers,
            longest=work.longest,
            dtype=dtype,
            tokens_per_batch=tokens_per_batch,
        )
    ) as forcing:
        yield forcing


def _dtype(run: Run, device: str | None) -> str:
    """The run's own precision on an accelerator, float32 on a CPU."""
    import torch

    on_cpu = device == "cpu" or (device in (None, "auto") and not torch.cuda.is_available())
    sampled = run.identity.dtype
    return "auto" if on_cpu or sampled not in ("float32", "bfloat16", "float16") else str(sampled)


def _forget_stale(writer: VectorWriter, work: Work) -> None:
    """Drop places that are no more: an answer that is read differently now, a step that went."""
    current = {spot.place for spot in work.spots}
    looked_at = writer.index["position"].isin(work.positions)
    looked_at &= writer.index["question_id"].isin(work.traces["question_id"])
    gone = [place not in current for place in places(writer.index)]
    stale = looked_at.to_numpy(bool) & np.array(gone, bool)
    if stale.any():
        log.info("%d hidden states stood at tokens that are not asked for any more", stale.sum())
        writer.forget(stale)


def _capture(
    forcing: TeacherForcing, tasks: Sequence[Task], traces: pd.DataFrame, writer: VectorWriter
) -> None:
    keys = list(zip(*(traces[name] for name in TRACE_KEY), strict=True))
    stored = dict(zip(keys, traces["logprobs"], strict=True))
    lengths = dict(zip(keys, traces["token_ids"].map(len), strict=True))
    by_layers: dict[tuple[int, ...], dict[Job, Task]] = {}
    for task in tasks:
        by_layers.setdefault(task.layers, {})[task.job] = task
    total = sum(len(task.job.traces) for task in tasks)
    with track("capturing", total=total, unit="traces") as advance:
        for layers, some in by_layers.items():
            for done in forcing.forward(some, layers):
                question_id, sample = done.job.question_id, done.sample_index
                if sample is not None:
                    logprobs = stored[question_id, sample]
                    gap = largest_gap(logprobs, done.logprobs)
                    writer.add_gap(question_id, sample, lengths[question_id, sample], gap)
                    advance(1)
                if chosen := some[done.job].places.get(sample):
                    writer.add(chosen, dict(zip(layers, done.vectors, strict=True)))


# -- what a capture would take ---------------------------------------------------------------------

SECONDS = 10.0
"""For which questions are run, at least two where there are two; the first warms up."""
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
    """How many traces would be run through the model."""
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
    tasks = work.tasks(read_index(folder), read_about(folder), read_gaps(folder))
    n_vectors = sum(len(task.layers) * len(some) for task in tasks for some in task.places.values())
    seconds = 0.0
    if tasks:
        start = time.perf_counter()
        with open_teacher_forcing(run, work, engine, device, tokens_per_batch) as forcing:
            loading = time.perf_counter() - start
            ordered = _spread(tasks)
            done, spent = 0, 0.0
            for number, task in enumerate(ordered):
                start = time.perf_counter()
                for _ in forcing.forward([task.job], task.layers):
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
