"""Reasoning paths: the steps of each trace, and which traces of a question argue alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings import as_table, mean_finding
from analysis.paths.cluster import AverageLinkage, cosine_distances, fit_threshold, silhouettes
from analysis.paths.embed import DEFAULT_EMBEDDER, embed
from analysis.paths.mask import mask_traces
from analysis.paths.segments import find_steps
from analysis.prerequisites import need
from cot.errors import InputError
from cot.run import Run
from cot.types import Finding

__all__ = ["find_paths", "find_steps"]

log = logging.getLogger("cot")


def find_paths(
    run: Run, embedder: str = DEFAULT_EMBEDDER, threshold: float | None = None, seed: int = 0
) -> pd.DataFrame:
    """Cluster each question's traces by what they argue; writes and returns the table `paths`.

    Columns: question_id, sample_index, path (0, 1, ... within the question, by first appearance),
    silhouette (in [-1, 1]; 0 where alone), threshold. Final answers are masked before embedding.

    Also writes `steps` (see `find_steps`) and `findings_paths`.

    Args:
        embedder: a sentence-transformers model.
        threshold: cosine distance at which average linkage is cut; None fits one for the run.
        seed: of the bootstrap.

    Raises:
        InputError: a threshold outside (0, 2).
    """
    if threshold is not None and not 0 < threshold < 2:
        raise InputError(f"threshold is {threshold}: a cosine distance between 0 and 2")
    answers = need(run, "answers")
    traces = run.traces(["text", "token_ids"])
    parameters = {"embedder": embedder, "threshold": threshold, "seed": seed}
    steps = find_steps(run, traces)
    run.write_table(
        "steps", steps, command="paths", parameters=parameters, inputs=["traces", "questions"]
    )
    keys = ["question_id", "sample_index"]
    joined = traces[[*keys, "text"]].merge(
        answers[[*keys, "text", "start", "end"]], on=keys, suffixes=("", "_stated")
    )
    masked = mask_traces(joined["text"], joined.assign(text=joined["text_stated"]))
    paths = _cluster(joined[keys], embed(masked, embedder), threshold)
    run.write_table(
        "paths", paths, command="paths", parameters=parameters, inputs=["traces", "answers"]
    )
    findings = _findings(paths, answers, steps, seed)
    run.write_table(
        "findings_paths",
        findings,
        command="paths",
        parameters=parameters,
        inputs=["paths", "answers", "steps"],
    )
    return paths


def _cluster(
    keys: pd.DataFrame, vectors: np.ndarray[Any, Any], threshold: float | None
) -> pd.DataFrame:
    groups = list(keys.groupby("question_id", sort=False).indices.values())
    distances = [cosine_distances(vectors[rows]) for rows in groups]
    cut = fit_threshold(distances) if threshold is None else threshold
    paths = keys.assign(path=0, silhouette=0.0, threshold=cut)
    for rows, matrix in zip(groups, distances, strict=True):
        labels = AverageLinkage(cut).fit_predict(vectors[rows])
        paths.iloc[rows, paths.columns.get_loc("path")] = labels
        paths.iloc[rows, paths.columns.get_loc("silhouette")] = silhouettes(matrix, labels)
    return paths


def _findings(
    paths: pd.DataFrame, answers: pd.DataFrame, steps: pd.DataFrame, seed: int
) -> pd.DataFrame:
    joined = paths.merge(answers, on=["question_id", "sample_index"])
    valid = joined[joined["status"] == "ok"]
    per_question = joined.groupby("question_id", sort=False)["path"].nunique()
    lengths = steps.groupby("question_id").size() / joined.groupby("question_id").size()
    counts = {"n_traces": len(joined), "seed": seed}
    findings: list[Finding] = [
        mean_finding(
            "paths_per_question",
            per_question,
            n_excluded=0,
            method="mean number of reasoning clusters; 95% bootstrap over questions",
            **counts,
        ),
        mean_finding(
            "steps_per_trace",
            lengths.fillna(0),
            n_excluded=0,
            method="mean number of steps; 95% bootstrap over questions",
            **counts,
        ),
    ]
    for name, same, other in (
        ("same_answer_different_path", "answer", "path"),
        ("same_path_different_answer", "path", "answer"),
    ):
        shares = _share_that_differ(valid, same, other)
        findings.append(
            mean_finding(
                name,
                shares,
                n_traces=len(valid),
                n_excluded=len(per_question) - len(shares),
                method=f"of a question's pairs of traces with the same {same}, the share with "
                f"another {other}; 95% bootstrap over questions; questions without such a pair "
                "and traces without a valid answer excluded",
                seed=seed,
            )
        )
    return as_table(findings)


def _share_that_differ(frame: pd.DataFrame, same: str, other: str) -> Sequence[float]:
    """Per question with a pair that agrees in `same`: the share of such pairs unlike in `other`."""
    shares = []
    for _, rows in frame.groupby("question_id", sort=False):
        both = rows.groupby([same, other]).size().to_numpy()
        alike = rows.groupby(same).size().to_numpy()
        pairs = (alike * (alike - 1)).sum()
        if pairs:
            shares.append(float(1 - (both * (both - 1)).sum() / pairs))
    return shares
