"""Hidden states of the stored traces: what the model held in mind as it wrote them.

The stored token ids are run through the model again (teacher forcing; the text is never tokenised
anew) and the residual stream is kept where it is asked for. The replay is checked: the replayed
log-probability of every sampled token is compared with the stored one.

    >>> capture(run, layers=[8, 16], positions=["prompt_end", "pre_answer"])     # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.declaration import Shown, analysis
from analysis.hidden_states.backend import Backend, Job
from analysis.hidden_states.extraction import VllmReplay
from analysis.hidden_states.fidelity import MAX_GAP, fidelity_table, largest_gap
from analysis.hidden_states.hooks import HookReplay
from analysis.hidden_states.layers import LayerSpec
from analysis.hidden_states.plan import Task, places
from analysis.hidden_states.preparing import Work, prepare
from analysis.hidden_states.spans import read_spans
from cot.errors import InputError
from cot.models import load_model
from cot.progress import track
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter
from cot.types import TRACE_KEY

__all__ = ["ENGINES", "SPARE", "TOKENS_PER_BATCH", "capture", "open_backend"]

log = logging.getLogger("cot")

TOKENS_PER_BATCH = 16_384
ENGINES = ("transformers", "vllm")
SPARE = {"vllm": 1}
"""Tokens of the context that an engine needs for itself: vLLM always generates one."""


def _show(run: Run, captured: pd.DataFrame) -> Shown:
    gaps = run.table("fidelity")
    files = (run.path / "activations").glob("*.safetensors")
    result = {
        "n_vectors": len(captured),
        "bytes": sum(file.stat().st_size for file in files),
        "n_traces": len(gaps),
        "max_logprob_gap": gaps["max_logprob_gap"].max(),
        "n_flagged": int(gaps["flagged"].sum()),
    }
    return Shown(json=result, tables=[[result]])


def _dry_run(run: Run, dry_run: bool, max_gap: float, **asked: Any) -> Shown:
    """Say what would be captured, how large it is and how long it takes; write nothing."""
    from analysis.hidden_states.dry_run import estimate

    planned = asdict(estimate(run, **asked))
    return Shown(json=planned, tables=[[planned]])


@analysis(
    makes={"fidelity": "one row a trace: the largest gap between stored and new log-probabilities"},
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
    """Capture what is missing into the run's activations/; also writes the table `fidelity`.

    Returns one row a vector of the asked layers and positions: question_id, sample_index (Int64,
    missing for `prompt_end`), position, step (Int64, missing but for `step_end`), token (Int64
    index into the generated ids, -1 for the prompt's last), layer. `run.activations` reads them.

    Table `fidelity`, one row a replayed trace: question_id, sample_index, n_tokens,
    max_logprob_gap (NaN where the trace has no stored log-probabilities), flagged (whether the gap
    is too large for the vectors to be trusted).

    Traces without token ids or without a prompt, and those longer than the model's context, are
    left out, counted and named in a notice.

    Args:
        layers: see `choose_layers`; by default every fourth and the last.
        positions: see `analysis.hidden_states.positions`.
        spans: a file of characters of traces that are looked at too, see
            `analysis.hidden_states.spans`.
        model: by default the one that sampled the run.
        engine: `transformers`, or `vllm` (see `analysis.hidden_states.extraction`).
        device: a torch device, by default CUDA where there is one; `auto` spreads the model over
            all of them. vLLM chooses for itself.
        tokens_per_batch: most tokens in one batch, prompts and padding included.
        limit: capture the first so many questions only.
        max_gap: difference of log-probability, in nats, beyond which a trace is flagged.

    Raises:
        InputError: an unknown layer, position, engine or model; spans that aren't in the traces;
            no model named for an imported run; a model other than the one whose states are there,
            or one that can't be replayed.
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
        if tasks := work.tasks(writer.index, writer.about, writer.replays):
            with open_backend(run, work, engine, device, tokens_per_batch) as backend:
                _replay(backend, tasks, work.traces, writer)
    run.write_table("fidelity", fidelity_table(run, writer.replays, max_gap))
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
def open_backend(
    run: Run, work: Work, engine: str, device: str | None, tokens_per_batch: int
) -> Iterator[Backend]:
    """The model, loaded in the precision of the run."""
    dtype = _dtype(run, device)
    if engine == "transformers":
        yield HookReplay(load_model(work.model, dtype=dtype, device=device), tokens_per_batch)
        return
    with closing(
        VllmReplay(
            work.model.name,
            layers=work.layers,
            longest=work.longest,
            dtype=dtype,
            tokens_per_batch=tokens_per_batch,
        )
    ) as backend:
        yield backend


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


def _replay(
    backend: Backend, tasks: Sequence[Task], traces: pd.DataFrame, writer: VectorWriter
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
            for done in backend.replay(some, layers):
                question_id, sample = done.job.question_id, done.sample_index
                if sample is not None:
                    logprobs = stored[question_id, sample]
                    gap = largest_gap(logprobs, done.logprobs)
                    writer.add_replay(question_id, sample, lengths[question_id, sample], gap)
                    advance(1)
                if chosen := some[done.job].places.get(sample):
                    writer.add(chosen, dict(zip(layers, done.vectors, strict=True)))
