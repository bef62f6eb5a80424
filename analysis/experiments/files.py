"""Experiment files, read and checked: nothing is run before all of a file is understood.

Without [sweep] a file has one point, its run. With it, each list of values is an axis of a grid
(or all go side by side, with `zip = true`), or [sweep.points.NAME] gives each point its settings.
"""

from __future__ import annotations

import difflib
import inspect
import json
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from analysis.catalogue import find, names
from analysis.declaration import is_list
from cot.errors import InputError
from cot.registry import load_plugin
from cot.sampling.point_names import file_name
from cot.sampling.settings import SampleSettings
from cot.sampling.sweep import Point, make_point, name_points

__all__ = ["Experiment", "load_experiment"]

TOP = ("title", "description", "plugins", "dataset", "file", "out", "sample", "sweep")
"""Keys of a file beside the names of analyses."""
OF_SWEEP = ("zip", "against", "points")
"""Keys of [sweep] that are no settings."""
SETTINGS = tuple(each.name for each in fields(SampleSettings))
Section = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A checked experiment file."""

    path: Path
    """The file."""
    dataset: str | None
    """What is sampled; None where that is swept over or traces are imported."""
    file: Path | None
    """Traces that are imported, or None."""
    out: Path
    """The run's folder, or that of the sweep."""
    stages: Mapping[str, Section]
    """Analysis to its parameters, in the order of the file."""
    points: Sequence[Point]
    """The runs; one without [sweep]. A point's `analyses` are its stages."""
    swept: bool
    """Whether there is a [sweep]."""
    against: str | None = None
    """The point that a sweep's others are compared with; None for the first."""
    comparison: Section = field(default_factory=dict)
    """Parameters of the comparison at the end of a sweep."""


def load_experiment(path: str | Path) -> Experiment:
    """Read and check an experiment file.

    Raises:
        InputError: no such file, not TOML, an unknown section or key (the message names the valid
            ones), a setting out of range, a list where one value belongs, or a sweep whose lists
            don't fit each other.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    for module in content.get("plugins", []):
        load_plugin(module)
    _check(path, "the file", content, (*TOP, *names()))
    sweep = content.get("sweep", {})
    sections = {name: content[name] for name in ("sample", "sweep", *names()) if name in content}
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise InputError(f"{path}: {name} is not a section: write [{name}]")
    given = ("dataset" in content or _sweeps(sweep, "dataset")) + ("file" in content)
    if given != 1:
        raise InputError(f"{path}: give either a dataset to sample or a file to import")
    if "out" not in content:
        raise InputError(f"{path}: no `out`: name the run's folder, as in out = 'runs/mine'")
    stages = {name: content[name] for name in content if name in names()}
    sample = content.get("sample", {})
    _check(path, "[sample]", sample, SETTINGS)
    for name, section in stages.items():
        _check(path, f"[{name}]", section, find(name).parameters)
    swept = "sweep" in content
    comparison = stages.pop("compare", {}) if swept else {}
    for key in ("other", "against", "out"):
        if key in comparison:
            hint = "write it in [sweep]" if key == "against" else "a sweep sets it: leave it out"
            raise InputError(f"{path}: [compare] {key}: {hint}")
    _check_single(path, sample, stages | ({"compare": comparison} if comparison else {}))
    base = {"dataset": content.get("dataset", ""), **sample}
    out = Path(content["out"])
    variants = _variants(path, sweep, content, stages) if swept else {out.name: {}}
    points = []
    for name, changes in variants.items():
        where = f"{path}: [sweep] {name}" if swept else f"{path}: [sample]"
        own = {key: value for key, value in changes.items() if "." not in key}
        analyses = _changed(stages, changes)
        _check_single(path, {**sample, **own}, analyses)
        folder = out / name if swept else out
        points.append(make_point(where, name, changes, folder, {**base, **own}, analyses))
    return Experiment(
        path=path,
        dataset=content.get("dataset"),
        file=path.parent / content["file"] if "file" in content else None,
        out=out,
        stages=stages,
        points=points,
        swept=swept,
        against=_against(path, sweep.get("against"), list(variants)),
        comparison=comparison,
    )


def _variants(
    path: Path, sweep: Section, content: Section, stages: Mapping[str, Section]
) -> Mapping[str, Section]:
    """Each point's name and what it changes; parameters of an analysis as `analysis.parameter`."""
    if not isinstance(sweep.get("zip", False), bool):
        raise InputError(f"{path}: [sweep] zip is {sweep['zip']!r}: give true or false")
    listed = {key: value for key, value in sweep.items() if key not in OF_SWEEP}
    axes = _flat(path, "[sweep]", listed, content, stages)
    for key, values in axes.items():
        place, _, name = key.rpartition(".")
        if not isinstance(values, list):
            raise InputError(
                f"{path}: [{'.'.join(filter(None, ('sweep', place)))}] {name} is {_shown(values)}: "
                "give a list of values"
            )
        fixed = content.get(place, {}) if place else {**content, **content.get("sample", {})}
        if name in fixed:
            where = f"[{place or 'sample'}]" if name != "dataset" else "the file"
            raise InputError(f"{path}: {key} is in {where} and in [sweep]: leave it in one of them")
    points = sweep.get("points", {})
    if not isinstance(points, dict) or not all(isinstance(each, dict) for each in points.values()):
        raise InputError(f"{path}: points are not sections: write [sweep.points.NAME] for each")
    named = {
        name: _flat(path, f"[sweep.points.{name}]", given, content, stages)
        for name, given in points.items()
    }
    try:
        return name_points(axes, side_by_side=sweep.get("zip", False), points=named)
    except InputError as error:
        raise InputError(f"{path}: [sweep]: {error}") from None


def _flat(
    path: Path, where: str, given: Section, content: Section, stages: Mapping[str, Section]
) -> dict[str, Any]:
    """What a section sets: settings of sampling, and tables of analyses' parameters."""
    known = ("dataset", *SETTINGS)
    found: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, dict) and key in names():
            if key not in stages:
                raise InputError(f"{path}: {where} changes {key}: add the section [{key}] itself")
            _check(path, f"{where} {key}", value, find(key).parameters)
            found |= {f"{key}.{name}": each for name, each in value.items()}
            continue
        _check(path, where, [key], (*known, *names()))
        if key not in known:
            raise InputError(f"{path}: {where} {key} is {_shown(value)}: write its parameters")
        if "file" in content:
            raise InputError(f"{path}: {where} {key}: traces are imported, and not sampled")
        found[key] = value
    return found


def _sweeps(sweep: Any, key: str) -> bool:
    """Whether a sweep sets a key."""
    if not isinstance(sweep, dict):
        return False
    points = sweep.get("points")
    each = points.values() if isinstance(points, dict) else ()
    return key in sweep or any(isinstance(point, dict) and key in point for point in each)


def _changed(stages: Mapping[str, Section], changes: Section) -> dict[str, Section]:
    """The stages with a point's changes."""
    found: dict[str, Section] = {name: dict(section) for name, section in stages.items()}
    for key, value in changes.items():
        stage, dot, name = key.partition(".")
        if dot:
            found[stage] = {**found[stage], name: value}
    return found


def _against(path: Path, name: str | None, there: Sequence[str]) -> str | None:
    if name is None:
        return None
    for each in (str(name), file_name(str(name))):
        if each in there:
            return each
    raise InputError(
        f"{path}: [sweep] against: there is no point {name!r}: choose from {'; '.join(there)}"
    )


# -- one value or a list ---------------------------------------------------------------------------


def _check_single(path: Path, sample: Section, stages: Mapping[str, Section]) -> None:
    """Refuse a list where one value belongs, and a list of lists where a list does."""
    kinds = get_type_hints(SampleSettings)
    for key, value in sample.items():
        if key in kinds:
            _check_value(path, "sample", "sweep", key, value, _takes_list(kinds[key]))
    for name, section in stages.items():
        declared = find(name)
        for key, value in section.items():
            parameter = declared.parameters[key]
            unknown = parameter.annotation is inspect.Parameter.empty and parameter.default is None
            takes = unknown or _takes_list(declared.types[key])
            _check_value(path, name, f"sweep.{name}", key, value, takes)


def _check_value(
    path: Path, section: str, sweep: str, key: str, value: Any, takes_list: bool
) -> None:
    if not isinstance(value, list):
        return
    if takes_list and not (value and all(isinstance(each, list) for each in value)):
        return
    belongs = "a list" if takes_list else "one value"
    raise InputError(
        f"{path}: [{section}] {key} is {_shown(value)}: {belongs} belongs here; to run each of "
        f"them, move it to [{sweep}]"
    )


def _takes_list(kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(map(_takes_list, get_args(kind)))
    return kind in (list, tuple, Sequence, Any) or is_list(kind)


def _shown(value: Any) -> str:
    """A value, as TOML has it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _check(path: Path, where: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(
                f"{path}: unknown key {key!r} in {where}: {hint}valid: {', '.join(known)}"
            )
