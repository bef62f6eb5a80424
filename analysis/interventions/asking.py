"""What a call of `cot intervene` asks for: methods, traces, directions; a digest of each unit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.hidden_states.places import LayerSpec
from analysis.hidden_states.planning import Work, prepare
from analysis.interventions.cases import Case, Rivals, beyond_gap, make_cases
from analysis.interventions.contract import Intervention
from analysis.interventions.directions import Direction, find_directions
from analysis.interventions.lab import Plan
from analysis.interventions.units import Unit
from cot.errors import InputError
from cot.models import fetch
from cot.registry import build, names
from cot.store.run import Run

__all__ = ["POSITIONS", "Asked", "ask", "digests", "load_intervention"]

POSITIONS = ("prompt_end", "step_end", "pre_answer")
VERSION = 1
"""Of what a unit holds."""


def load_intervention(spec: str) -> Intervention:
    """The intervention that `NAME:key=value,...` names.

    Raises:
        InputError: no such intervention, one that is no `Intervention`, or parameters that it
            doesn't take.
    """
    made = build("interventions", spec)()
    if not isinstance(made, Intervention):
        raise InputError(
            f"{spec}: {type(made).__name__} is no intervention: let it extend "
            "analysis.interventions.contract.Intervention"
        )
    return made


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """All that the numbers follow from."""

    methods: Mapping[str, Intervention]
    """As typed."""
    work: Work
    """The traces that can be run again."""
    cases: Sequence[Case]
    """Those of them with an answer, in the order in which they are run."""
    plan: Plan
    """What a laboratory is told."""
    directions: Sequence[Direction]
    """None where no method acts along one."""


def ask(
    run: Run,
    *,
    method: Sequence[str],
    layers: LayerSpec,
    positions: Sequence[str],
    strengths: Sequence[float],
    random_directions: int,
    model: str | None,
    limit: int | None,
    traces: int | None,
    steps_per_trace: int,
    seed: int,
    **directed: Any,
) -> Asked:
    if not method:
        raise InputError(f"no method: give one or more of {', '.join(names('interventions'))}")
    methods = {spec: load_intervention(spec) for spec in dict.fromkeys(method)}
    _check(positions, strengths, random_directions, steps_per_trace)
    work = prepare(
        run,
        layers=layers,
        positions=POSITIONS,
        spans=None,
        model=model,
        limit=limit,
        steps_per_trace=0,
    )
    cases = make_cases(run, work, traces=traces, beyond_gap=beyond_gap(run))
    rivals = Rivals(cases, seed)
    place = {name: i for i, name in enumerate(rivals.order)}
    cases.sort(key=lambda case: (place[case.question_id], case.sample_index))
    found: list[Direction] = []
    if any(each.directed for each in methods.values()):
        given = {name.removeprefix("direction_"): value for name, value in directed.items()}
        found = find_directions(run, seed=seed, **given)
    return Asked(
        methods=methods,
        work=work,
        cases=cases,
        plan=Plan(
            layers=work.layers,
            n_blocks=_n_blocks(work),
            d_model=work.width,
            positions=positions,
            strengths=tuple(strengths),
            n_random=random_directions,
            most_steps=steps_per_trace,
            seed=seed,
            rivals=rivals,
            directions=found,
        ),
        directions=found,
    )


def _check(positions: Sequence[str], strengths: Sequence[float], n_random: int, steps: int) -> None:
    wrong = [name for name in positions if name not in POSITIONS]
    if wrong or not positions:
        named = ", ".join(map(repr, wrong)) or "(none given)"
        raise InputError(f"unknown position {named}: choose from {', '.join(POSITIONS)}")
    if not strengths or not all(np.isfinite(each) and each for each in strengths):
        raise InputError("--strengths: give numbers other than 0: it is the unchanged model")
    if len(set(strengths)) < len(strengths):
        raise InputError("--strengths: each is given once")
    if n_random < 1:
        raise InputError(f"--random-directions is {n_random}: an effect needs a control, give 1 up")
    if steps < 0:
        raise InputError(f"--steps-per-trace is {steps}: give 1 or more, or 0 for all")


def _n_blocks(work: Work) -> int:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(fetch(work.model)).get_text_config(decoder=True)
    return int(config.num_hidden_layers)


# -- digests ---------------------------------------------------------------------------------------


def digests(asked: Asked) -> dict[Unit, str]:
    """Of each unit, all that its rows follow from."""
    plan, rivals = asked.plan, asked.plan.rivals
    common = [VERSION, asked.work.model.revision, list(plan.layers), list(plan.positions)]
    common += [list(plan.strengths), plan.n_random, plan.most_steps, plan.seed]
    questions = {name: [_sign(case) for case in rivals.question(name)] for name in rivals.order}
    following = dict(zip(rivals.order, [*rivals.order[1:], *rivals.order[:1]], strict=True))
    directions = _sign_directions(asked.directions)
    found: dict[Unit, str] = {}
    for case in asked.cases:
        others = questions[case.question_id], questions[following[case.question_id]]
        for spec, each in asked.methods.items():
            basis = [*common, spec, each.about(), others, directions if each.directed else ""]
            found[*case.key, spec] = _digest(basis)
    return found


def _sign(case: Case) -> list[Any]:
    steps = [[step, tokens.start, tokens.stop] for step, tokens in case.steps.items()]
    written = _digest([case.prompt_ids, case.token_ids])
    return [case.sample_index, written, case.answer, case.pre_answer, case.cue.start, steps]


def _sign_directions(directions: Sequence[Direction]) -> str:
    made = hashlib.sha256()
    for each in directions:
        labels = sorted((*key, value) for key, value in each.labels.items())
        made.update(json.dumps([each.target, each.layer, dict(each.folds), labels]).encode())
        for array in (each.unit, each.shuffled, each.mean, each.sigma):
            made.update(b"" if array is None else np.ascontiguousarray(array, np.float32).tobytes())
    return made.hexdigest()


def _digest(basis: Any) -> str:
    return hashlib.sha256(json.dumps(basis, default=str).encode()).hexdigest()[:16]
