"""The geometry of hidden states: clusters, similarity, dimension, trajectories.

Nothing here is fitted to what is right, and each number that is about right and wrong stands beside
what shuffled labels give. Traces beyond the log-probability gap are left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.clusters.maps import map_traces
from analysis.declaration import Shown, analysis
from analysis.hidden_states.stored_states import captured, middle_place, within_gap
from analysis.state_geometry.clusters import cluster_hidden
from analysis.state_geometry.dimension import METHOD, intrinsic_dimension, need_skdim
from analysis.state_geometry.eigen_score import mean_scores, score_questions
from analysis.state_geometry.headlines import findings
from analysis.state_geometry.similarity import compare_layers, compare_right_wrong
from analysis.state_geometry.trace_states import judged_traces, read_rows, sample_traces
from analysis.state_geometry.trajectories import (
    Gap,
    draw_trajectories,
    read_points,
    trajectory_gap,
    trajectory_steps,
)
from cot.errors import InputError
from cot.progress import track
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["geometry", "states"]

SIMILARITY = {
    **{"kind": "str", "what": "str", "position": "str", "layer": "int64", "other": "int64"},
    **dict.fromkeys(("value", "low", "high", "null_mean", "null_high", "p_paired"), "float64"),
    **dict.fromkeys(("shuffled_mean", "shuffled_low", "p"), "float64"),
    **{"n": "int64", "n_traces": "int64"},
}
DIMENSION = {
    **{"layer": "int64", "position": "str", "dimension": "float64", "low": "float64"},
    **{"high": "float64", "n": "int64", "n_duplicates": "int64", "n_questions": "int64"},
    "method": "str",
}
COLUMNS = ["measure", "estimate", "low", "high", "null_mean", "null_high", "p", "n_questions"]
COLUMNS += ["n_traces", "n_excluded"]
"""What the command prints of a finding."""
WITHIN = {"questions": False, "questions among traces with as many steps": True}
"""What labels are shuffled within, to whether only traces of one length are compared."""


@analysis(
    makes={
        "hidden_clusters": "one row a trace, layer and position: its cluster of hidden states",
        "eigen_scores": "one row a question, layer and position: EigenScore",
        "eigen_layers": "one row a layer and position: mean EigenScore over questions",
    }
)
def states(
    run: Run, layers: Sequence[int] | None = None, positions: Sequence[str] | None = None
) -> pd.DataFrame:
    """Cluster each question's captured states, and score their spread.

    Writes and returns `hidden_clusters`, see `cluster_hidden`; also writes `eigen_scores`, see
    `score_questions`, and `eigen_layers`, see `mean_scores`.

    Args:
        layers: captured layers; all by default.
        positions: captured positions, without prompt_end; all by default.

    Raises:
        InputError: a layer or position that was not captured.
    """
    table = cluster_hidden(run, layers, positions)
    run.write_table("hidden_clusters", table)
    scores = score_questions(run, layers, positions)
    run.write_table("eigen_scores", scores)
    run.write_table("eigen_layers", mean_scores(scores))
    return table


def _show(run: Run, findings: pd.DataFrame) -> Shown:
    json = {"findings": findings.to_dict("records")}
    return Shown(json=json, tables=[findings[COLUMNS].to_dict("records")])


@analysis(
    makes={
        "findings_geometry": "clusters, dimension, and what sets right traces apart from wrong",
        "similarity": "CKA and RSA between layers, and between right and wrong traces",
        "dimension": "intrinsic dimension of each layer and position",
        "state_map": "two coordinates a trace, of its hidden state",
        "trajectories": "two coordinates a step, of its hidden state",
        "trajectory_steps": "means of right and of wrong traces at each step, and their difference",
    },
    show=_show,
)
def geometry(
    run: Run,
    layers: Sequence[int] | None = None,
    positions: Sequence[str] | None = None,
    map_method: Literal["pca", "tsne", "umap"] = "pca",
    dimension: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Describe the captured states; writes and returns `findings_geometry`, about one place: the
    middle layer at `pre_answer`, or at the next best position that was captured.

    Also writes
      - `similarity`: kind (`cka` or `rsa`), what (`layers`: of layer and other; or `right_wrong`),
        position, layer, other, value, low, high; for right and wrong null_mean, null_high and
        p_paired (questions paired at random), shuffled_mean, shuffled_low and p (labels shuffled
        within questions); n (rows), n_traces;
      - `dimension`: layer, position, dimension, low, high, n (distinct states), n_duplicates,
        n_questions, method;
      - `state_map`: question_id, sample_index, layer, position, x, y, method; at that place;
      - `trajectories`: question_id, sample_index, step (-1 is the prompt's end), layer, x, y; at
        that layer, where `step_end` was captured;
      - `trajectory_steps`: see `trajectory_steps`; of the same points.

    What looks at pairs of traces, or is drawn, takes a seeded sample of at most `MAX_ROWS` traces.

    Args:
        layers: captured layers; all by default.
        positions: captured positions; all by default. step_end is read at the last step, but for
            the trajectories.
        map_method: method of the map of states; umap needs the extra maps.
        dimension: measure intrinsic dimension (needs the extra interp).
        seed: seed of the samples, controls, bootstrap and map.

    Raises:
        InputError: a layer, position or map that there is not; nothing that differs between a
            question's traces was captured; scikit-dimension is not installed.
    """
    if dimension:
        need_skdim()
    map_traces(np.zeros((0, 2)), map_method)
    places = captured(run, layers, positions)
    differing = [each for each in places if each[1] != "prompt_end"]
    if not differing:
        raise InputError(
            f"{run.path} has no hidden states here that differ between a question's traces: "
            "`cot capture --positions pre_answer --positions step_end` makes them"
        )
    place = middle_place(differing)
    judged, sample = judged_traces(run), sample_traces(within_gap(run), seed)
    if not len(sample):
        raise InputError(
            f"{run.path}: no trace lies within the log-probability gap: see its table "
            "`logprob_gaps`, and `cot capture --max-gap`"
        )
    similarity, dimensions = _look(run, sample, judged, places, dimension, seed)
    clusters = need(run, "hidden_clusters")
    if not ((clusters["layer"] == place[0]) & (clusters["position"] == place[1])).any():
        # the table is of other places; a place's threshold depends on no other place
        clusters = cluster_hidden(run, [place[0]], [place[1]])
    tables = {
        "hidden_clusters": clusters,
        "similarity": similarity,
        "dimension": dimensions,
    }
    drawn, gaps = _trajectories(run, sample, judged, place[0], places, seed)
    n_traces = len(run.traces([]))
    found = findings(tables, gaps, place, n_traces=n_traces, seed=seed)
    run.write_table("similarity", similarity)
    run.write_table("dimension", dimensions)
    run.write_table("state_map", _map(run, sample, place, map_method, seed))
    run.write_table("trajectories", drawn)
    run.write_table("trajectory_steps", trajectory_steps(drawn, judged, seed=seed))
    run.write_table("findings_geometry", found)
    return found


def _look(
    run: Run,
    sample: pd.DataFrame,
    judged: pd.DataFrame,
    places: Sequence[tuple[int, str]],
    dimension: bool,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `similarity` and `dimension`."""
    compared: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    with track("comparing", total=len(places), unit="places") as advance:
        for position in dict.fromkeys(position for _, position in places):
            rows = {}
            for layer in (layer for layer, name in places if name == position):
                frame, X = rows[layer] = read_rows(run, sample, layer, position)
                asked = frame["question_id"]
                if dimension:
                    place = {"layer": layer, "position": position, "method": METHOD}
                    found = asdict(intrinsic_dimension(X, asked, seed=seed))
                    measured.append({**place, "n_questions": asked.nunique(), **found})
                if position != "prompt_end":
                    traces, Y = read_rows(run, judged, layer, position)
                    compared += compare_right_wrong(traces, Y, layer, position, seed)
                advance(1)
            compared += compare_layers(rows, position)
    similarity = pd.DataFrame(compared, columns=list(SIMILARITY)).astype(SIMILARITY)
    return similarity, pd.DataFrame(measured, columns=list(DIMENSION)).astype(DIMENSION)


def _map(
    run: Run, sample: pd.DataFrame, place: tuple[int, str], method: str, seed: int
) -> pd.DataFrame:
    """The table `state_map`."""
    frame, X = read_rows(run, sample, *place)
    drawn = map_traces(X, method, seed)
    frame = frame[TRACE_KEY].assign(layer=place[0], position=place[1])
    return frame.assign(x=drawn[:, 0], y=drawn[:, 1], method=method)


def _trajectories(
    run: Run,
    sample: pd.DataFrame,
    judged: pd.DataFrame,
    layer: int,
    places: Sequence[tuple[int, str]],
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Gap]]:
    """The table `trajectories`, and the gaps."""
    if (layer, "step_end") not in places:
        kinds = {"question_id": "str", "sample_index": "int32", "step": "int64", "layer": "int64"}
        kinds |= {"x": "float64", "y": "float64"}
        return pd.DataFrame(columns=list(kinds)).astype(kinds), {}
    points, states = read_points(run, sample.merge(judged, on=TRACE_KEY, how="left"), layer)
    drawn = draw_trajectories(points, states, layer, seed=seed)
    counted = (points["right"].notna() & (points["step"] >= 0)).to_numpy()
    points, states = points[counted].reset_index(drop=True), states[counted]
    gaps = {
        within: trajectory_gap(points, states, same_length=same, seed=seed)
        for within, same in WITHIN.items()
    }
    return drawn, gaps
