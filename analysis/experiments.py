"""Experiments: a TOML file that names a dataset, a run, and the analyses to do, in order.

    dataset = "arithmetic"
    out = "runs/demo"

    [sample]            # the parameters of `cot.sample`
    n = 12

    [vote]              # each further section is an analysis; its keys are its parameters
    rule = ["majority"]

Instead of `dataset` and `[sample]`, `file` names traces to import; `plugins` names modules that
declare analyses of your own. An analysis whose tables are current, made with the same parameters
and versions, is not done again. Analyses next to each other that look inside the model ([capture]
and [lens]) read one teacher-forced pass.
"""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from analysis.catalogue import find, names
from cot.errors import ConsilienceError, InputError
from cot.importers import import_traces
from cot.registry import load_plugin
from cot.sampling.plan import plan
from cot.sampling.sampler import draw
from cot.sampling.settings import SampleSettings
from cot.store.run import Run, open_run

__all__ = ["Experiment", "load_experiment", "run_experiment"]

log = logging.getLogger("cot")

TOP = ("title", "description", "plugins", "dataset", "file", "out", "sample")
"""Keys of a file beside the names of analyses."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A checked experiment file."""

    path: Path
    """The file."""
    dataset: str | None
    """What is sampled, or None."""
    file: Path | None
    """Traces that are imported, or None."""
    out: Path
    """The run's folder."""
    settings: SampleSettings
    """How it is sampled."""
    stages: Mapping[str, Mapping[str, Any]]
    """Analysis to its parameters, in the order of the file."""


def load_experiment(path: str | Path) -> Experiment:
    """Read and check an experiment file.

    Raises:
        InputError: no such file, not TOML, an unknown section or key (the message names the valid
            ones), or a setting out of range.
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
    if ("dataset" in content) == ("file" in content):
        raise InputError(f"{path}: give either a dataset to sample or a file to import")
    if "out" not in content:
        raise InputError(f"{path}: no `out`: name the run's folder, as in out = 'runs/mine'")
    stages = {name: content[name] for name in content if name in names()}
    settings = content.get("sample", {})
    for name, section in {**stages, "sample": settings}.items():
        if not isinstance(section, dict):
            raise InputError(f"{path}: {name} is not a section: write [{name}]")
    for name, section in stages.items():
        _check(path, f"[{name}]", section, find(name).parameters)
    _check(path, "[sample]", settings, [field.name for field in fields(SampleSettings)])
    return Experiment(
        path=path,
        dataset=content.get("dataset"),
        file=path.parent / content["file"] if "file" in content else None,
        out=Path(content["out"]),
        settings=_settings(settings),
        stages=stages,
    )


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
        InputError: as `load_experiment`, `cot.sample` and the commands themselves.
        ConsilienceError: some questions could not be asked.
    """
    experiment = load_experiment(path)
    if dataset is not None:
        if out is None or on is not None or experiment.dataset is None:
            raise InputError(
                "--dataset needs --out, the folder of its own run, and a file that samples"
            )
        experiment = replace(experiment, dataset=dataset)
    folder = Path(out) if out is not None else experiment.out
    failed: list[str] = []
    if on is not None:
        run = open_run(on)
    elif experiment.file is not None:
        run = import_traces(experiment.file, folder).run
    else:
        log.info("sampling %s into %s", experiment.dataset, folder)
        assert experiment.dataset is not None
        sampled = draw(plan(experiment.dataset, folder, experiment.settings), folder)
        run, failed = sampled.run, list(sampled.failed)
        log.info("%d traces, %d of them new", sampled.n_traces, sampled.n_new)
    with run.lock():
        shared: set[str] = set()
        for number, (name, arguments) in enumerate(experiment.stages.items(), start=1):
            label = f"[{number}/{len(experiment.stages)}] {name}"
            if find(name).is_current(run, arguments):
                log.info("%s: nothing new", label)
            else:
                log.info("%s", label)
                if name not in shared:
                    shared |= _share_pass(run, experiment.stages, name)
                find(name).function(run, **arguments)
    if failed:
        raise ConsilienceError(f"{len(failed)} questions don't fit into the model's context")
    return run


def _share_pass(run: Run, stages: Mapping[str, Mapping[str, Any]], first: str) -> set[str]:
    """Let an analysis that reads a teacher-forced pass, and those right after it in the file that
    read one too, store what they need of it; each then makes its tables from what is stored.

    Returns:
        Names of the analyses, none where it is alone.
    """
    following = list(stages)[list(stages).index(first) :]
    chosen = list(takewhile(lambda name: find(name).reader is not None, following))
    asking = [name for name in chosen if not find(name).is_current(run, stages[name])]
    if len(asking) < 2:
        return set()
    from analysis.hidden_states.shared_pass import one_pass

    with ExitStack() as stack:
        readers = [find(name).read_pass(run, **stages[name]) for name in asking]
        one_pass(run, [stack.enter_context(reader) for reader in readers])
    return set(asking)


def _settings(section: Mapping[str, Any]) -> SampleSettings:
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in section.items()
    }
    return SampleSettings(**given)


def _check(path: Path, where: str, given: Mapping[str, Any], known: Any) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(
                f"{path}: unknown key {key!r} in {where}: {hint}valid: {', '.join(known)}"
            )
