"""What a capture needs to know before a model is loaded: which traces can be run through it again,
which tokens and layers are asked for, and which of these are missing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.hidden_states.places import (
    ENDS,
    TABLES,
    LayerSpec,
    Spot,
    check_positions,
    check_spans,
    choose_layers,
    find_spots,
)
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job
from cot.errors import InputError
from cot.models import ResolvedModel, encode, fetch, load_tokenizer, resolve_run_model
from cot.store.run import Run
from cot.store.vectors import Place, read_about
from cot.types import TRACE_KEY

__all__ = [
    "Task",
    "Work",
    "layers_there",
    "places",
    "plan",
    "prepare",
    "prompt_ids",
    "runnable_traces",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """What is asked for, whether or not it is there already."""

    model: ResolvedModel
    """Whose states."""
    width: int
    """Its d_model."""
    layers: Sequence[int]
    """Ascending."""
    positions: Sequence[str]
    """Names, a user's spans included."""
    n_steps: Mapping[str, tuple[int, int]]
    """`step_end`, `section_end`: how many are asked for, and how many there are."""
    traces: pd.DataFrame
    """Those that can be run again: question_id, sample_index, prompt_sha, text, token_ids,
    logprobs, n_tokens."""
    prompts: Mapping[str, Sequence[int]]
    """prompt_sha to token ids."""
    spots: Sequence[Spot]
    """All of them."""

    @property
    def longest(self) -> int:
        """Most tokens of a prompt and trace together."""
        prompt = self.traces["prompt_sha"].map(lambda sha: len(self.prompts[sha]))
        return int((prompt + self.traces["n_tokens"]).max())

    def tasks(
        self,
        index: pd.DataFrame,
        about: Mapping[str, Any],
        forced: pd.DataFrame,
        certainty: bool = False,
    ) -> list[Task]:
        """What is missing, given what is there (see `cot.store.vectors`)."""
        done = forced[forced["self_certainty"].notna()] if certainty else forced
        known = set(zip(*(done[name] for name in TRACE_KEY), strict=True))
        there = layers_there(index, about.get("shards", {}))
        return plan(
            self.traces, self.prompts, self.spots, self.layers, there, known, certainty=certainty
        )


def prepare(
    run: Run,
    *,
    layers: LayerSpec,
    positions: Sequence[str],
    spans: pd.DataFrame | None,
    model: str | None,
    limit: int | None,
    steps_per_trace: int,
    spare: int = 0,
    read: Callable[[Run, str], pd.DataFrame] = need,
    located: bool = True,
) -> Work:
    """Find what is asked for. The arguments are those of `capture`, and:

    Args:
        spare: tokens of the model's context that must stay free.
        read: how tables are had.
        located: find the tokens of answers and spans; otherwise places are right in number only,
            and no trace is decoded.
    """
    if steps_per_trace < 0:
        raise InputError(f"--steps-per-trace is {steps_per_trace}: give 1 or more, or 0 for all")
    asked = () if spans is not None and not positions else check_positions(positions)
    own = None if spans is None else check_spans(run, spans)
    resolved = resolve_run_model(run.identity, _model_name(run, model))
    config = _config(resolved)
    tokenizer = load_tokenizer(resolved)
    chosen = choose_layers(layers, config.num_hidden_layers)
    tables = {name: read(run, name) for name in sorted({TABLES[p] for p in asked if p in TABLES})}
    traces, prompts = runnable_traces(run, tokenizer, config, limit, spare)
    decoder = tokenizer if located else None
    spots = list(find_spots(traces, tables, asked, decoder, own, steps_per_trace))
    n_steps = _count_steps(traces, spots, tables)
    for name, (taken, whole) in n_steps.items():
        if taken < whole:
            log.info(
                "%s: %d of %d are taken, at most %d a trace, evenly by tokens (--steps-per-trace)",
                *(name, taken, whole, steps_per_trace),
            )
    names = sorted({name for some in (own or {}).values() for name, _, _ in some})
    return Work(
        model=resolved,
        width=config.hidden_size,
        layers=chosen,
        positions=[*asked, *names],
        n_steps=n_steps,
        traces=traces,
        prompts=prompts,
        spots=spots,
    )


def _count_steps(
    traces: pd.DataFrame, spots: Sequence[Spot], tables: Mapping[str, pd.DataFrame]
) -> dict[str, tuple[int, int]]:
    """Of `step_end` and `section_end`: how many have a spot, and how many the traces have."""
    counts = Counter(spot.place.position for spot in spots)
    found = {}
    for name in ENDS:
        if TABLES[name] in tables and counts[name]:
            here = tables[TABLES[name]][TRACE_KEY].merge(traces[TRACE_KEY], on=TRACE_KEY)
            found[name] = (counts[name], len(here))
    return found


def _model_name(run: Run, model: str | None) -> str:
    """As given, else as captured before, else as sampled."""
    name = model or read_about(run.path / "activations").get("model") or run.identity.model
    if not name:
        raise InputError(
            f"{run.path} was imported and doesn't say which model wrote its traces: give --model"
        )
    return str(name)


def _config(model: ResolvedModel) -> Any:
    """The configuration of the text model, which must be a decoder."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = AutoConfig.from_pretrained(fetch(model))
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
        raise InputError(
            f"cannot capture from {model.name}: {config.model_type} is not a decoder-only model"
        )
    return config.get_text_config(decoder=True)


# -- traces that can be run again ------------------------------------------------------------------

log = logging.getLogger("cot")


def runnable_traces(
    run: Run, tokenizer: Any, config: Any, limit: int | None, spare: int = 0
) -> tuple[pd.DataFrame, dict[str, Sequence[int]]]:
    """The traces that can be run through the model again, and the token ids of their prompts.

    Args:
        spare: tokens of the model's context that must stay free.
    """
    traces = run.traces(["prompt_sha", "text", "token_ids", "logprobs"])
    if limit is not None:
        first = traces["question_id"].unique()[:limit]
        traces = traces[traces["question_id"].isin(first)]
    prompts = prompt_ids(run, set(traces["prompt_sha"].dropna()), tokenizer)
    n_tokens = traces["token_ids"].map(lambda ids: 0 if ids is None else len(ids))
    traces = traces.assign(n_tokens=n_tokens)
    n_prompt = traces["prompt_sha"].map(lambda sha: len(prompts.get(sha, ())))
    context = (getattr(config, "max_position_embeddings", None) or np.inf) - spare
    reasons = {
        "without token ids": n_tokens == 0,
        "without a prompt": n_prompt == 0,
        f"longer than the model's context of {context} tokens": n_tokens + n_prompt > context,
    }
    left = pd.Series(True, index=traces.index)
    for reason, out in reasons.items():
        if n_out := int((out & left).sum()):
            log.warning("%d traces %s are left out", n_out, reason)
        left &= ~out
    if not left.any():
        raise InputError(
            f"{run.path}: no trace is left to run through the model (see the notices above)"
        )
    traces = traces[left].reset_index(drop=True)
    largest = max(int(np.max(ids)) for ids in [*traces["token_ids"], *prompts.values()])
    if largest >= config.vocab_size:
        raise InputError(
            f"{run.path} holds token {largest}, but the model knows {config.vocab_size} tokens: "
            "it is not the model that wrote these traces; give its name with --model"
        )
    return traces, prompts


def prompt_ids(run: Run, wanted: Collection[str], tokenizer: Any) -> dict[str, Sequence[int]]:
    """prompt_sha to token ids, as stored where they are."""
    found: dict[str, Sequence[int]] = {}
    if wanted:
        prompts = run.prompts()
        columns = (prompts[name] for name in ("prompt_sha", "text", "messages", "token_ids"))
        for sha, text, messages, stored in zip(*columns, strict=True):
            if sha in wanted:
                asked = text if isinstance(text, str) else tuple(messages)
                if stored is None:
                    stored = encode(tokenizer, asked, run.identity.chat_args)
                found[sha] = stored
    return {sha: ids for sha, ids in found.items() if len(ids)}


# -- what is missing -------------------------------------------------------------------------------

TraceKey = tuple[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A job and what its vectors are."""

    job: Job
    """What is run through the model."""
    places: Mapping[int | None, Sequence[Place]]
    """sample_index (None: the prompt's end) to the places of its spots, in their order."""
    layers: tuple[int, ...]
    """Layers of which some spot is missing."""


def plan(
    traces: pd.DataFrame,
    prompts: Mapping[str, Sequence[int]],
    spots: Sequence[Spot],
    layers: Sequence[int],
    there: Mapping[Place, Collection[int]],
    known: Collection[tuple[str, int]],
    certainty: bool = False,
) -> list[Task]:
    """One task for each question (and prompt, should its traces have several) that lacks anything.

    Args:
        traces: question_id, sample_index, prompt_sha, token_ids, logprobs.
        prompts: prompt_sha to token ids.
        spots: all that are asked for.
        layers: asked for at every spot.
        there: layers that are there of each place (see `layers_there`).
        known: traces of which nothing but vectors can be missing.
        certainty: ask for the other traces' certainty.
    """
    lacking: dict[TraceKey, list[Spot]] = {}
    lacks: dict[TraceKey, set[int]] = {}
    for spot in spots:
        missing = set(layers).difference(there.get(spot.place, ()))
        if missing:
            key = (spot.place.question_id, spot.place.sample_index)
            lacking.setdefault(key, []).append(spot)
            lacks.setdefault(key, set()).update(missing)
    tasks = []
    asked_prompts: set[str] = set()
    for group, rows in traces.groupby(["question_id", "prompt_sha"], sort=False):
        question_id, sha = (str(part) for part in group)
        keys: list[TraceKey] = [] if question_id in asked_prompts else [(question_id, None)]
        asked_prompts.add(question_id)
        keys += [(question_id, int(sample)) for sample in rows["sample_index"]]
        own = {key[1]: lacking.get(key, []) for key in keys}
        jobs = [
            ForcedTrace(
                sample_index=int(sample),
                token_ids=ids,
                spots=np.array([spot[1:] for spot in own[sample]], np.int64).reshape(-1, 2),
                score=logprobs is not None,
                certainty=certainty and (question_id, sample) not in known,
            )
            for sample, ids, logprobs in _rows(rows)
            if own[sample] or (question_id, sample) not in known
        ]
        if jobs or own.get(None):
            missing = set().union(*(lacks.get(key, set()) for key in keys))
            tasks.append(
                Task(
                    job=Job(question_id=question_id, prompt_ids=prompts[sha], traces=jobs),
                    places={sample: [spot.place for spot in some] for sample, some in own.items()},
                    layers=tuple(sorted(missing)) or (layers[0],),
                )
            )
    return tasks


def _rows(traces: pd.DataFrame) -> Iterator[tuple[int, Sequence[int], Sequence[float] | None]]:
    columns = (traces[name] for name in ("sample_index", "token_ids", "logprobs"))
    return zip(*columns, strict=True)


def layers_there(
    index: pd.DataFrame, shards: Mapping[str, Collection[int]]
) -> dict[Place, set[int]]:
    """Layers that are stored of each place, from `cot.store.vectors`' index and its files'
    layers."""
    there: dict[Place, set[int]] = {}
    for place, shard in zip(places(index), index["shard"], strict=True):
        there.setdefault(place, set()).update(shards[str(shard)])
    return there


def places(index: pd.DataFrame) -> list[Place]:
    """The place of each row of `cot.store.vectors`' index."""
    columns = (index[name].astype(object) for name in Place._fields)
    plain = (column.where(column.notna(), None) for column in columns)
    return [Place(*row) for row in zip(*plain, strict=True)]
