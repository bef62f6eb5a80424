"""Running what is missing of the traces that are attributed, and keeping it trace by trace.

All units of the model as it is come first (see `analysis.attribution.tables`), trace by trace; then
its weights are drawn anew, question by question, for those that are checked so.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from analysis.attribution.contract import Attribution
from analysis.attribution.lab import ModelLab, RandomWeights
from analysis.attribution.parts import Target
from analysis.attribution.tables import GAP, REMOVALS, randomised, rows_of
from analysis.hidden_states.planning import Work
from analysis.hidden_states.shared_pass import Opening, Settings
from analysis.hidden_states.stored_states import MAX_GAP
from analysis.interventions.units import Unit, UnitStore
from cot.progress import track
from cot.sampling.sampler import trace_seed
from cot.store.run import Run
from cot.workers.tasks import Do, shared

__all__ = ["FOLDER", "Asked", "Attributing", "digests", "gapped", "measure"]

FOLDER = Path("activations") / "attribution"
VERSION = 1
"""Of what a unit holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """All that the numbers follow from."""

    methods: Mapping[str, Attribution]
    """As typed."""
    work: Work
    """The traces that can be run again."""
    targets: Sequence[Target]
    """Those of them with an answer, and another one to compare it with."""
    checked: frozenset[tuple[str, int]]
    """Those that are run under random weights too."""
    n_cases: int
    """Traces with an answer."""
    most_steps: int
    """Steps that are looked at one by one; 0 is all."""
    seed: int
    """Of all that is drawn."""


def measure(
    run: Run, asked: Asked, device: str | None, tokens_per_batch: int, workers: int | None = None
) -> dict[Unit, list[dict[str, Any]]]:
    """Every unit's rows; those that are stored are not measured again.

    Args:
        workers: processes that share the traces; None runs all of them here.
    """
    wanted = digests(asked)
    with UnitStore(run.path / FOLDER, wanted) as store:
        missing = [unit for unit in wanted if unit not in store.done]
        if not missing:
            return store.done
        settings = Settings(
            model=asked.work.model,
            device=device,
            tokens_per_batch=tokens_per_batch,
            workers=workers,
        )
        task = Attributing(
            opening=Opening.of(run, settings, (), asked.work.longest),
            asked=asked,
            stored=_logprobs(asked.work),
        )
        random = {randomised(spec) for spec in asked.methods}
        own = [unit for unit in missing if unit[2] not in random]
        drawn = [unit for unit in missing if unit[2] in random]
        with (
            shared(task, settings.cluster, called=_question) as do,
            track("attributing", total=len(missing), unit="traces and methods") as advance,
        ):
            for units, by, weights in ((own, _trace, False), (drawn, _key_of_question, True)):
                jobs = [
                    Units(
                        units=tuple(some),
                        gaps={gap: store.done[gap] for gap in map(_gap, some) if gap in store.done},
                        random=weights,
                    )
                    for some in (list(group) for _, group in groupby(units, key=by))
                ]
                # the second time, weights are written over: all else is measured by then
                for _, (unit, rows) in do(jobs):
                    store.add(unit, rows)
                    advance(1)
        return store.done


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What is measured together: of a trace, or under one question's random weights."""

    units: tuple[Unit, ...]
    """What, in this order."""
    gaps: Mapping[Unit, Sequence[Mapping[str, Any]]]
    """Of their traces, the log-probability gaps that are known."""
    random: bool
    """Whether under random weights."""


def _trace(unit: Unit) -> tuple[str, int]:
    return unit[:2]


def _key_of_question(unit: Unit) -> tuple[str, int]:
    return unit[0], 0


def _gap(unit: Unit) -> Unit:
    return (*unit[:2], GAP)


def _question(job: Units) -> str:
    return job.units[0][0]


Measured = tuple[Unit, list[dict[str, Any]]]
"""A unit and its rows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attributing:
    """The passes as a task; see `cot.workers`."""

    opening: Opening
    """The model."""
    asked: Asked
    """What is asked for."""
    stored: Mapping[tuple[str, int], Sequence[float] | None]
    """Log-probabilities of the traces."""

    @contextmanager
    def open(self) -> Iterator[Do[Units, Measured]]:
        """Load the model; once a job under random weights was done, no other can be."""
        targets = {target.key: target for target in self.asked.targets}
        specs = {randomised(spec): spec for spec in self.asked.methods}
        with self.opening.open() as forcing:
            model = forcing.model  # type: ignore[attr-defined]  # transformers': see above
            lab = self._lab(model)
            weights: RandomWeights | None = None

            def attribute(jobs: Iterable[Units]) -> Iterator[tuple[Units, Measured]]:
                nonlocal weights
                for job in jobs:
                    done: dict[Unit, Any] = dict(job.gaps)
                    if job.random:
                        weights = weights or RandomWeights(model)
                        seed = trace_seed(self.asked.seed, _question(job), 0, "random weights")
                        weights.draw(seed)
                        redrawn = self._lab(model)
                    elif weights is not None:
                        raise RuntimeError("the model's weights were written over")
                    for unit in job.units:
                        target = targets[unit[:2]]
                        if not job.random:
                            rows = list(_rows(unit, target, self.asked, lab, done, self.stored))
                            done[unit] = rows
                        elif gapped(done, target):
                            rows = []
                        else:
                            rows = list(_random(target, specs[unit[2]], self.asked, redrawn))
                        yield job, (unit, rows)

            yield attribute

    def _lab(self, model: Any) -> ModelLab:
        return ModelLab(model, self.opening.settings.tokens_per_batch, self.asked.most_steps)


def _rows(
    unit: Unit,
    target: Target,
    asked: Asked,
    lab: ModelLab,
    done: Mapping[Unit, Sequence[Mapping[str, Any]]],
    stored: Mapping[tuple[str, int], Sequence[float] | None],
) -> Iterator[dict[str, Any]]:
    """What a unit holds."""
    name = unit[2]
    if name == GAP:
        gap = lab.logprob_gap(target, stored.get(target.key))
        yield {"gap": None if gap != gap else gap}
    elif gapped(done, target):
        return
    elif name == REMOVALS:
        yield from _removals(target, lab)
    else:
        method = asked.methods[name]
        began, forward, backward = time.monotonic(), lab.tokens_forward, lab.tokens_backward
        seeds = [trace_seed(asked.seed, *target.key, f"{name} {draw}") for draw in range(2)]
        values = method.measure(target, lab, seeds[0])
        again = method.measure(target, lab, seeds[1]) if values.sampled else None
        yield from rows_of(
            target,
            values,
            again,
            tokens=target.key in asked.checked,
            n_forward=lab.tokens_forward - forward,
            n_backward=lab.tokens_backward - backward,
            seconds=time.monotonic() - began,
        )


def _random(target: Target, spec: str, asked: Asked, lab: ModelLab) -> Iterator[dict[str, Any]]:
    seed = trace_seed(asked.seed, *target.key, f"{spec} 0")
    values = asked.methods[spec].measure(target, lab, seed)
    for part, value in values.parts.items():
        yield {"part": part.name, "step": part.step, "value": value}


def _removals(target: Target, lab: ModelLab) -> Iterator[dict[str, Any]]:
    every = frozenset(target.steps)
    some = target.some_steps(lab.most_steps)
    if some:
        whole, none = lab.odds(target), lab.without(target, every)
        for part in some:
            yield {
                "step": part.step,
                "removed": whole - lab.without(target, frozenset({part})),
                "inserted": lab.without(target, every - {part}) - none,
                "n_tokens": part.n_tokens,
            }


def gapped(done: Mapping[Unit, Sequence[Mapping[str, Any]]], target: Target) -> bool:
    """Whether the model gives the trace other log-probabilities than are stored."""
    (row,) = done[*target.key, GAP]
    return row["gap"] is not None and row["gap"] > MAX_GAP


def _logprobs(work: Work) -> Mapping[tuple[str, int], Sequence[float] | None]:
    columns = (work.traces[name] for name in ("question_id", "sample_index", "logprobs"))
    return {(name, int(index)): values for name, index, values in zip(*columns, strict=True)}


def digests(asked: Asked) -> dict[Unit, str]:
    """Of each unit, in the order in which they are run, all that its rows follow from."""
    found: dict[Unit, str] = {}
    for target in asked.targets:
        case, pair = target.case, target.pair
        parts = [[part.name, part.step, part.spans] for part in target.parts]
        own = [VERSION, asked.work.model.revision, asked.most_steps, asked.seed, parts]
        own += [case.prompt_ids, case.token_ids, pair.read, pair.own_token, pair.other_token]
        checked = target.key in asked.checked
        found[*target.key, GAP] = _digest(own)
        found[*target.key, REMOVALS] = _digest(own)
        for spec, method in asked.methods.items():
            found[*target.key, spec] = _digest([*own, spec, method.about(), checked])
        if checked:
            for spec, method in asked.methods.items():
                found[*target.key, randomised(spec)] = _digest([*own, spec, method.about()])
    return found


def _digest(basis: Any) -> str:
    return hashlib.sha256(json.dumps(basis, default=str).encode()).hexdigest()[:16]
