"""Clusters of hidden states: which traces of a question look alike inside, at one place.

States share a large common part, which makes all cosines alike; the run's mean state is taken off
first. Then as for reasoning paths: average linkage on cosine distance, one threshold for the run.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.paths.cluster import AverageLinkage, cosine_distances, fit_threshold
from cot.errors import InputError
from cot.run import Run
from cot.vectors import read_about, read_index

__all__ = ["choose_place", "cluster_states"]

PREFERRED = ("pre_answer", "mean", "answer", "step_end")
"""Positions in order of preference; `prompt_end` is the same for all traces of a question."""


def choose_place(run: Run, layer: int | None, position: str | None) -> tuple[int, str]:
    """The layer and position to cluster: as asked, else the middle of what was captured.

    Raises:
        InputError: nothing that differs between a question's traces was captured there.
    """
    folder = run.path / "activations"
    layers_of = read_about(folder).get("shards", {})
    captured = read_index(folder)[["position", "shard"]].drop_duplicates()
    captured["layer"] = [layers_of[str(shard)] for shard in captured["shard"]]
    usable = captured[captured["position"] != "prompt_end"].explode("layer")
    if position is None:
        position = next((name for name in PREFERRED if (usable["position"] == name).any()), None)
    layers = sorted(usable.loc[usable["position"] == position, "layer"].unique())
    if layer is None and layers:
        layer = int(layers[len(layers) // 2])
    if position is None or layer is None or layer not in layers:
        there = ", ".join(
            f"{name} at {sorted(rows['layer'].unique())}"
            for name, rows in usable.groupby("position")
        )
        raise InputError(
            f"no hidden states of layer {layer} at {position}; captured: {there or 'none'}"
        )
    return layer, position


def cluster_states(run: Run, layer: int, position: str) -> pd.DataFrame:
    """The table `hidden_clusters`: question_id, sample_index, layer, position, cluster.

    Where a trace has several vectors (`step_end`), its last counts.
    """
    index, vectors = run.activations(layer=layer, position=position)
    keys = ["question_id", "sample_index"]
    last = ~index.duplicated(keys, keep="last")
    index, vectors = index[last].reset_index(drop=True), vectors[last.to_numpy()]
    centred = vectors - vectors.mean(axis=0)
    groups = list(index.groupby("question_id", sort=False).indices.values())
    threshold = fit_threshold([cosine_distances(centred[rows]) for rows in groups])
    cluster = np.zeros(len(index), dtype=np.int64)
    for rows in groups:
        cluster[rows] = AverageLinkage(threshold).fit_predict(centred[rows])
    frame = index[keys].astype({"sample_index": "int32"})
    return frame.assign(layer=layer, position=position, cluster=cluster, threshold=threshold)
