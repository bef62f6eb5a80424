"""Clusters of hidden states: which traces of a question look alike inside, at each place.

States share a large common part, which makes all cosines alike; the run's mean state is taken off
first. Then as for reasoning paths: average linkage on cosine distance, one threshold for a place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.clusters.cluster import AverageLinkage, cosine_distances, fit_threshold
from analysis.hidden_states.cells import captured, read_cell
from analysis.hidden_states.fidelity import faithful
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["choose_place", "cluster_hidden", "middle_place"]

PREFERRED = ("pre_answer", "mean", "answer", "step_end")
"""Positions in order of preference, before any others; `prompt_end` is the same for all traces of
a question, so that nothing can be clustered there."""


def cluster_hidden(
    run: Run, layers: Sequence[int] | None = None, positions: Sequence[str] | None = None
) -> pd.DataFrame:
    """Cluster each question's traces at each place; the table `hidden_clusters`.

    One row a trace and place: question_id, sample_index, layer, position, cluster (0, 1, ... within
    the question and place, by first appearance), threshold (cosine distance, fitted over the run).
    Where a trace has several vectors (`step_end`), its last counts.

    Args:
        layers: captured layers; all where None.
        positions: captured positions; all but `prompt_end` where None.

    Raises:
        InputError: a layer or position that was not captured.
    """
    traces = faithful(run)
    places = [place for place in captured(run, layers, positions) if place[1] != "prompt_end"]
    parts = [_cluster(run, traces, layer, position) for layer, position in places]
    kinds = {"question_id": "str", "sample_index": "int32", "layer": "int64", "position": "str"}
    kinds |= {"cluster": "int64", "threshold": "float64"}
    return pd.concat(parts or [pd.DataFrame(columns=list(kinds))], ignore_index=True).astype(kinds)


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


def _cluster(run: Run, traces: pd.DataFrame, layer: int, position: str) -> pd.DataFrame:
    cell = read_cell(run, traces, layer, position)
    vectors = cell.vectors[cell.row]
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    groups = list(cell.traces.groupby("question_id", sort=False).indices.values())
    threshold = fit_threshold([cosine_distances(centred[rows]) for rows in groups])
    cluster = np.zeros(len(centred), dtype=np.int64)
    for rows in groups:
        cluster[rows] = AverageLinkage(threshold).fit_predict(centred[rows])
    keys = cell.traces[["question_id", "sample_index"]]
    return keys.assign(layer=layer, position=position, cluster=cluster, threshold=threshold)
