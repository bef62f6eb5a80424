"""`cot merge`."""

from __future__ import annotations

from pathlib import Path

from cot.console import Output, emit, listen
from cot.store.merging import merge

__all__ = ["merge_runs"]


def merge_runs(
    *runs: Path,
    out: Path,
    keep_first: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Join runs of the same settings, such as the parts of `cot sample --part`, as one run.

    Traces, the samples of analyses, prompts and calls are copied; tables and hidden states are
    made again from the merged run.

    Parameters
    ----------
    runs
        The runs' folders.
    out
        The merged run's folder; it may hold some of them already.
    keep_first
        Of samples that differ between runs, keep that of the run named first.
    """
    listen()
    done = merge(runs, out, keep_first=keep_first)
    result = {
        "run": done.run.path,
        "n_questions": done.n_questions,
        "n_traces": done.n_traces,
        "n_new": done.n_new,
        "n_doubles": done.n_doubles,
        "n_unequal": done.n_unequal,
    }
    emit(output, result, rows=[result])
