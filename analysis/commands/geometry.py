"""`cot geometry`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import analysis.state_geometry
from cot.console import Output, emit, listen
from cot.store.run import open_run

__all__ = ["geometry"]


def geometry(
    run: Path,
    /,
    *,
    layers: tuple[int, ...] = (),
    positions: tuple[str, ...] = (),
    map_method: Literal["pca", "tsne", "umap"] = "pca",
    dimension: bool = True,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Clusters, similarity, dimension, spread and trajectories of the captured hidden states.

    Parameters
    ----------
    run
        The run's folder.
    layers
        Captured layers to look at; may be given again; all by default.
    positions
        Captured positions; may be given again; all by default.
    map_method
        Of the map of states; umap needs the extra maps.
    dimension
        Measure the intrinsic dimension, which needs the extra interp.
    seed
        Of samples, shuffles, bootstrap and map.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        found = analysis.state_geometry.describe_states(
            opened,
            layers=layers or None,
            positions=positions or None,
            map_method=map_method,
            dimension=dimension,
            seed=seed,
        )
    columns = ["name", "estimate", "low", "high", "null_mean", "null_high", "p", "n_questions"]
    columns += ["n_traces", "n_excluded"]
    rows = found[columns].to_dict("records")
    emit(output, {"findings": found.to_dict("records")}, rows=rows)
