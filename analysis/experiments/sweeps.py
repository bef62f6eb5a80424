"""A sweep: each point of the file is a run of its own; then all are compared.

A model's points are done together, one stage after another (all are sampled, then all captured, and
so on), so that the model is loaded once a stage, whatever the number of points, and one engine at a
time holds a GPU's memory. A point that fails is named, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.catalogue import find
from analysis.experiments.files import Experiment, load_experiment
from analysis.experiments.stages import do_stage
from cot.errors import InputError
from cot.importers import import_traces
from cot.kept_models import keep_models
from cot.sampling.plan import plan
from cot.sampling.sweep import Point, arrange, check_folder, note, sample_points, write_points
from cot.store.links import link_run
from cot.store.run import Run
from cot.store.shards import read_shards

__all__ = ["PlannedPoint", "Swept", "plan_experiment", "run_sweep"]

log = logging.getLogger("cot")

PAGE = "compare.html"
"""The comparison's page, in the sweep's folder."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep did."""

    folder: Path
    """Of the runs' folders."""
    points: Sequence[Point]
    """All points, in the order of the file."""
    runs: Mapping[str, Run]
    """Point to its run, without those that failed."""
    failed: Mapping[str, Exception]
    """Point to what went wrong; of one that is in `runs` too, some questions are missing."""
    compared: Run | None
    """The run that holds the comparison's tables; None where there are fewer than two runs."""
    comparison: Any
    """The comparison's main table, or None."""
    not_compared: Exception | None
    """Why they could not be compared, or None."""


@dataclass(frozen=True, kw_only=True)
class PlannedPoint:
    """What running a point would sample."""

    point: str
    """Its name."""
    n_questions: int
    """Questions asked."""
    n_traces: int
    """Traces that it would have."""
    n_missing: int
    """Of these, not there yet."""
    n_missing_greedy: int
    """Greedy traces, likewise."""
    tokens: int
    """Estimated tokens to generate for what is missing."""
    tokens_are: str
    """`estimated` by the mean of what is there, or `at most`: --max-tokens for each trace."""
    shares: str | None
    """The point whose traces it shares, so that none are missing."""


def run_sweep(path: str | Path, out: str | Path | None = None, dataset: str | None = None) -> Swept:
    """Run each point of an experiment file with [sweep], then compare them.

    Args:
        path: the file.
        out: the folder of the runs' folders, instead of the file's.
        dataset: what is sampled instead of the file's dataset; `out` must be given too.

    Raises:
        InputError: as `load_experiment`; two points are the same run; `out` is itself a run.
    """
    experiment, points, folder = _asked(path, out, dataset)
    if not experiment.swept:
        raise InputError(f"{path} has no [sweep]: call analysis.run_experiment")
    check_folder(folder)
    failed: dict[str, Exception] = {}
    done: dict[str, Run] = {}
    compared = table = problem = None
    with keep_models():
        for runs in _sampled(experiment, points, folder, failed):
            _analyse(runs, {point.name: point for point in points}, failed)
            done |= runs
        ordered = {point.name: done[point.name] for point in points if point.name in done}
        if len(ordered) > 1:
            try:
                compared, table = _compare(experiment, folder, ordered)
            except Exception as error:  # the runs are there all the same, and it is said
                problem = error
    return Swept(
        folder=folder,
        points=points,
        runs=ordered,
        failed=failed,
        compared=compared,
        comparison=table,
        not_compared=problem,
    )


def plan_experiment(
    path: str | Path, out: str | Path | None = None, dataset: str | None = None
) -> tuple[list[PlannedPoint], dict[str, Exception]]:
    """What running a file would sample, point by point, and the points that would fail at once;
    writes nothing and loads no weights.

    Raises:
        InputError: as `run_sweep`; a file that imports.
    """
    experiment, points, folder = _asked(path, out, dataset)
    if experiment.file is not None:
        raise InputError(f"{path}: traces are imported: there is nothing to sample")
    if experiment.swept:
        check_folder(folder)
    failed: dict[str, Exception] = {}
    found = []
    means: list[float] = []
    for arranged in [each for group in arrange(points, failed) for each in group]:
        point = arranged.point
        own = _mean_tokens(point.folder)
        means += [] if own is None else [own]
        planned = plan(point.dataset, point.folder, point.settings)
        linked = arranged.source is not None
        missing = 0 if linked else len(planned.missing)
        greedy = 0 if linked else len(planned.missing_greedy)
        mean = own or (sum(means) / len(means) if means else planned.sampling.max_tokens)
        found.append(
            PlannedPoint(
                point=point.name,
                n_questions=len(planned.questions),
                n_traces=len(planned.questions) * point.settings.n,
                n_missing=missing,
                n_missing_greedy=greedy,
                tokens=round((missing + greedy) * mean),
                tokens_are="estimated" if means else "at most",
                shares=arranged.source.name if arranged.source else None,
            )
        )
    order = [point.name for point in points]
    return sorted(found, key=lambda each: order.index(each.point)), failed


def _asked(
    path: str | Path, out: str | Path | None, dataset: str | None
) -> tuple[Experiment, list[Point], Path]:
    """The file, its points where they are to go, and the folder of all."""
    experiment = load_experiment(path)
    if dataset is not None and (out is None or experiment.dataset is None):
        raise InputError(
            "--dataset needs --out, the folder of its own runs, and a file that samples one"
        )
    folder = Path(out) if out is not None else experiment.out
    points = [
        replace(
            point,
            folder=folder / point.name if experiment.swept else folder,
            dataset=dataset or point.dataset,
        )
        for point in experiment.points
    ]
    return experiment, points, folder


def _sampled(
    experiment: Experiment,
    points: Sequence[Point],
    folder: Path,
    failed: MutableMapping[str, Exception],
) -> Iterator[dict[str, Run]]:
    """Runs by point, those that share a model together."""
    if experiment.file is None:
        groups = arrange(points, failed)
        write_points(folder, points)
        for group in groups:
            yield sample_points(group, failed)
        return
    seen: dict[str, Point] = {}
    for point in points:
        for other in seen.values():
            if other.analyses == point.analyses:
                raise InputError(f"two points are the same run: {other.name} and {point.name}")
        seen[point.name] = point
    write_points(folder, points)
    first, *others = points
    runs = {first.name: import_traces(experiment.file, first.folder).run}
    for point in others:
        try:
            runs[point.name] = link_run(runs[first.name], point.folder)
        except Exception as error:  # the other points go on, and it is said
            note(point.name, error, failed)
    yield runs


def _analyse(
    runs: dict[str, Run], points: Mapping[str, Point], failed: MutableMapping[str, Exception]
) -> None:
    """Do the stages, each for all runs; a run that fails is taken out."""
    shared: dict[str, set[str]] = {name: set() for name in runs}
    stages = list(dict.fromkeys(stage for name in runs for stage in points[name].analyses))
    for stage in stages:
        for name in list(runs):
            try:
                do_stage(runs[name], points[name].analyses, stage, shared[name], of=name)
            except Exception as error:  # the other points go on, and it is said
                note(name, error, failed)
                del runs[name]


def _compare(experiment: Experiment, folder: Path, runs: Mapping[str, Run]) -> tuple[Run, Any]:
    """Compare all runs with the first, or with the one that the file names."""
    (_, first), *others = runs.items()
    arguments: dict[str, Any] = {
        **experiment.comparison,
        "other": [str(run.path) for _, run in others],
        "out": str(folder),
    }
    if experiment.against in runs:
        arguments["against"] = experiment.against
    elif experiment.against is not None:
        log.warning("%s failed: the others are compared with the first", experiment.against)
    compare = find("compare")
    if compare.is_current(first, arguments) and (folder / PAGE).exists():
        log.info("the comparison: nothing new")
        return first, first.table(next(iter(compare.makes)))
    log.info("comparing %d runs", len(runs))
    return first, compare.function(first, **arguments)


def _mean_tokens(folder: Path) -> float | None:
    """Of the traces that are there; None without any."""
    import pyarrow.compute as pc

    lengths = pc.list_value_length(read_shards(folder / "traces", ["token_ids"])["token_ids"])
    mean = pc.mean(lengths).as_py()
    return None if mean is None else float(mean)
