"""The runs below a folder, and the settings in which they differ.

    >>> for each in list_runs(Path("runs/sweep")):                               # doctest: +SKIP
    ...     print(each.name, each.n_traces, each.settings["temperature"])

A folder of a run is not looked into further. What a sweep set stands beside the run's own settings,
as an analysis's parameters are none of these.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.comparison.settings import differing, settings_of
from cot.errors import InputError
from cot.store.run import open_run

__all__ = ["ListedRun", "list_runs", "varied"]


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """A run, or what keeps it from being read."""

    name: str
    """Its folder, from the one that was asked for."""
    path: Path
    """Its folder."""
    settings: Mapping[str, str]
    """Settings as text; none where it can't be read."""
    n_questions: int
    """Questions in it."""
    n_traces: int
    """Traces in it."""
    tables: Sequence[str]
    """Names of its derived tables."""
    problem: str | None = None
    """Why it can't be read, or None."""


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs below a folder, in the order of a sweep's points, then by name."""
    places = {path: n for n, path in enumerate(_points(folder))}
    paths = sorted(_runs(folder), key=lambda path: (places.get(path, len(places)), str(path)))
    return [_listed(path, folder) for path in paths]


def varied(runs: Sequence[ListedRun]) -> list[str]:
    """The settings in which any run that can be read differs from the first."""
    known = [each.settings for each in runs if each.problem is None]
    names = [name for other in known[1:] for name in differing(known[0], other)]
    return list(dict.fromkeys(names))


def _runs(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        if "run.json" in files:
            folders.clear()
            yield Path(place)


def _listed(path: Path, folder: Path) -> ListedRun:
    name = str(path.relative_to(folder))
    try:
        run = open_run(path)
        given = _points(path.parent).get(path, {})
        there = (path / "questions.parquet").exists()  # not before the first trace is asked for
        return ListedRun(
            name=name,
            path=path,
            settings={**given, **settings_of(run, None)},
            n_questions=len(run.questions()) if there else 0,
            n_traces=len(run.traces([])) if there else 0,
            tables=run.tables(),
        )
    except InputError as error:
        return ListedRun(
            name=name,
            path=path,
            settings={},
            n_questions=0,
            n_traces=0,
            tables=(),
            problem=str(error),
        )


def _points(folder: Path) -> dict[Path, dict[str, str]]:
    """What a sweep gave each of its runs; nothing where the folder is no sweep's."""
    try:
        points = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["points"]
        return {
            folder / name: {
                key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                for key, value in given.items()
            }
            for name, given in points.items()
        }
    except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError):
        return {}
