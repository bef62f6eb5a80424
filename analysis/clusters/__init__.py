"""Reasoning by trace: its equations, and which traces of a question reason alike.

Two partitions stand side by side: `cluster` groups the *texts* by an embedder, answers masked;
`dataflow` is what the equations compute from which numbers, in whatever words.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.clusters.answers_and_clusters import findings, per_question
from analysis.clusters.clusterers import (
    AverageLinkage,
    Clusterer,
    cosine_distances,
    fit_threshold,
    label_rows,
    silhouettes,
)
from analysis.clusters.embedding import DEFAULT_EMBEDDER, embed, mask_traces
from analysis.clusters.maps import map_traces
from analysis.clusters.names import name_clusters
from analysis.declaration import Shown, analysis
from analysis.equations.checks import check_traces
from cot.errors import InputError
from cot.registry import build
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["paths"]

log = logging.getLogger("cot")
DATAFLOW = "dataflow"
DEFAULT_CLUSTERER = "average_linkage"


NAMED = ["clusters_per_question", "cluster_entropy", "effective_clusters", "dataflows_per_question"]
NAMED += ["same_answer_different_cluster", "same_cluster_different_answer", "wrong_equations"]
NAMED += ["right_over_wrong_equation", "answer_follows"]


def _show(run: Run, table: pd.DataFrame) -> Shown:
    findings = run.table("findings_paths")
    estimates = findings.set_index("measure")["estimate"]
    cut = table["threshold"].iloc[0] if len(table) else np.nan
    alone = table["silhouette"].mean()
    json = {
        "n_steps": len(run.table("steps")),
        **{name: estimates[name] for name in NAMED},
        "threshold": cut,
        "silhouette": alone,
    }
    columns = [
        "measure",
        "subject",
        "estimate",
        "low",
        "high",
        "null_mean",
        "p",
        "n_questions",
        "n_traces",
    ]
    rows = findings[[*columns, "n_excluded"]].to_dict("records")
    note = f"threshold {cut:.3f}, " if cut == cut else ""
    return Shown(json=json, tables=[rows], note=f"{note}mean silhouette {alone:.3f}")


@analysis(
    makes={
        "paths": "one row a trace: its cluster, operations, dataflow and checked equations",
        "step_checks": "one row a stated equation: whether it holds",
        "cluster_names": "one row a cluster: size, most central trace, distinguishing terms",
        "path_map": "two coordinates a trace, for the map",
        "path_questions": "one row a question: clusters, dataflows, entropies",
        "findings_paths": "how many ways of reasoning there are, and how many equations are false",
    },
    choices={"clusterer": "clusterers"},
    show=_show,
)
def paths(
    run: Run,
    embedder: str = DEFAULT_EMBEDDER,
    clusterer: str = DEFAULT_CLUSTERER,
    threshold: float | None = None,
    mask: Literal["answer", "numbers"] = "answer",
    layout: Literal["pca", "tsne", "umap"] = "pca",
    seed: int = 0,
) -> pd.DataFrame:
    """Check each trace's equations, and cluster each question's traces by their reasoning.

    Writes and returns the table `paths`: question_id, sample_index; cluster (0, 1, ... within the
    question, by first appearance; -1 is noise), silhouette (in [-1, 1]; 0 where alone), threshold
    (NaN where none was used); signature (operations in order), dataflow (which operations on which
    numbers and results), n_checked and n_wrong (equations), wrong_used (a wrong result is used
    later), follows (the answer is a stated result; missing without equations).

    Also writes `step_checks` (one row a stated equation), `cluster_names` (size, medoid and
    distinguishing terms of each cluster), `path_map` (two coordinates a trace), `path_questions`
    (one row a question) and `findings_paths`.

    Args:
        embedder: a sentence-transformers model, or tfidf, which uses no model.
        clusterer: how traces are clustered.
        threshold: cosine distance at which average linkage is cut; fitted for the run by default.
        mask: what is hidden before embedding: the final answer, or all numbers too.
        layout: layout of the page's map; umap needs the extra maps.
        seed: seed of the bootstrap, the permutations and the layout.

    Raises:
        InputError: a threshold outside (0, 2), or one for another clusterer; an unknown name.
    """
    if threshold is not None and not 0 < threshold < 2:
        raise InputError(f"threshold is {threshold}: a cosine distance between 0 and 2")
    if threshold is not None and clusterer != DEFAULT_CLUSTERER:
        raise InputError(f"clusterer {clusterer} takes no threshold")
    if clusterer not in (DATAFLOW, DEFAULT_CLUSTERER):
        build("clusterers", clusterer)
    answers = need(run, "answers")
    steps = need(run, "steps")
    traces = run.traces(["text"])
    questions = run.questions()
    joined = traces[[*TRACE_KEY, "text"]].merge(
        answers.rename(columns={"text": "stated"}), on=TRACE_KEY, how="left"
    )
    masked = mask_traces(joined["text"], joined.assign(text=joined["stated"]), mask == "numbers")
    vectors = embed(masked, embedder, run.path / "cache")
    checked, equations = check_traces(joined, steps, questions)
    found = _cluster(checked, vectors, clusterer, threshold)
    names, places = _describe(found, masked, vectors, questions, layout, seed)
    per = per_question(found, answers)
    run.write_table("step_checks", equations)
    run.write_table("paths", found)
    run.write_table("cluster_names", names)
    run.write_table("path_map", places)
    run.write_table("path_questions", per)
    run.write_table("findings_paths", findings(found, per, answers, steps, seed))
    return found


def _cluster(
    traces: pd.DataFrame, vectors: np.ndarray[Any, Any], clusterer: str, threshold: float | None
) -> pd.DataFrame:
    """The traces with cluster, silhouette and threshold."""
    groups = list(traces.groupby("question_id", sort=False).indices.values())
    distances = [cosine_distances(vectors[rows]) for rows in groups]
    cut = np.nan
    made: Clusterer | None = None
    if clusterer == DEFAULT_CLUSTERER:
        cut = fit_threshold(distances) if threshold is None else threshold
        made = AverageLinkage(cut)
    elif clusterer != DATAFLOW:
        made = build("clusterers", clusterer)()
    cluster, silhouette = np.zeros(len(traces), dtype=np.int64), np.zeros(len(traces))
    for rows, matrix in zip(groups, distances, strict=True):
        if made is None:
            cluster[rows] = pd.factorize(traces["dataflow"].iloc[rows])[0]
        else:
            cluster[rows] = label_rows(made, vectors[rows])
        silhouette[rows] = silhouettes(matrix, cluster[rows])
    front = traces[TRACE_KEY].assign(cluster=cluster, silhouette=silhouette, threshold=cut)
    return pd.concat([front, traces.drop(columns=TRACE_KEY)], axis=1)


def _describe(
    paths: pd.DataFrame,
    texts: list[str],
    vectors: np.ndarray[Any, Any],
    questions: pd.DataFrame,
    layout: str,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `cluster_names` and `path_map`."""
    asked = questions.set_index("question_id")["text"]
    names = []
    places = np.zeros((len(paths), 2))
    for question_id, rows in paths.groupby("question_id", sort=False).indices.items():
        named = name_clusters(
            [texts[row] for row in rows],
            paths["cluster"].to_numpy()[rows],
            asked[question_id],
            vectors=vectors[rows],
            sample_index=paths["sample_index"].to_numpy()[rows],
        )
        names.append(named.assign(question_id=question_id))
        places[rows] = map_traces(vectors[rows], layout, seed)
    columns = ["question_id", "cluster", "size", "medoid", "terms"]
    frame = pd.concat(names, ignore_index=True)[columns] if names else pd.DataFrame(columns=columns)
    drawn = paths[TRACE_KEY].assign(x=places[:, 0], y=places[:, 1], method=layout)
    return frame, drawn
