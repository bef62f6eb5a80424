"""What a capture still has to do: the spots asked for, less those that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.hidden_states.backend import Job, Replay
from analysis.hidden_states.positions import Spot
from cot.store.vectors import Place

__all__ = ["Task", "layers_there", "places", "plan"]

TraceKey = tuple[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A job and what its vectors are."""

    job: Job
    """What the backend replays."""
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
    replayed: Collection[tuple[str, int]],
) -> list[Task]:
    """One task for each question (and prompt, should its traces have several) that lacks anything.

    Args:
        traces: question_id, sample_index, prompt_sha, token_ids, logprobs.
        prompts: prompt_sha to token ids.
        spots: all that are asked for.
        layers: asked for at every spot.
        there: layers that are there of each place (see `layers_there`).
        replayed: traces whose fidelity is known.
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
            Replay(
                sample_index=int(sample),
                token_ids=ids,
                spots=np.array([spot[1:] for spot in own[sample]], np.int64).reshape(-1, 2),
                score=logprobs is not None,
            )
            for sample, ids, logprobs in _rows(rows)
            if own[sample] or (question_id, sample) not in replayed
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
