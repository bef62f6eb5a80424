"""One run: sampled or imported as the file says, then analysed."""

from __future__ import annotations

import logging
from pathlib import Path

from analysis.experiments.files import load_experiment
from analysis.experiments.stages import do_stage
from cot.errors import ConsilienceError, InputError
from cot.importers import import_traces
from cot.sampling.plan import plan
from cot.sampling.sampler import draw
from cot.store.run import Run, open_run

__all__ = ["run_experiment"]

log = logging.getLogger("cot")


def run_experiment(
    path: str | Path,
    out: str | Path | None = None,
    on: str | Path | None = None,
    dataset: str | None = None,
) -> Run:
    """Run an experiment file: sample or import, then do its analyses.

    Args:
        path: the file.
        out: the run's folder, instead of the file's.
        on: an existing run: nothing is sampled or imported, and the analyses are done on it.
        dataset: what is sampled instead of the file's dataset; `out` must be given too.

    Raises:
        InputError: as `load_experiment`, `cot.sample` and the commands themselves; a file with
            [sweep], which makes many runs: `run_sweep` takes it.
        ConsilienceError: some questions could not be asked.
    """
    experiment = load_experiment(path)
    if experiment.swept:
        raise InputError(f"{path} has [sweep], which makes many runs: call analysis.run_sweep")
    if dataset is not None and (out is None or on is not None or experiment.dataset is None):
        raise InputError(
            "--dataset needs --out, the folder of its own run, and a file that samples"
        )
    (point,) = experiment.points
    folder = Path(out) if out is not None else experiment.out
    failed: list[str] = []
    if on is not None:
        run = open_run(on)
    elif experiment.file is not None:
        run = import_traces(experiment.file, folder).run
    else:
        asked = dataset or point.dataset
        log.info("sampling %s into %s", asked, folder)
        sampled = draw(plan(asked, folder, point.settings), folder)
        run, failed = sampled.run, list(sampled.failed)
        log.info("%d traces, %d of them new", sampled.n_traces, sampled.n_new)
    with run.lock():
        shared: set[str] = set()
        for name in experiment.stages:
            do_stage(run, experiment.stages, name, shared)
    if failed:
        raise ConsilienceError(f"{len(failed)} questions have traces that could not be sampled")
    return run
