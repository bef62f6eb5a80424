"""Running what is missing of the traces that are attributed, and keeping it trace by trace.

All units of the model as it is come first (see `analysis.attribution.tables`), trace by trace; then
its weights are drawn anew, question by question, for those that are checked so.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.attribution.contract import Attribution
from analysis.attribution.lab import ModelLab, RandomWeights
from analysis.attribution.parts import Target
from analysis.attribution.tables import GAP, REMOVALS, randomised, rows_of
from analysis.hidden_states.planning import Work
from analysis.hidden_states.shared_pass import Settings, open_teacher_forcing
from analysis.hidden_states.stored_states import MAX_GAP
from analysis.interventions.units import Unit, UnitStore
from cot.progress import track
from cot.sampling.sampler import trace_seed
from cot.store.run import Run

__all__ = ["FOLDER", "Asked", "digests", "gapped", "measure"]

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
    run: Run, asked: Asked, device: str | None, tokens_per_batch: int
) -> dict[Unit, list[dict[str, Any]]]:
    """Every unit's rows; those that are stored are not measured again."""
    wanted = digests(asked)
    with UnitStore(run.path / FOLDER, wanted) as store:
        missing = [unit for unit in wanted if unit not in store.done]
        if not missing:
            return store.done
        settings = Settings(
            model=asked.work.model, device=device, tokens_per_batch=tokens_per_batch
        )
        targets = {target.key: target for target in asked.targets}
        random = {randomised(spec): spec for spec in asked.methods}
        with (
            open_teacher_forcing(run, settings, (), asked.work.longest) as forcing,
            track("attributing", total=len(missing), unit="traces and methods") as advance,
        ):
            model = forcing.model  # type: ignore[attr-defined]  # transformers': see above
            lab = ModelLab(model, tokens_per_batch, asked.most_steps)
            stored = _logprobs(asked.work)
            for unit in missing:
                if unit[2] not in random:
                    store.add(unit, _rows(unit, targets[unit[:2]], asked, lab, store, stored))
                    advance(1)
            # weights are written over: all else is measured by now
            weights, drawn = RandomWeights(model), ""
            for unit in missing:
                if unit[2] in random:
                    if unit[0] != drawn:
                        drawn = unit[0]
                        weights.draw(trace_seed(asked.seed, drawn, 0, "random weights"))
                        lab = ModelLab(model, tokens_per_batch, asked.most_steps)
                    target = targets[unit[:2]]
                    known = not gapped(store.done, target)
                    store.add(unit, _random(target, random[unit[2]], asked, lab) if known else ())
                    advance(1)
        return store.done


def _rows(
    unit: Unit,
    target: Target,
    asked: Asked,
    lab: ModelLab,
    store: UnitStore,
    stored: Mapping[tuple[str, int], Sequence[float] | None],
) -> Iterator[dict[str, Any]]:
    """What a unit holds."""
    name = unit[2]
    if name == GAP:
        gap = lab.logprob_gap(target, stored.get(target.key))
        yield {"gap": None if gap != gap else gap}
    elif gapped(store.done, target):
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
