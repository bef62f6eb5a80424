"""Hidden states of the stored traces: what the model held in mind as it wrote them.

The stored token ids are run through the model again (teacher forcing; the text is never tokenised
anew) and the residual stream is kept where it is asked for. The replay is checked: the replayed
log-probability of every sampled token is compared with the stored one.

    >>> capture(run, layers=[8, 16], positions=["prompt_end", "pre_answer"])     # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.activations.backend import Backend, Job
from analysis.activations.fidelity import fidelity_table, largest_gap
from analysis.activations.hooks import HookReplay
from analysis.activations.layers import LayerSpec, choose_layers
from analysis.activations.plan import Task, layers_there, places, plan
from analysis.activations.positions import Spot, check_positions, find_spots
from analysis.activations.replayable import replayable
from analysis.prerequisites import need
from cot.errors import InputError
from cot.models import ResolvedModel, fetch, load_model, load_tokenizer, resolve
from cot.progress import track
from cot.run import Run
from cot.vectors import Place, VectorWriter, read_about

__all__ = ["TOKENS_PER_BATCH", "capture"]

log = logging.getLogger("cot")

KEY = ["question_id", "sample_index"]
TOKENS_PER_BATCH = 16_384
INPUTS = {"step_end": "steps", "pre_answer": "answers", "answer": "answers"}
"""Which table each position is read from."""


def capture(
    run: Run,
    *,
    layers: LayerSpec = "every 4th",
    positions: Sequence[str] = ("prompt_end", "step_end", "pre_answer"),
    model: str | None = None,
    device: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    limit: int | None = None,
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
        positions: see `analysis.activations.positions`.
        model: by default the one that sampled the run.
        device: a torch device; by default CUDA where there is one.
        tokens_per_batch: most tokens in one batch, prompts and padding included.
        limit: capture the first so many questions only.

    Raises:
        InputError: an unknown layer, position or model; no model named for an imported run; a
            model other than the one whose states are there.
    """
    asked = check_positions(positions)
    folder = run.path / "activations"
    resolved = resolve(_model_name(run, model))
    tokenizer = load_tokenizer(resolved)
    config = _config(resolved)
    chosen = choose_layers(layers, config.num_hidden_layers)
    tables = {name: need(run, name) for name in sorted({INPUTS[p] for p in asked if p in INPUTS})}
    traces, prompts = replayable(run, tokenizer, config, limit)
    spots = list(find_spots(traces, tables.get("answers"), tables.get("steps"), asked, tokenizer))
    with (
        run.lock(),
        VectorWriter(folder, model=resolved.name, revision=resolved.revision) as writer,
    ):
        _forget_stale(writer, traces, asked, spots)
        replayed = set(zip(*(writer.replays[name] for name in KEY), strict=True))
        there = layers_there(writer.index, writer.about["shards"])
        tasks = plan(traces, prompts, spots, chosen, there, replayed)
        if tasks:
            loaded = load_model(resolved, dtype=_dtype(run, device), device=device)
            _replay(HookReplay(loaded, tokens_per_batch), tasks, traces, writer)
    parameters = {
        "layers": layers if isinstance(layers, str | int) else [int(k) for k in layers],
        "positions": list(positions),
        "model": model,
        "device": device,
        "tokens_per_batch": tokens_per_batch,
        "limit": limit,
    }
    run.write_table(
        "fidelity",
        fidelity_table(run, writer.replays),
        command="capture",
        parameters=parameters,
        inputs=["traces", *tables],
    )
    index = pd.DataFrame([spot.place for spot in spots], columns=list(Place._fields))
    index = index.astype({"sample_index": "Int64", "step": "Int64", "token": "Int64"})
    return index.merge(pd.DataFrame({"layer": chosen}), how="cross")


def _model_name(run: Run, model: str | None) -> str:
    """As given, else as captured before, else as sampled."""
    name = model or read_about(run.path / "activations").get("model") or run.identity.get("model")
    if not name:
        raise InputError(
            f"{run.path} was imported and doesn't say which model wrote its traces: give --model"
        )
    return str(name)


def _config(resolved: ResolvedModel) -> Any:
    """The configuration of the text model."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(fetch(resolved)).get_text_config(decoder=True)


def _dtype(run: Run, device: str | None) -> str:
    """The run's own precision on an accelerator, float32 on a CPU."""
    import torch

    on_cpu = device == "cpu" or (device is None and not torch.cuda.is_available())
    sampled = run.identity.get("dtype")
    return "auto" if on_cpu or sampled not in ("float32", "bfloat16", "float16") else str(sampled)


def _forget_stale(
    writer: VectorWriter, traces: pd.DataFrame, asked: Sequence[str], spots: Sequence[Spot]
) -> None:
    """Drop places that are no more: an answer that is read differently now, a step that went."""
    current = {spot.place for spot in spots}
    looked_at = writer.index["position"].isin(asked)
    looked_at &= writer.index["question_id"].isin(traces["question_id"])
    gone = [place not in current for place in places(writer.index)]
    stale = looked_at.to_numpy(bool) & np.array(gone, bool)
    if stale.any():
        log.info("%d hidden states stood at tokens that are not asked for any more", stale.sum())
        writer.forget(stale)


def _replay(
    backend: Backend, tasks: Sequence[Task], traces: pd.DataFrame, writer: VectorWriter
) -> None:
    keys = list(zip(traces["question_id"], traces["sample_index"], strict=True))
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
