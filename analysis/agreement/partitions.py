"""The partitions of each question's traces, lined up trace by trace.

answers        the class of the stated answer
clusters       the cluster of its reasoning: of its masked text's embedding
dataflows      which operations it does on which numbers; "" is a class: no equation was found
hidden states  the cluster of its state at one layer and position
"""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from analysis.catalogue import need
from analysis.columns import columns
from analysis.hidden_states.stored_states import choose_place
from analysis.state_geometry.clusters import cluster_hidden
from analysis.voting import ballots_of
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["PARTITIONS", "Place", "line_up", "readable"]

log = logging.getLogger("cot")

PARTITIONS = {
    "answers": "answer",
    "clusters": "cluster",
    "dataflows": "dataflow",
    "hidden states": "hidden",
}
"""Partition to the column of `line_up`."""
LENS = ["lens_answer", "candidate", "decided_at_prompt", "decided_control"]
Place = tuple[int, str]
"""Layer and position of hidden states."""


def readable(run: Run, layer: int | None, position: str | None) -> tuple[set[str], Place | None]:
    """The tables that agreement may read, made where missing, and the place of the hidden states.

    A run that names no model (an import) and has no hidden states is compared without them, and so
    is one without a lens; both are said.
    """
    there = {"answers", "paths"}
    if "faithfulness_traces" in run.tables():
        need(run, "faithfulness_traces")
        there.add("faithfulness_traces")
    captured = (run.path / "activations" / "index.parquet").exists()
    if not captured and layer is None and position is None and not run.identity.model:
        log.info("no hidden states: `cot capture --model M` makes them")
        return there, None
    need(run, "logprob_gaps")
    place = choose_place(run, layer, position)
    if not _at(need(run, "hidden_clusters"), place).any():
        cluster_hidden(run)
    there.add("hidden_clusters")
    if need(run, "answers")["correct"].notna().any():
        need(run, "probe_scores")
        there.add("probe_scores")
    if "lens_traces" in run.tables():
        need(run, "lens_traces")
        there.add("lens_traces")
    else:
        log.info("no lens: `cot lens %s` adds what the layers say", run.path)
    return there, place


def line_up(run: Run, answers: pd.DataFrame, there: set[str], place: Place | None) -> pd.DataFrame:
    """Valid traces: question_id, sample_index, answer, cluster, dataflow, n_wrong, n_checked,
    hidden (its state's cluster, missing where none), score (the probe's, NaN where none),
    faithfulness (likewise) and the lens's columns (missing)."""
    valid = ballots_of(answers)[[*TRACE_KEY, "answer"]].reset_index(drop=True)
    paths = need(run, "paths")[[*TRACE_KEY, "cluster", "dataflow", "n_wrong", "n_checked"]]
    lined = valid.merge(paths, on=TRACE_KEY)
    lined["hidden"] = pd.array([pd.NA] * len(lined), dtype="Int64")
    if place is not None:
        clusters = need(run, "hidden_clusters")
        own = clusters.loc[_at(clusters, place), [*TRACE_KEY, "cluster"]].astype(
            {"cluster": "Int64"}
        )
        own = own.rename(columns={"cluster": "hidden"})
        lined = lined.drop(columns="hidden").merge(own, on=TRACE_KEY, how="left")
    scores = columns(run, lined, ["probe"])["probe"] if "probe_scores" in there else float("nan")
    tested = "faithfulness_traces" in there
    faithfulness = columns(run, lined, ["faithfulness"])["faithfulness"] if tested else float("nan")
    lined = lined.assign(score=scores, faithfulness=faithfulness)
    if "lens_traces" not in there:
        return lined.assign(**dict.fromkeys(LENS, pd.NA))
    return lined.merge(need(run, "lens_traces")[[*TRACE_KEY, *LENS]], on=TRACE_KEY, how="left")


def _at(clusters: pd.DataFrame, place: Place) -> Any:
    return (clusters["layer"] == place[0]) & (clusters["position"] == place[1])
