"""The runs that are compared: their names, their settings, and in how many settings two differ.

A setting is a field of the run's identity, named as an experiment file names it, `n`, the traces a
question, and a parameter of an analysis of both runs that the compared tables come from, such as
`paths.threshold`. Some fields follow from others and count with them: a model's revision with the
model, a prompt's hash and its stop strings with the prompt. The file that traces were imported from
is listed and not counted; library versions are no settings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.catalogue import names as analyses
from analysis.comparison.tables import as_frame
from cot.store.identity import SamplingIdentity, as_compared
from cot.store.run import Run

__all__ = ["differing", "names_of", "settings_of", "settings_table"]

WITH = {
    "revision": "model",
    "adapter_revision": "adapter",
    "prompt_sha256": "prompt",
    "dataset_sha256": "dataset",
    "adaptive.rule": "adaptive",
    "adaptive.format": "adaptive",
}
"""Setting to the one that it counts with."""
NO_SETTINGS = {
    *("method", "n", "rule", "signal", "target", "test"),
    *("also", "device", "fitted", "tokens_per_batch", "workers"),
}
"""Parameters of analyses that don't count: those that choose what is measured (measures are matched
by that), and those that say with what it is computed or where it is kept."""
SAMPLING = {each.name for each in fields(SamplingIdentity)}
"""Settings of sampling."""
NONE = "none"
"""What a setting is that a run doesn't have."""


def names_of(paths: Sequence[Path]) -> list[str]:
    """Each folder's name; with as many of the folders above it as tell the runs apart.

    >>> names_of([Path("/runs/a"), Path("/runs/b"), Path("/old/b")])
    ['a', 'runs/b', 'old/b']
    """
    parts = [path.resolve().parts for path in paths]
    names = [each[-1] for each in parts]
    for depth in range(2, max(map(len, parts)) + 1):
        counts = Counter(names)
        names = [
            "/".join(each[-depth:]) if counts[name] > 1 else name
            for name, each in zip(names, parts, strict=True)
        ]
    return names


def settings_of(run: Run, answers: pd.DataFrame | None, read: Iterable[str] = ()) -> dict[str, str]:
    """The run's settings as text, n, and the parameters of analyses.

    Args:
        answers: the run's table, for n; None where it can't be read.
        read: the tables that are compared.
    """
    found = {}
    for name, value in _flat(as_compared(run.identity)).items():
        found[name.removeprefix("sampling.")] = _text(value)
    if answers is not None and len(answers):
        sizes = answers["question_id"].value_counts()
        low, high = int(sizes.min()), int(sizes.max())
        found["n"] = str(low) if low == high else f"{low} to {high}"
    for table in _with_inputs(run, read):
        made = run.provenance(table)
        for name, value in made.parameters.items():
            if name not in NO_SETTINGS:
                found[f"{made.command}.{name}"] = _text(value)
    return found


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The settings that count in which two runs differ."""
    unlike = [
        name
        for name in dict.fromkeys([*one, *other])
        if one.get(name, NONE) != other.get(name, NONE)
        and not name.startswith("imported.")
        and ((name in one and name in other) or not _of_analysis(name))
    ]
    if any(name in one for name in SAMPLING) != any(name in other for name in SAMPLING):
        # how imported traces were sampled is not known: that is one difference
        unlike = ["sampling" if name in SAMPLING else name for name in unlike]
    if {"prompt", "form"} & set(unlike):  # a prompt's own stop strings are part of it
        unlike = [name for name in unlike if name != "stop"]
    return list(dict.fromkeys(WITH.get(name, name) for name in unlike))


def settings_table(
    settings: Mapping[str, Mapping[str, str]], paths: Mapping[str, Path]
) -> pd.DataFrame:
    """The table `compared_settings`.

    Args:
        settings: run to setting to value.
        paths: run to its folder.
    """
    every = list(dict.fromkeys(name for mine in settings.values() for name in mine))
    values = {}
    for name in every:
        own = _of_analysis(name)  # a run without the analysis has no value
        found = [mine.get(name, NONE) for mine in settings.values() if name in mine or not own]
        if set(found) != {NONE} and not (own and len(set(found)) == 1):  # most are never touched
            values[name] = found
    rows = [
        {
            "run": run,
            "path": str(paths[run]),
            "setting": name,
            "value": mine.get(name, NONE),
            "differs": len(set(values[name])) > 1,
        }
        for run, mine in settings.items()
        for name in values
        if name in mine or not _of_analysis(name)
    ]
    return as_frame("compared_settings", rows)


def _with_inputs(run: Run, tables: Iterable[str]) -> list[str]:
    """The tables that the run has of these, and those that they were made from."""
    there, found, left = run.tables(), [], sorted(tables, reverse=True)
    while left:
        table = left.pop()
        if table in there and table not in found:
            found.append(table)
            left += run.provenance(table).inputs
    return found


def _of_analysis(name: str) -> bool:
    """Whether the setting is a parameter of an analysis."""
    analysis, dot, _ = name.partition(".")
    return bool(dot) and analysis in analyses()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _text(value: Any) -> str:
    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
