"""Reasoning by trace: its equations, and which traces of a question reason alike.

Two partitions stand side by side: `cluster` groups the *texts* by an embedder, answers masked,
short traces whole and long ones by the sections that they share (`section_overlap`); `dataflow` is
what the equations compute from which numbers, in whatever words.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.clusters.answers_and_clusters import findings, per_question
from analysis.clusters.by_dataflow import cluster_by_dataflow, describe_dataflows
from analysis.clusters.clusterers import (
    AverageLinkage,
    Clusterer,
    cosine_distances,
    fit_threshold,
    label_rows,
    silhouettes,
)
from analysis.clusters.comparing import (
    Compare,
    Compared,
    Settings,
    compare_traces,
    no_sections,
)
from analysis.clusters.embedding import DEFAULT_EMBEDDER
from analysis.clusters.maps import map_traces
from analysis.clusters.names import name_clusters
from analysis.declaration import Shown, analysis
from analysis.equations.checks import check_traces
from cot.errors import InputError
from cot.registry import build
from cot.store.run import Run
from cot.types import TRACE_KEY, Finding

__all__ = ["paths"]

log = logging.getLogger("cot")
DATAFLOW = "dataflow"
DEFAULT_CLUSTERER = "average_linkage"


NAMED = ["clusters_per_question", "cluster_entropy", "effective_clusters", "dataflows_per_question"]
NAMED += ["same_answer_different_cluster", "same_cluster_different_answer", "wrong_equations"]
NAMED += ["corrected_equations", "wrong_equations_reaching_answer"]
NAMED += ["right_over_wrong_equation", "answer_follows"]
OF_SECTIONS = ["sections_per_trace", "embedded_share", "section_clusters_per_question"]
OF_SECTIONS += ["shared_sections", "halves_recognised"]
"""Findings where traces are compared by sections."""


def _show(run: Run, table: pd.DataFrame) -> Shown:
    findings = run.table("findings_paths")
    estimates = findings.set_index("measure")["estimate"]
    cut = table["threshold"].iloc[0] if len(table) else np.nan
    alone = table["silhouette"].mean()
    compared, sections = _compared(run, table)
    json = {
        "n_steps": len(run.table("steps")),
        **{name: estimates[name] for name in NAMED},
        **{name: estimates.get(name, np.nan) for name in OF_SECTIONS},
        **compared,
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
    said = [f"threshold {cut:.3f}"] if cut == cut else []
    said += [f"mean silhouette {alone:.3f}"] if alone == alone else []
    note = (", ".join(said) + sections).removeprefix("; ")
    return Shown(json=json, tables=[rows], note=note)


def _compared(run: Run, table: pd.DataFrame) -> tuple[dict[str, Any], str]:
    """What the traces were compared by, for JSON and in words."""
    used: dict[str, Any] = dict.fromkeys(["compared", "section_cut", "most_sections"])
    used |= dict.fromkeys(["n_sections", "n_sections_embedded"])
    if not len(table):
        return used, ""
    used |= {name: table[name].iloc[0] for name in ("compared", "section_cut")}
    if used["compared"] != "sections":
        whole = used["compared"] == "whole"
        return used, "; whole traces embedded" if whole else "; nothing embedded"
    sections = run.table("path_sections")
    most = table["most_sections"].iloc[0]
    used["most_sections"] = None if pd.isna(most) else int(most)
    used["n_sections"] = len(sections)
    used["n_sections_embedded"] = n = int(sections["embedded"].sum())
    share = sections.loc[sections["embedded"], "characters"].sum() / sections["characters"].sum()
    chosen = "" if used["most_sections"] is None else f", at most {most} a trace"
    words = f"; {n:,} of {len(sections):,} sections embedded{chosen} ({share:.1%} of characters)"
    return used, f"{words}, section clusters cut at {used['section_cut']:.3f}"


@analysis(
    makes={
        "paths": "one row a trace: its cluster, operations, dataflow and checked equations",
        "path_sections": "one row a section of a trace compared by sections: cluster and weight",
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
    embedder: str | None = None,
    clusterer: str = DEFAULT_CLUSTERER,
    threshold: float | None = None,
    mask: Literal["answer", "numbers"] = "answer",
    layout: Literal["pca", "tsne", "umap"] = "pca",
    compare: Compare = "auto",
    section_cut: float | None = None,
    most_sections: int | None = None,
    budget: float | None = None,
    dataflow_share: float = 0.0,
    workers: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Check each trace's equations, and cluster each question's traces by their reasoning.

    Whole traces are embedded where the median trace has at most three sections. Longer ones are
    compared by their sections, each distinct text embedded once and kept: the distance of two
    traces is 1 - the overlap of their section clusters, weighed by length and by how few of the
    question's traces have them (`analysis.clusters.section_overlap`).

    Writes and returns the table `paths`: question_id, sample_index; cluster (0, 1, ... within the
    question, by first appearance; -1 is noise), silhouette (in [-1, 1]; 0 where alone), threshold
    (NaN where none was used), compared (`whole`, `sections`, or `dataflow` where nothing was
    embedded and there are no silhouettes), section_cut, most_sections (Int64, missing for all);
    signature (operations in order), dataflow (which operations on which numbers and results),
    n_checked and n_wrong (equations), n_corrected and n_reaching (wrong ones
    that the trace takes back, and that its answer comes from; missing where the answer holds no
    number), wrong_used (a wrong result is used later), follows (the answer is a stated result;
    missing without equations).

    Also writes `path_sections` (question_id, sample_index, section, characters, tokens, embedded,
    section_cluster: 0, 1, ... within the question, weight: its part of the trace's overlap; no rows
    where whole traces are compared), `step_checks` (one row a stated equation), `cluster_names`
    (size, medoid and distinguishing terms of each cluster), `path_map` (two coordinates a trace),
    `path_questions` (one row a question) and `findings_paths`.

    Args:
        embedder: a sentence-transformers model, or tfidf, which uses no model; all-MiniLM-L6-v2
            by default, and none for the clusterer dataflow, which then has no silhouettes and no
            map, and serves the largest runs.
        clusterer: how traces are clustered.
        threshold: distance at which average linkage is cut; fitted for the run by default.
        mask: what is hidden before embedding: the final answer, or all numbers too.
        layout: layout of the page's map; umap needs the extra maps.
        compare: what is embedded: whole traces, their sections, or auto, as the length asks for.
        section_cut: cosine distance at which clusters of sections are cut; fitted by default so
            that a trace is told by half of itself.
        most_sections: embed at most so many sections a trace, drawn by the seed.
        budget: seconds that embedding may take; sets most_sections, which is said and stored, and
            taken again when the same budget is given.
        dataflow_share: how much of two traces' overlap is that of their equations, 0 to 1.
        workers: processes on a Ray cluster that share the texts to embed; by default this one
            alone.
        seed: seed of the bootstrap, the permutations, the layout and the choice of sections.

    Raises:
        InputError: a threshold outside (0, 2), or one for another clusterer; an unknown name; a
            setting of sections where whole traces are compared.
    """
    settings = Settings(
        compare=compare,
        embedder=embedder or DEFAULT_EMBEDDER,
        mask=mask,
        section_cut=section_cut,
        most_sections=most_sections,
        budget=budget,
        dataflow_share=dataflow_share,
        workers=workers,
        seed=seed,
    )
    if threshold is not None and not 0 < threshold < 2:
        raise InputError(f"threshold is {threshold}: a cosine distance between 0 and 2")
    if threshold is not None and clusterer != DEFAULT_CLUSTERER:
        raise InputError(f"clusterer {clusterer} takes no threshold")
    if clusterer not in (DATAFLOW, DEFAULT_CLUSTERER):
        build("clusterers", clusterer)
    answers = need(run, "answers")
    steps, sections = need(run, "steps"), need(run, "sections")
    traces = run.traces(["text"])
    questions = run.questions()
    joined = traces[[*TRACE_KEY, "text"]].merge(
        answers.rename(columns={"text": "stated"}), on=TRACE_KEY, how="left"
    )
    checked, equations = check_traces(joined, steps, questions)
    settings = _with_budget_of_before(run, settings)
    measured: Sequence[tuple[Finding, tuple[float, float]]] = ()
    if clusterer == DATAFLOW and embedder is None:
        found = cluster_by_dataflow(checked)
        names, places = describe_dataflows(found)
        shared = no_sections(joined, sections)
    else:
        compared = compare_traces(joined, sections, equations, run.path / "cache", settings)
        found = _cluster(checked, compared, clusterer, threshold)
        names, places = _describe(found, compared, questions, layout, seed)
        shared, measured = compared.sections, compared.findings
    per = per_question(found, answers)
    run.write_table("step_checks", equations)
    run.write_table("paths", found)
    run.write_table("path_sections", shared)
    run.write_table("cluster_names", names)
    run.write_table("path_map", places)
    run.write_table("path_questions", per)
    run.write_table("findings_paths", findings(found, per, answers, steps, measured, seed))
    return found


def _with_budget_of_before(run: Run, settings: Settings) -> Settings:
    """With the number of sections that the same budget gave before, where it did: the cache would
    give another."""
    if settings.budget is None or "paths" not in run.tables():
        return settings
    made = run.provenance("paths").parameters
    made = {**made, "embedder": made.get("embedder") or DEFAULT_EMBEDDER}
    same = all(made.get(name) == getattr(settings, name) for name in ("budget", "embedder", "mask"))
    before = run.table("paths")
    if not same or not len(before) or before["compared"].iloc[0] != "sections":
        return settings
    most = before["most_sections"].iloc[0]
    chosen = None if pd.isna(most) else int(most)
    log.info(
        "a budget of %g s gave %s sections a trace before, and does again",
        settings.budget,
        "all" if chosen is None else f"at most {chosen}",
    )
    return replace(settings, budget=None, most_sections=chosen)


def _cluster(
    traces: pd.DataFrame, compared: Compared, clusterer: str, threshold: float | None
) -> pd.DataFrame:
    """The traces with cluster, silhouette, threshold and what they were compared by."""
    distances = [cosine_distances(vectors) for vectors in compared.vectors]
    cut = np.nan
    made: Clusterer | None = None
    if clusterer == DEFAULT_CLUSTERER:
        cut = fit_threshold(distances) if threshold is None else threshold
        made = AverageLinkage(cut)
    elif clusterer != DATAFLOW:
        made = build("clusterers", clusterer)()
    cluster, silhouette = np.zeros(len(traces), dtype=np.int64), np.zeros(len(traces))
    for rows, vectors, matrix in zip(compared.groups, compared.vectors, distances, strict=True):
        if made is None:
            cluster[rows] = pd.factorize(traces["dataflow"].iloc[rows])[0]
        else:
            cluster[rows] = label_rows(made, vectors)
        silhouette[rows] = silhouettes(matrix, cluster[rows])
    front = traces[TRACE_KEY].assign(
        cluster=cluster,
        silhouette=silhouette,
        threshold=cut,
        compared=compared.by,
        section_cut=compared.section_cut,
        most_sections=pd.array([compared.most_sections] * len(traces), dtype="Int64"),
    )
    return pd.concat([front, traces.drop(columns=TRACE_KEY)], axis=1)


def _describe(
    paths: pd.DataFrame,
    compared: Compared,
    questions: pd.DataFrame,
    layout: str,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `cluster_names` and `path_map`."""
    asked = questions.set_index("question_id")["text"]
    names = []
    places = np.zeros((len(paths), 2))
    for rows, vectors in zip(compared.groups, compared.vectors, strict=True):
        question_id = paths["question_id"].iloc[rows[0]]
        named = name_clusters(
            [compared.texts[row] for row in rows],
            paths["cluster"].to_numpy()[rows],
            asked[question_id],
            vectors=vectors,
            sample_index=paths["sample_index"].to_numpy()[rows],
        )
        names.append(named.assign(question_id=question_id))
        places[rows] = map_traces(vectors, layout, seed)
    columns = ["question_id", "cluster", "size", "medoid", "terms"]
    frame = pd.concat(names, ignore_index=True)[columns] if names else pd.DataFrame(columns=columns)
    drawn = paths[TRACE_KEY].assign(x=places[:, 0], y=places[:, 1], method=layout)
    return frame, drawn
