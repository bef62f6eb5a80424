"""Clusters by what the equations compute, in whatever words: nothing is embedded.

    cot paths RUN --clusterer dataflow

Two traces of a question are in one cluster if their dataflows are equal; those without an equation
are one. Without vectors there are no silhouettes and no map. A cluster's first trace stands for it,
as all of its traces are alike, and its dataflow is what sets it apart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cot.types import TRACE_KEY

__all__ = ["cluster_by_dataflow", "describe_dataflows"]

LONGEST = 120
"""Characters of a dataflow that are shown as its cluster's name."""


def cluster_by_dataflow(traces: pd.DataFrame) -> pd.DataFrame:
    """The table `paths`.

    Args:
        traces: question_id, sample_index, dataflow and what else was checked of each.
    """
    flows = traces[["question_id", "dataflow"]].drop_duplicates()
    numbered = flows.assign(cluster=flows.groupby("question_id", sort=False).cumcount())
    front = traces[TRACE_KEY].assign(
        cluster=traces[["question_id", "dataflow"]]
        .merge(numbered, how="left")["cluster"]
        .to_numpy(dtype=np.int64),
        silhouette=np.nan,
        threshold=np.nan,
        compared="dataflow",
        section_cut=np.nan,
        most_sections=pd.array([None] * len(traces), dtype="Int64"),
    )
    return pd.concat([front, traces.drop(columns=TRACE_KEY)], axis=1)


def describe_dataflows(paths: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `cluster_names` and `path_map`, which has no rows."""
    ordered = paths.sort_values("sample_index", kind="stable")
    groups = ordered.groupby(["question_id", "cluster"], sort=False)
    named = groups.agg(
        size=("dataflow", "size"), medoid=("sample_index", "first"), terms=("dataflow", "first")
    ).reset_index()
    order = pd.Index(paths["question_id"].unique()).get_indexer(named["question_id"])
    named = named.assign(order=order).sort_values(["order", "cluster"]).drop(columns="order")
    terms = named["terms"].str.slice(0, LONGEST).replace("", "no equation")
    kinds = {"cluster": "int64", "size": "int64", "medoid": "int64", "terms": "str"}
    drawn = paths.iloc[:0][TRACE_KEY].assign(
        x=np.zeros(0), y=np.zeros(0), method=pd.array([], dtype="str")
    )
    return named.assign(terms=terms).astype(kinds).reset_index(drop=True), drawn
