"""What a capture needs to know before any model is loaded: which tokens of which traces, at which
layers, of what model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.catalogue import need
from analysis.hidden_states.layers import LayerSpec, choose_layers
from analysis.hidden_states.plan import Task, layers_there, plan
from analysis.hidden_states.positions import Spot, check_positions, find_spots
from analysis.hidden_states.replayable import replayable
from analysis.hidden_states.spans import check_spans
from cot.errors import InputError
from cot.models import ResolvedModel, fetch, load_tokenizer, resolve
from cot.store.run import Run
from cot.store.vectors import read_about
from cot.types import TRACE_KEY

__all__ = ["Work", "prepare"]

INPUTS = {"step_end": "steps", "pre_answer": "answers", "answer": "answers"}
"""Which table each position is read from."""


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
    tables: Sequence[str]
    """Those that the positions were read from."""
    traces: pd.DataFrame
    """Those that can be replayed: question_id, sample_index, prompt_sha, text, token_ids,
    logprobs."""
    prompts: Mapping[str, Sequence[int]]
    """prompt_sha to token ids."""
    spots: Sequence[Spot]
    """All of them."""

    @property
    def longest(self) -> int:
        """Most tokens of a prompt and trace together."""
        prompt = self.traces["prompt_sha"].map(lambda sha: len(self.prompts[sha]))
        return int((prompt + self.traces["token_ids"].map(len)).max())

    def tasks(
        self, index: pd.DataFrame, about: Mapping[str, Any], replays: pd.DataFrame
    ) -> list[Task]:
        """What is missing, given what is there (see `cot.store.vectors`)."""
        replayed = set(zip(*(replays[name] for name in TRACE_KEY), strict=True))
        there = layers_there(index, about.get("shards", {}))
        return plan(self.traces, self.prompts, self.spots, self.layers, there, replayed)


def prepare(
    run: Run,
    *,
    layers: LayerSpec,
    positions: Sequence[str],
    spans: pd.DataFrame | None,
    model: str | None,
    limit: int | None,
    spare: int = 0,
    read: Callable[[Run, str], pd.DataFrame] = need,
) -> Work:
    """Find what is asked for. The arguments are those of `capture`, and:

    Args:
        spare: tokens of the model's context that must stay free.
        read: how tables are had.
    """
    asked = () if spans is not None and not positions else check_positions(positions)
    own = None if spans is None else check_spans(run, spans)
    resolved = resolve(_model_name(run, model))
    config = _config(resolved)
    tokenizer = load_tokenizer(resolved)
    chosen = choose_layers(layers, config.num_hidden_layers)
    tables = {name: read(run, name) for name in sorted({INPUTS[p] for p in asked if p in INPUTS})}
    traces, prompts = replayable(run, tokenizer, config, limit, spare)
    steps = tables.get("steps")
    spots = list(find_spots(traces, tables.get("answers"), steps, asked, tokenizer, own))
    names = sorted({name for some in (own or {}).values() for name, _, _ in some})
    return Work(
        model=resolved,
        width=config.hidden_size,
        layers=chosen,
        positions=[*asked, *names],
        tables=list(tables),
        traces=traces,
        prompts=prompts,
        spots=spots,
    )


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
