"""Cost of each intervention beside a bare teacher-forced pass over the same traces.

    python experiments/benchmarks/interventions.py RUN [--model M] [--traces 8] [--rounds 3]

`bare` runs each question's prompt once, then its traces, and scores every token. A method runs a
trace under all its changes and controls: eight layers at two positions, 20 random directions at
three strengths. `passes` is how many changed rows a trace takes, `times bare` what a trace costs in
bare passes, and `per token` what a token under a change costs beside a bare one, where tokens are
counted by the share of the blocks that they run through. Processor time, medians of the rounds.

The last line is JSON: `ratio` is bare cost per token over changed cost per token, all methods
together, with its `goal` (at least).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.planning import prepare
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job
from analysis.interventions import load_intervention
from analysis.interventions.cases import Case, Rivals, make_cases
from analysis.interventions.directions import Direction
from analysis.interventions.lab import CountingLab, ModelLab, Plan
from analysis.interventions.leace import take_out
from cot.models import load_model
from cot.store.run import open_run

METHODS = ("patching", "mediation", "steering", "erasure", "knockout")
GOAL = 0.4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--traces", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()

    run = open_run(asked.run)
    with run.lock():
        work = prepare(
            run,
            layers="every 4th",
            positions=("step_end", "pre_answer"),
            spans=None,
            model=asked.model,
            limit=None,
            steps_per_trace=0,
        )
        cases = make_cases(run, work, traces=None)
    n_blocks = max(work.layers)
    rivals = Rivals(cases, 0)
    usable = [case for case in cases if case.steps and rivals.other_answer(case, _labels(cases))]
    usable = usable[: asked.traces]
    plan = Plan(
        layers=work.layers,
        n_blocks=n_blocks,
        d_model=work.width,
        positions=("step_end", "pre_answer"),
        strengths=(-0.1, 0.1, 0.2),
        n_random=20,
        most_steps=16,
        seed=0,
        rivals=rivals,
        directions=[_direction(cases, work.width, n_blocks // 2)],
    )
    forcing = HookTeacherForcing(load_model(work.model))
    lab = ModelLab(plan, forcing, {})
    n_bare = sum(len(case.token_ids) for case in usable)
    n_bare += sum(map(len, {case.prompt_ids for case in usable}))
    ways: dict[str, Callable[[], object]] = {"bare": lambda: _bare(forcing, usable)}
    counted = {}

    def measured(method: Any) -> object:
        return [list(method.measure(case, lab)) for case in usable]

    for name in METHODS:
        method, counting = load_intervention(name), CountingLab(plan)
        for case in usable:
            list(method.measure(case, counting))
            lab.beyond_gap(case)  # the unchanged states, which methods share
        counted[name] = counting
        ways[name] = partial(measured, method)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    cost = {name: statistics.median(taken) for name, taken in seconds.items()}
    per_bare = cost["bare"] / n_bare
    print(f"{'method':10} {'passes':>8} {'s a trace':>10} {'times bare':>11} {'per token':>10}")
    print(f"{'bare':10} {1:8} {cost['bare'] / len(usable):10.3f} {1.0:11.1f} {1.0:10.2f}")
    for name, counting in counted.items():
        passes = counting.passes / len(usable)
        each = cost[name] / len(usable)
        token = cost[name] / counting.tokens / per_bare
        ratio = cost[name] / cost["bare"]
        print(f"{name:10} {passes:8.1f} {each:10.3f} {ratio:11.1f} {token:10.2f}")
    changed = sum(cost[name] for name in METHODS) / sum(one.tokens for one in counted.values())
    times = {name: round(cost[name] / cost["bare"], 1) for name in METHODS}
    about = {"benchmark": "interventions", "n_traces": len(usable), "times_bare": times}
    print(json.dumps({**about, "ratio": round(per_bare / changed, 3), "goal": GOAL}))


def _bare(forcing: HookTeacherForcing, cases: list[Case]) -> None:
    of: dict[tuple[str, tuple[int, ...]], list[Case]] = {}
    for case in cases:
        of.setdefault((case.question_id, case.prompt_ids), []).append(case)
    nothing = np.empty((0, 2), np.int64)
    jobs = [
        Job(
            question_id=name,
            prompt_ids=prompt,
            traces=[
                ForcedTrace(sample_index=i, token_ids=case.token_ids, spots=nothing)
                for i, case in enumerate(some)
            ],
        )
        for (name, prompt), some in of.items()
    ]
    for _ in forcing.forward(jobs, [0]):
        pass


def _labels(cases: list[Case]) -> dict[tuple[str, int], bool]:
    """Of each question, whether a trace states what the first one does."""
    first: dict[str, str] = {}
    for case in cases:
        first.setdefault(case.question_id, case.answer)
    return {case.key: case.answer == first[case.question_id] for case in cases}


def _direction(cases: list[Case], width: int, layer: int) -> Direction:
    """A direction of the right size: what it points to costs nothing."""
    unit = np.eye(1, width)
    found = Direction(
        target="first_answer",
        source="made up",
        layer=layer,
        position="pre_answer",
        folds={case.question_id: 0 for case in cases},
        unit=unit,
        shuffled=unit[:, ::-1].copy(),
        mean=np.zeros((1, width)),
        along=np.zeros(1),
        sigma=np.ones(1),
        eraser=[take_out(unit, np.zeros(width))],
        shuffled_eraser=None,
        labels=_labels(cases),
    )
    return replace(found, shuffled_eraser=found.eraser)


if __name__ == "__main__":
    main()
