"""`cot probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import analysis
from analysis.clusters.embed import DEFAULT_EMBEDDER
from analysis.probes.targets import TARGETS
from cot.console import Output, emit, listen
from cot.registry import describe
from cot.store.run import open_run

__all__ = ["probe"]

TARGET = "What is predicted; may be given again.\n\n" + "\n".join(
    f"{name}\n  {meaning[0].upper()}{meaning[1:]}." for name, meaning in TARGETS.items()
)
KIND = f"""The probe; logistic by default, and ridge for numbers.

{describe("probes")}
module:Class
  An estimator of your own."""
SHOWN = (
    *("target", "layer", "position", "n_traces", "auroc", "low", "high"),
    *("within_question_auroc", "within_low", "within_high", "control", "control_within"),
    *("length", "tfidf", "embedding", "position_only", "r2", "control_r2", "accuracy", "chance"),
    "best",
)


def probe(
    run: Path,
    /,
    *,
    target: Annotated[tuple[str, ...], Parameter(help=TARGET)] = ("correct",),
    kind: Annotated[str | None, Parameter(help=KIND)] = None,
    layers: tuple[int, ...] = (),
    positions: tuple[str, ...] = (),
    folds: int = 5,
    seed: int = 0,
    embedder: str = DEFAULT_EMBEDDER,
    with_: Annotated[Path | None, Parameter(name="--with")] = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Probe each captured layer and position, beside shuffled labels and baselines without it.

    Parameters
    ----------
    run
        The run's folder.
    layers
        Captured layers, all by default; may be given again.
    positions
        Captured positions, all by default; may be given again.
    folds
        Of whole questions, in which probes are tested.
    seed
        Of folds, shuffles and bootstrap.
    embedder
        A sentence-transformers model for the baseline embedding; tfidf leaves it out.
    with_
        A probe of another run, RUN/probes/TARGET.safetensors: nothing is fitted, it scores this
        run.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        table = analysis.probe(
            opened,
            target=target[0] if len(target) == 1 else target,
            kind=kind,
            layers=layers or None,
            positions=positions or None,
            folds=folds,
            seed=seed,
            embedder=embedder,
            fitted=None if with_ is None else str(with_),
        )
    rows = table.to_dict("records")
    known = [name for name in SHOWN if table[name].notna().any()]
    shown = [{name: row[name] for name in known} for row in rows]
    emit(output, {"probes": [{**row, "text_baseline": row["tfidf"]} for row in rows]}, rows=shown)
