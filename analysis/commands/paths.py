"""`cot paths`."""

from __future__ import annotations

from pathlib import Path

import analysis
from analysis.paths.embed import DEFAULT_EMBEDDER
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["paths"]


def paths(
    run: Path,
    /,
    *,
    embedder: str = DEFAULT_EMBEDDER,
    threshold: float | None = None,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Split traces into steps, and cluster each question's traces by what they argue.

    Parameters
    ----------
    run
        The run's folder.
    embedder
        A sentence-transformers model.
    threshold
        Cosine distance at which clusters are cut; fitted for the run by default.
    seed
        Of the bootstrap.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        table = analysis.find_paths(opened, embedder=embedder, threshold=threshold, seed=seed)
    findings = opened.table("findings_paths")
    estimates = findings.set_index("name")["estimate"]
    result = {
        "n_steps": len(opened.table("steps")),
        "clusters_per_question": estimates["paths_per_question"],
        "same_answer_different_path": estimates["same_answer_different_path"],
        "same_path_different_answer": estimates["same_path_different_answer"],
        "threshold": table["threshold"].iloc[0] if len(table) else None,
        "silhouette": table["silhouette"].mean() if len(table) else None,
    }
    columns = ["name", "estimate", "low", "high", "n_questions", "n_traces", "n_excluded"]
    note = f"threshold {result['threshold']:.3f}, mean silhouette {result['silhouette']:.3f}"
    emit(output, result, rows=findings[columns].to_dict("records"), note=note)
