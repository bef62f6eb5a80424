"""Sweeps: one dataset sampled under several settings, each into a run of its own.

    >>> runs = sweep("arithmetic", out="runs/sweep", temperature=[0.4, 1.0], prompt=["few_shot_cot",
    ...     "zero_shot_cot"], n=8)                                                # doctest: +SKIP
    >>> runs["temperature=0.4,prompt=few_shot_cot"].traces()                       # doctest: +SKIP

A sweep is a folder of runs, and `sweep.json`, which says the settings of each. Each point is
resumed as any run is. Points that share a model are sampled one after another, and the model is
loaded once (`cot.kept_models`). Points that are sampled alike, and differ in what is analysed only,
are sampled once: the others' traces are links (`cot.store.links`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

from cot.arguments import known_arguments, unknown_name
from cot.errors import ConsilienceError, InputError
from cot.kept_models import keep_models
from cot.sampling.plan import plan
from cot.sampling.point_names import file_name, point_names
from cot.sampling.sampler import draw
from cot.sampling.settings import SampleSettings, pairs, with_settings
from cot.store.atomic import replace_file
from cot.store.identity import Identity, differences
from cot.store.links import link_run
from cot.store.run import Run
from prompts import PromptError

__all__ = [
    "Arranged",
    "Point",
    "arrange",
    "check_folder",
    "failure",
    "make_point",
    "name_points",
    "note",
    "said",
    "sample_points",
    "sweep",
    "write_points",
]

log = logging.getLogger("cot")

FILE = "sweep.json"
Given = Mapping[str, Any]
"""What a point is given: setting to value."""
BESIDE_IDENTITY = ("n", "ahead", "limit", "shuffle", "greedy", "part", "url")
"""Settings that a run's identity leaves out, and that change what is sampled."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep."""

    name: str
    """Of its folder."""
    given: Given
    """What the sweep sets."""
    folder: Path
    """Where the run goes."""
    dataset: str
    """What is sampled."""
    settings: SampleSettings
    """How."""
    analyses: Mapping[str, Any] = field(default_factory=dict)
    """What is done with it: where all else is alike, this tells two points apart."""


@dataclass(frozen=True, kw_only=True)
class Arranged:
    """A point, and how it is to be sampled."""

    point: Point
    """The point."""
    identity: Identity
    """Of its run."""
    source: Point | None
    """The point that is sampled alike, whose traces it shares; None where it is sampled itself."""


@known_arguments
@with_settings
def sweep(
    dataset: str | Sequence[str],
    *,
    out: str | Path,
    zip: bool = False,
    points: Mapping[str, Given] | None = None,
    **settings: Any,
) -> dict[str, Run]:
    """Sample a run for each combination of settings; returns them by name.

    A list is swept over, for any setting and the dataset. (A setting that is itself a list takes a
    tuple as one value: `stop=("\\n\\n",)`.)

    Args:
        dataset: what is sampled, as in `sample`, or a list of such.
        out: the folder of the runs' folders; what it holds already is not sampled again.
        zip: go through the lists side by side instead of through all combinations.
        points: a name for each run and its settings, instead of lists.
        **settings: see below.

    Raises:
        InputError: as `sample`; lists of different lengths with `zip`; two points that are the same
            run; `out` is itself a run.
        ConsilienceError: some points failed; the others are done.
    """
    axes = {
        key: list(value)
        for key, value in {"dataset": dataset, **settings}.items()
        if isinstance(value, list | range) or type(value).__name__ == "ndarray"
    }
    base = {"dataset": dataset, **settings}
    folder = Path(out)
    made = [
        make_point(f"point {name}", name, given, folder / name, {**base, **given})
        for name, given in name_points(axes, side_by_side=zip, points=points).items()
    ]
    failed: dict[str, Exception] = {}
    with keep_models():
        groups = arrange(made, failed)
        write_points(folder, made)
        runs: dict[str, Run] = {}
        for group in groups:
            runs |= sample_points(group, failed)
    if failed:
        raise failure(failed, len(made)) from next(iter(failed.values()))
    return {point.name: runs[point.name] for point in made}


def make_point(
    where: str,
    name: str,
    given: Given,
    folder: Path,
    settings: Mapping[str, Any],
    analyses: Mapping[str, Any] | None = None,
) -> Point:
    """A point with all its settings, the dataset among them.

    Raises:
        InputError: a setting that there is not, or out of range; the message begins with `where`.
    """
    own = dict(settings)
    dataset = own.pop("dataset")
    known = [each.name for each in fields(SampleSettings)]
    for key in own:
        if key not in known:
            raise InputError(unknown_name(f"{where}: there is no setting", key, known))
    try:
        made = SampleSettings(**own)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return Point(
        name=name,
        given=given,
        folder=folder,
        dataset=str(dataset),
        settings=made,
        analyses=analyses or {},
    )


def name_points(
    axes: Mapping[str, Sequence[Any]],
    *,
    side_by_side: bool = False,
    points: Mapping[str, Given] | None = None,
) -> dict[str, Given]:
    """The name of each point and what it is given, in order; the last list goes round fastest.

    Raises:
        InputError: nothing to sweep over, an empty list, lists of different lengths that are to go
            side by side, or both lists and points.
    """
    if points and (axes or side_by_side):
        raise InputError("a sweep has lists of values or named points: give one of the two")
    if points:
        names = [file_name(name) for name in points]
        _check_names(names)
        return dict(zip(names, map(dict, points.values()), strict=True))
    if not axes:
        raise InputError(
            "there is nothing to sweep over: give a list of values, as in temperature = [0.4, 1.0]"
        )
    for key, values in axes.items():
        if not len(values):
            raise InputError(f"{key} is an empty list: give the values to sweep over")
    lengths = {key: len(values) for key, values in axes.items()}
    if side_by_side and len(set(lengths.values())) > 1:
        each = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise InputError(f"zip needs lists of one length: {each}")
    rows = zip(*axes.values(), strict=True) if side_by_side else product(*axes.values())
    given = [{key: _plain(value) for key, value in zip(axes, row, strict=True)} for row in rows]
    names = point_names(given)
    _check_names(names)
    return dict(zip(names, given, strict=True))


def arrange(
    points: Sequence[Point], failed: MutableMapping[str, Exception]
) -> list[list[Arranged]]:
    """Groups of points that share a model, in the order of each group's first point; nothing is
    written, and no weights are loaded.

    Args:
        failed: gets the points that can't be planned, such as those of a model that there is not.

    Raises:
        InputError: two points are the same run.
    """
    groups: dict[Any, dict[Any, list[Arranged]]] = {}
    done: list[Arranged] = []
    for point in points:
        try:
            identity = plan(point.dataset, point.folder, point.settings).identity
        except Exception as error:  # the other points go on, and it is said
            note(point.name, error, failed)
            continue
        alike = [each for each in done if _sampled_alike(each, point, identity)]
        for other in alike:
            if other.point.analyses == point.analyses:
                raise InputError(_same(other.point.name, point.name))
        source = next((each.source or each.point for each in alike), None)
        done.append(Arranged(point=point, identity=identity, source=source))
        model = (identity.model, identity.revision, identity.adapter, identity.adapter_revision)
        loaded = (identity.engine, identity.dtype, *_engine_args(point))
        groups.setdefault(model, {}).setdefault(loaded, []).append(done[-1])
    return [[each for some in group.values() for each in some] for group in groups.values()]


def sample_points(
    group: Sequence[Arranged], failed: MutableMapping[str, Exception]
) -> dict[str, Run]:
    """Sample what the points lack; the runs by name, without those that failed.

    Args:
        failed: gets the points that failed, and those of whose questions some couldn't be sampled.
    """
    runs: dict[str, Run] = {}
    for each in group:
        point = each.point
        try:
            if each.source is not None:
                if each.source.name not in runs:
                    raise ConsilienceError(f"{each.source.name} failed, which is sampled alike")
                runs[point.name] = link_run(runs[each.source.name], point.folder)
                log.info("%s: its traces are those of %s, linked", point.name, each.source.name)
                if each.source.name in failed:
                    failed[point.name] = failed[each.source.name]
                continue
            log.info("%s: sampling %s", point.name, point.dataset)
            sampled = draw(plan(point.dataset, point.folder, point.settings), point.folder)
            log.info("%s: %d traces, %d of them new", point.name, sampled.n_traces, sampled.n_new)
            runs[point.name] = sampled.run
            if sampled.failed:
                count = len(sampled.failed)
                failed[point.name] = ConsilienceError(
                    f"{count} questions have traces that could not be sampled"
                )
        except Exception as error:  # the other points go on, and it is said
            note(point.name, error, failed)
    return runs


def write_points(folder: Path, points: Sequence[Point]) -> None:
    """Write each point's settings to sweep.json, beside those of earlier calls.

    Raises:
        InputError: the folder is a run.
    """
    check_folder(folder)
    path = folder / FILE
    content: dict[str, Any] = {"format": 1, "points": {}}
    if path.exists():
        content["points"] = json.loads(path.read_text(encoding="utf-8"))["points"]
    before = dict(content["points"])
    content["points"] |= {point.name: dict(point.given) for point in points}
    if content["points"] != before:
        with replace_file(path) as handle:
            handle.write(json.dumps(content, indent=2, ensure_ascii=False).encode())


def check_folder(folder: Path) -> None:
    """Raise InputError where a sweep can't go: into a run, or a file."""
    if (folder / "run.json").exists():
        raise InputError(f"{folder} is a run, and a sweep is a folder of runs: choose another out")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: choose another out")


def failure(failed: Mapping[str, Exception], n: int) -> ConsilienceError:
    """The error that ends a sweep of n points some of which failed."""
    each = "; ".join(f"{name}: {said(error)}" for name, error in failed.items())
    return ConsilienceError(f"{len(failed)} of {n} points failed: {each}")


def note(name: str, error: Exception, failed: MutableMapping[str, Exception]) -> None:
    """Note a point that failed, and say it."""
    failed[name] = error
    log.warning("%s failed: %s", name, said(error))


def said(error: Exception) -> str:
    """An error in words; its type too where it is not one of ours."""
    ours = isinstance(error, ConsilienceError | PromptError)
    return str(error) if ours else f"{type(error).__name__}: {error}"


def _sampled_alike(other: Arranged, point: Point, identity: Identity) -> bool:
    one, two = (asdict(each.settings) for each in (other.point, point))
    return (
        all(one.get(key) == two.get(key) for key in BESIDE_IDENTITY)
        and _engine_args(other.point) == _engine_args(point)
        and not differences(other.identity, identity)
    )


def _engine_args(point: Point) -> tuple[tuple[str, str], ...]:
    given = pairs("--engine-arg", point.settings.engine_arg)
    return tuple(sorted((key, repr(value)) for key, value in given.items()))


def _check_names(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            raise InputError(_same(seen[name.casefold()], name))
        seen[name.casefold()] = name


def _same(one: str, other: str) -> str:
    return f"two points of the sweep are the same run: {one} and {other}: leave one of them out"


def _plain(value: Any) -> Any:
    """numpy's scalars as Python's, paths as texts."""
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") else value
