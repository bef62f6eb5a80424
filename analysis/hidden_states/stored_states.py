"""Captured states read back, and which traces' states can be trusted.

A *cell* is the vectors of one layer and position, one a trace. A trace is *within the
log-probability gap* if teacher forcing gave its tokens the log-probabilities that were stored when
it was sampled: the same model in the same precision gives gaps below 1e-3; another model,
precision or prompt shows here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.catalogue import need
from analysis.hidden_states.places import POSITIONS
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import read_about, read_index

__all__ = [
    "MAX_GAP",
    "Cell",
    "captured",
    "choose_place",
    "gaps_table",
    "largest_gap",
    "middle_place",
    "read_cell",
    "within_gap",
]


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


PREFERRED = ("pre_answer", "mean", "answer", "step_end", "section_end")
"""Positions in order of preference, before any others; `prompt_end` is the same for all traces of
a question, so that nothing can be clustered there."""


def choose_place(run: Run, layer: int | None, position: str | None) -> tuple[int, str]:
    """The layer and position to look at: as asked, else the middle of what was captured.

    Raises:
        InputError: nothing that differs between a question's traces was captured there.
    """
    places = [place for place in captured(run, None, None) if place[1] != "prompt_end"]
    fits = [place for place in places if layer in (None, place[0]) and position in (None, place[1])]
    if not fits:
        there = ", ".join(f"{k} at {name}" for k, name in places)
        asked = "" if layer is None and position is None else f" of layer {layer} at {position}"
        raise InputError(
            f"no hidden states{asked} that differ between a question's traces; captured: "
            f"{there or 'none'}; `cot capture --positions pre_answer` adds some"
        )
    return middle_place(fits)


def middle_place(places: Sequence[tuple[int, str]]) -> tuple[int, str]:
    """Of one or more (layer, position), the middle layer at the position that is preferred."""
    preferred = [*PREFERRED, *sorted({name for _, name in places})]
    position = next(name for name in preferred if any(name == each for _, each in places))
    layers = sorted(layer for layer, name in places if name == position)
    return layers[len(layers) // 2], position


# -- the log-probability gap -----------------------------------------------------------------------

log = logging.getLogger("cot")

MAX_GAP = 0.5
"""Nats, by default. Half precision on another device stays below; what reads the
vectors leaves out a trace beyond it."""


def largest_gap(stored: ArrayLike | None, forced: ArrayLike | None) -> float:
    """Largest absolute difference of log-probability over a trace's tokens, in nats.

    Tokens of which either is NaN don't count. NaN where none is left, or where their numbers of
    tokens differ.
    """
    if stored is None or forced is None or np.shape(stored) != np.shape(forced):
        return np.nan
    gaps = np.abs(np.asarray(stored, np.float64) - np.asarray(forced, np.float64))
    return float(np.fmax.reduce(gaps, initial=np.nan))  # fmax skips NaN; without any it stays NaN


def gaps_table(run: Run, gaps: pd.DataFrame, max_gap: float = MAX_GAP) -> pd.DataFrame:
    """The gaps in the run's order of traces, those above `max_gap` flagged; the table
    `logprob_gaps`."""
    keys = run.traces([])
    table = keys.merge(gaps[[*keys, "n_tokens", "max_logprob_gap"]], on=[*keys], how="inner")
    table["flagged"] = table["max_logprob_gap"] > max_gap
    beyond = int(table["flagged"].sum())
    if beyond:
        log.warning(
            "teacher forcing gave %d of %d traces log-probabilities more than %g from the stored "
            "ones: another model, precision or prompt?",
            beyond,
            len(table),
            max_gap,
        )
    return table


def within_gap(run: Run) -> pd.DataFrame:
    """question_id and sample_index of the traces within the log-probability gap, in run order."""
    table = need(run, "logprob_gaps")
    return table.loc[~table["flagged"], ["question_id", "sample_index"]].reset_index(drop=True)
