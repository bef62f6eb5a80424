"""A cell: the captured vectors of one layer and position, one a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.positions import POSITIONS
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import read_about, read_index

__all__ = ["Cell", "captured", "read_cell"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """Vectors for traces."""

    traces: pd.DataFrame
    """Those of the given traces that have a vector here, in their order."""
    vectors: NDArray[np.float32]
    """Shape [vector, d_model]."""
    row: NDArray[np.int64]
    """Each trace's vector, shape [trace]; shared by a question's traces at `prompt_end`."""


def captured(
    run: Run, layers: Sequence[int] | None, positions: Sequence[str] | None
) -> list[tuple[int, str]]:
    """(layer, position) pairs that were captured, in order; all, or those asked for.

    Raises:
        InputError: one that is asked for was not captured.
    """
    run.reads("activations")
    folder = run.path / "activations"
    shards = read_about(folder).get("shards", {})
    pairs = read_index(folder)[["shard", "position"]].drop_duplicates()
    there = {
        (layer, position)
        for shard, position in zip(pairs["shard"], pairs["position"], strict=True)
        for layer in shards[str(shard)]
    }
    wanted_layers = sorted({layer for layer, _ in there} if layers is None else set(layers))
    known = sorted({position for _, position in there}, key=_rank)
    wanted_positions = known if positions is None else list(positions)
    wanted = [(layer, position) for position in wanted_positions for layer in wanted_layers]
    missing = [pair for pair in wanted if pair not in there]
    if missing and (layers is not None or positions is not None):
        layer, position = missing[0]
        raise InputError(
            f"layer {layer} at {position!r} was not captured: there are layers "
            f"{', '.join(map(str, sorted({layer for layer, _ in there})))} at {', '.join(known)}; "
            "`cot capture` adds more"
        )
    return [pair for pair in wanted if pair in there]


def read_cell(run: Run, traces: pd.DataFrame, layer: int, position: str) -> Cell:
    """The cell; where a trace has several vectors (`step_end`, say), it is the last one."""
    index, vectors = run.activations(layer=layer, position=position)
    place = index.assign(row=np.arange(len(index)))
    keys = ["question_id"] if position == "prompt_end" else ["question_id", "sample_index"]
    last = place.drop_duplicates(keys, keep="last")[[*keys, "row"]]
    if "sample_index" in keys:
        last = last.astype({"sample_index": traces["sample_index"].dtype})
    joined = traces.merge(last, on=keys, how="inner")
    return Cell(
        traces=joined.drop(columns="row"), vectors=vectors, row=joined["row"].to_numpy(np.int64)
    )


def _rank(position: str) -> tuple[int, str]:
    """Order of positions: as they are listed, then the others by name."""
    known = POSITIONS.index(position) if position in POSITIONS else len(POSITIONS)
    return known, position
