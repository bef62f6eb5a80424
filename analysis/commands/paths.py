"""`cot paths`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

import analysis
from analysis.clusters import DEFAULT_CLUSTERER
from analysis.clusters.embed import DEFAULT_EMBEDDER
from cot.console import Output, emit, listen, plain
from cot.registry import describe
from cot.store.run import open_run

__all__ = ["paths"]

CLUSTERERS = f"""How traces are clustered.

{describe("clusterers")}
dataflow
  No embedding: traces that compute the same things from the same numbers are one path.
module:Class
  A scikit-learn clusterer of your own."""
NAMED = (
    "path_entropy",
    "effective_paths",
    "dataflows_per_question",
    "same_answer_different_path",
    "same_path_different_answer",
    "wrong_equations",
    "right_over_wrong_step",
    "answer_follows",
)


def paths(
    run: Path,
    /,
    *,
    embedder: str = DEFAULT_EMBEDDER,
    clusterer: Annotated[str, Parameter(help=CLUSTERERS)] = DEFAULT_CLUSTERER,
    threshold: float | None = None,
    mask: Literal["answer", "numbers"] = "answer",
    layout: Literal["pca", "tsne", "umap"] = "pca",
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Read steps and equations, and cluster each question's traces by what they argue.

    Parameters
    ----------
    run
        The run's folder.
    embedder
        A sentence-transformers model, or tfidf, which needs none.
    threshold
        Cosine distance at which average linkage is cut; fitted for the run by default.
    mask
        What is hidden before embedding: the final answer, or all numbers too.
    layout
        Of the map on the page; umap needs the extra maps.
    seed
        Of bootstrap, permutations and layout.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        table = analysis.find_paths(
            opened,
            embedder=embedder,
            clusterer=clusterer,
            threshold=threshold,
            mask_numbers=mask == "numbers",
            layout=layout,
            seed=seed,
        )
    findings = opened.table("findings_paths")
    estimates = findings.set_index("name")["estimate"]
    result = {
        "n_steps": len(opened.table("steps")),
        "clusters_per_question": estimates["paths_per_question"],
        **{name: estimates[name] for name in NAMED},
        "threshold": table["threshold"].iloc[0] if len(table) else None,
        "silhouette": table["silhouette"].mean() if len(table) else None,
    }
    columns = ["name", "estimate", "low", "high", "null_mean", "p", "n_questions", "n_traces"]
    columns.append("n_excluded")
    cut = plain(result["threshold"])
    note = f"threshold {cut:.3f}, " if cut is not None else ""
    note += f"mean silhouette {result['silhouette']:.3f}"
    emit(output, result, rows=findings[columns].to_dict("records"), note=note)
