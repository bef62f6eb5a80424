"""Clusters of hidden states: which traces of a question have similar states, at each place.

States share a large common part, which makes all cosines alike; the run's mean state is taken off
first. Then as for reasoning paths: average linkage on cosine distance, one threshold for a place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.clusters.clusterers import AverageLinkage, cosine_distances, fit_threshold
from analysis.hidden_states.stored_states import captured, read_cell, within_gap
from cot.store.run import Run

__all__ = ["cluster_hidden"]


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
    traces = within_gap(run)
    places = [place for place in captured(run, layers, positions) if place[1] != "prompt_end"]
    parts = [_cluster(run, traces, layer, position) for layer, position in places]
    kinds = {"question_id": "str", "sample_index": "int32", "layer": "int64", "position": "str"}
    kinds |= {"cluster": "int64", "threshold": "float64"}
    return pd.concat(parts or [pd.DataFrame(columns=list(kinds))], ignore_index=True).astype(kinds)


def _cluster(run: Run, traces: pd.DataFrame, layer: int, position: str) -> pd.DataFrame:
    cell = read_cell(run, traces, layer, position)
    vectors = cell.vectors[cell.row]
    # the part common to all states would make all cosines nearly 1
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    groups = list(cell.traces.groupby("question_id", sort=False).indices.values())
    threshold = fit_threshold([cosine_distances(centred[rows]) for rows in groups])
    cluster = np.zeros(len(centred), dtype=np.int64)
    for rows in groups:
        cluster[rows] = AverageLinkage(threshold).fit_predict(centred[rows])
    keys = cell.traces[["question_id", "sample_index"]]
    return keys.assign(layer=layer, position=position, cluster=cluster, threshold=threshold)
