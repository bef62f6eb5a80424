"""What moves the answer: a state is changed, and the answer is looked at.

A probe that reads something from the states says that it is there, not that the model uses it. Here
states are changed (`edits.py`, `changed_pass.py`), each change beside its matched controls, and two
things are looked at: the log-odds of the trace's own answer against another one under teacher
forcing, and the answers that are sampled on under the change.

One file a method; `contract.py` says what one is, `cases.py` what a trace is compared with,
`lab.py` runs it, `effects.py` makes numbers and verdicts, `sampling.py` samples under a change.

>>> intervene(run, ["patching", "knockout"])                                     # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.declaration import Shown, analysis
from analysis.findings import as_table
from analysis.hidden_states.places import LayerSpec
from analysis.hidden_states.planning import Work, prepare
from analysis.hidden_states.shared_pass import (
    TOKENS_PER_BATCH,
    Settings,
    open_teacher_forcing,
)
from analysis.interventions.cases import Case, Rivals, beyond_gap, make_cases
from analysis.interventions.contract import Arm, Intervention
from analysis.interventions.directions import Direction, find_directions
from analysis.interventions.effects import effects_of_erasure, effects_of_rows, effects_of_samples
from analysis.interventions.erased_auroc import erased_auroc
from analysis.interventions.erasure import Erasure
from analysis.interventions.lab import CountingLab, ModelLab, Plan
from analysis.interventions.probe_verdicts import verdicts
from analysis.interventions.sampling import Variant, count_changed, sample_changed
from analysis.interventions.step_ranks import rank_findings, step_importance
from analysis.interventions.units import Unit, UnitStore, plain, profile_table, row_table
from cot.errors import InputError
from cot.progress import track
from cot.registry import build, names
from cot.store.atomic import replace_file
from cot.store.run import Run
from cot.types import Finding

__all__ = ["POSITIONS", "intervene", "load_intervention"]

log = logging.getLogger("cot")

DEFAULT = ("patching", "steering", "erasure", "knockout")
POSITIONS = ("prompt_end", "step_end", "pre_answer")
STRENGTHS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
RANDOM_SAMPLED = 4
"""Random directions under which each question is sampled on; all of them take turns."""
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


SHOWN = ["method", "measure", "target", "layer", "position", "strength", "effect", "low", "high"]
SHOWN += ["control", "control_effect", "difference", "difference_low", "difference_high", "p"]
SHOWN += ["n_questions", "n_traces", "n_excluded", "verdict"]
BRIEF = ["method", "measure", "layer", "position", "effect", "control", "control_effect"]
BRIEF += ["difference", "difference_low", "difference_high", "n_questions", "verdict"]


def _show(run: Run, effects: pd.DataFrame) -> Shown:
    rows = effects[effects["headline"]]
    findings = run.table("findings_intervene")
    json = {
        "interventions": rows[SHOWN].to_dict("records"),
        "findings": findings.to_dict("records"),
    }
    note = (
        "effect: nats of log-odds, or a share; difference: effect less control, with its 95% "
        "interval over questions; not shown is no proof of no effect: the interval says how large "
        "one may be"
    )
    return Shown(json=json, tables=[rows[BRIEF].to_dict("records")], note=note)


def _dry_run(run: Run, dry_run: bool, **asked: Any) -> Shown:
    """Count what would be run: passes, tokens, samples and the time they take; load no model."""
    with run.lock():
        rows, note = _count(run, **asked)
    return Shown(json={"methods": rows, "note": note}, tables=[rows], note=note)


@analysis(
    makes={
        "intervention_effects": "one row a change and control: its effect, the control's, verdict",
        "interventions": "one row a trace and change: log-odds of its answer before and after",
        "interventions_sampled": "one row a trace that was sampled on under a change",
        "intervention_steps": "one row a hidden step and a later one: how far predictions move",
        "step_importance": "one row a step: its importance by knock-out and by behavioural tests",
        "probe_verdicts": "one row a probed target: whether the model uses the probe's direction",
        "findings_intervene": "what each intervention finds, beside its control",
    },
    choices={"method": "interventions"},
    show=_show,
    views={"dry_run": _dry_run},
)
def intervene(
    run: Run,
    method: Sequence[str] = DEFAULT,
    layers: LayerSpec = "every 4th",
    positions: Sequence[str] = ("step_end", "pre_answer"),
    target: str = "correct",
    kind: str = "diff_means",
    direction_layers: Sequence[int] | None = None,
    direction_position: str | None = None,
    direction: str | None = None,
    labels: str | None = None,
    strengths: Sequence[float] = STRENGTHS,
    random_directions: int = 20,
    samples: int = 2,
    model: str | None = None,
    engine: str | None = None,
    device: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    limit: int | None = None,
    traces: int | None = None,
    steps_per_trace: int = 16,
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Change hidden states of the stored traces, and see what becomes of their answers.

    Writes and returns `intervention_effects`, see `analysis.interventions.effects`; its columns:
    method, target, measure, layer, position, strength; effect, low, high; control, control_effect,
    control_low, control_high; difference, difference_low, difference_high; p, p_holm; band_low,
    band_high (the middle 95% of the random directions' effects); n_questions, n_traces, n_excluded;
    headline (chosen on other questions); verdict (`causal`, `not shown`; empty where nothing is
    tested); how; seed. Measures: `recovered` (share of the log-odds between own and donor's answer
    that patching moves), `total` (nats), `indirect` and `direct` (shares of it), `log_odds` (nats),
    `slope` (nats a unit of strength), `auroc_after` (after erasure, of a probe fitted on erased
    states that the eraser never saw; `unchanged` is before; `auroc_refitted_probe` is .5 by
    construction, `auroc_same_probe` that of the probe before), and of sampled traces, less those of
    the unchanged model under the same seeds, `accuracy`, `majority_accuracy`, `changed`, `missing`,
    `length` (tokens), `repetition` and `perplexity` (its logarithm).

    `interventions`: what each effect is a mean of, one row a trace and change; see
    `analysis.interventions.contract.Row`. `interventions_sampled`: see
    `analysis.interventions.sampling`. `intervention_steps`: of knock-outs, one row a hidden step
    and a later one (missing: the answer); see `analysis.interventions.contract.Profile`.
    `step_importance`, `probe_verdicts`: see `step_ranks.py` and `probe_verdicts.py`.

    Forced passes are stored trace by trace and samples one by one: a killed run goes on.

    Args:
        method: interventions, with parameters after a colon: ablation:fill=mean.
        layers: where patching and mediation exchange states; as for `cot capture`.
        positions: where patching does: prompt_end, step_end, pre_answer.
        target: what a direction tells apart; as for `cot probe`, with two labels.
        kind: the probe that directions are fitted by: diff_means or logistic.
        direction_layers: captured layers at which directions act; by default the one that the run's
            probe of the target chose.
        direction_position: the captured position that they are fitted at; by default likewise.
        direction: a file with a direction: a stored probe, a feature of `cot features`
            (METHOD.safetensors:NUMBER), or a vector (.npy, .safetensors).
        labels: a file with labels of traces to fit directions to: question_id, sample_index, label.
        strengths: steps along a direction, in mean norms of the states.
        random_directions: how many are compared; 20 or more for a band.
        samples: traces of each question that are sampled on under each change; 0 for none.
        model: the model to run; by default the one that sampled the run.
        engine: transformers; states can't be written into vLLM.
        device: a torch device; by default CUDA where there is one.
        tokens_per_batch: most tokens in a batch, prompts included.
        limit: take the first so many questions only.
        traces: take the first so many traces of each question.
        steps_per_trace: most steps of a trace that are patched or hidden, evenly by tokens; 0 takes
            all.
        folds: number of folds of whole questions that directions are fitted in.
        seed: seed of all that is drawn.

    Raises:
        InputError: an unknown method, layer or position; no model is named for an imported run;
            nothing was captured that a direction could be fitted on; no trace can be used.
    """
    asked = _asked(
        run,
        method=method,
        layers=layers,
        positions=positions,
        target=target,
        kind=kind,
        direction_layers=direction_layers,
        direction_position=direction_position,
        direction=direction,
        labels=labels,
        strengths=strengths,
        random_directions=random_directions,
        model=model,
        limit=limit,
        traces=traces,
        steps_per_trace=steps_per_trace,
        folds=folds,
        seed=seed,
    )
    if engine == "vllm" or (engine is None and run.identity.engine == "vllm"):
        log.warning("states can't be written into vLLM: traces are run with transformers here")
    elif engine not in (None, "transformers"):
        raise InputError(f"--engine {engine}: states can be written with transformers only")
    done = _measure(run, asked, device, tokens_per_batch)
    sampled = sample_changed(
        run,
        _variants(asked, samples),
        model=model,
        engine="transformers",
        device=device,
        limit=limit,
        seed=seed,
    )
    methods = list(asked.methods)
    rows = row_table(asked.cases, methods, done)
    n_cases, n_blocks = len(asked.cases), asked.plan.n_blocks
    found = [effects_of_rows(rows, asked.methods, n_cases, n_blocks, seed)]
    found.append(effects_of_samples(sampled, seed))
    for spec, each in asked.methods.items():
        if isinstance(each, Erasure):
            for one in asked.directions:
                left = erased_auroc(run, one, seed=seed)
                found.append(effects_of_erasure(spec, one, left, seed))
    effects = pd.concat([each for each in found if len(each)] or found[:1], ignore_index=True)
    run.write_table("interventions", rows)
    run.write_table("interventions_sampled", sampled)
    run.write_table("intervention_steps", profile_table(asked.cases, methods, done))
    run.write_table("intervention_effects", effects)
    run.write_table("probe_verdicts", _verdicts(run, effects))
    # What is read before a table is written is its input: `cot faithfulness`, made again, leaves
    # only these two stale.
    importance = step_importance(run, rows)
    run.write_table("step_importance", importance)
    run.write_table("findings_intervene", _findings(effects, importance, seed))
    return effects


def _verdicts(run: Run, effects: pd.DataFrame) -> pd.DataFrame:
    probes = run.table("probes") if "probes" in run.tables() else None
    columns = ["target", "layer", "position", "best"]
    return verdicts(effects, pd.DataFrame(columns=columns) if probes is None else probes)


EXTRA = ("target", "layer", "position", "strength", "effect", "control_effect", "verdict")


def _findings(effects: pd.DataFrame, importance: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row a headline and control, whose estimate is the difference; then rank correlations."""
    heads = effects[effects["headline"]]
    found = [
        Finding(
            measure=row["measure"],
            subject=row["method"],
            baseline=row["control"],
            estimate=row["difference"],
            low=row["difference_low"],
            high=row["difference_high"],
            p=row["p"],
            n_questions=row["n_questions"],
            n_traces=row["n_traces"],
            n_excluded=row["n_excluded"],
            method=row["how"],
            seed=seed,
        )
        for row in heads.to_dict("records")
    ]
    ranks = rank_findings(importance, seed)
    extra = {name: [*heads[name], *[None] * len(ranks)] for name in EXTRA}
    table = as_table("intervene", [*found, *ranks], **extra)
    types = {"layer": "Int64", "strength": float, "effect": float, "control_effect": float}
    return table.astype(types)


# -- what is asked for -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
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


def _asked(
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
) -> _Asked:
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
    return _Asked(
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

    from cot.models import fetch

    config = AutoConfig.from_pretrained(fetch(work.model)).get_text_config(decoder=True)
    return int(config.num_hidden_layers)


# -- forced passes ---------------------------------------------------------------------------------

FOLDER = Path("activations") / "interventions"
SPEED = "speed.json"


def _measure(
    run: Run, asked: _Asked, device: str | None, tokens_per_batch: int
) -> dict[Unit, list[dict[str, Any]]]:
    """Every unit's rows; those that are stored are not measured again."""
    wanted = _digests(asked)
    with UnitStore(run.path / FOLDER, wanted) as store:
        missing = [
            (case, spec)
            for case in asked.cases
            for spec in asked.methods
            if (*case.key, spec) not in store.done
        ]
        if not missing:
            return store.done
        settings = Settings(
            model=asked.work.model, device=device, tokens_per_batch=tokens_per_batch
        )
        stored = _logprobs(asked.work)
        with (
            open_teacher_forcing(run, settings, asked.plan.layers, asked.work.longest) as forcing,
            track("intervening", total=len(missing), unit="traces and methods") as advance,
        ):
            lab = ModelLab(asked.plan, forcing, stored)
            began, gapped = time.monotonic(), set()
            for case, spec in missing:
                if lab.beyond_gap(case):
                    gapped.add(case.key)
                    store.add((*case.key, spec), ())
                else:
                    measured = asked.methods[spec].measure(case, lab)
                    store.add((*case.key, spec), map(plain, measured))
                advance(1)
            if gapped:
                log.warning("%d traces beyond the log-probability gap are left out", len(gapped))
            _keep_speed(run, lab.tokens_run, time.monotonic() - began)
    return store.done


def _logprobs(work: Work) -> Mapping[tuple[str, int], Sequence[float] | None]:
    columns = (work.traces[name] for name in ("question_id", "sample_index", "logprobs"))
    return {(name, int(index)): values for name, index, values in zip(*columns, strict=True)}


def _keep_speed(run: Run, tokens: float, seconds: float) -> None:
    """For the next dry run's estimate."""
    if seconds > 0 and tokens:
        with replace_file(run.path / FOLDER / SPEED) as handle:
            handle.write(json.dumps({"tokens_per_second": tokens / seconds}).encode())


def _digests(asked: _Asked) -> dict[Unit, str]:
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


# -- sampling --------------------------------------------------------------------------------------


def _variants(asked: _Asked, samples: int) -> list[Variant]:
    """The changes that traces are sampled on under."""
    if samples < 0:
        raise InputError(f"--samples is {samples}: give 0 or more")
    lab = CountingLab(asked.plan)
    arms = [(spec, arm) for spec, each in asked.methods.items() for arm in each.arms(lab)]
    return [
        Variant(
            name=_name(spec, arm, asked.plan.seed),
            method=spec,
            target=arm.target,
            layer=arm.layer,
            strength=arm.strength,
            control=arm.control,
            draw=arm.draw,
            edit=arm.edit,
            questions=questions,
            n=samples,
        )
        for spec, arm in arms
        if samples and (questions := frozenset(_of_arm(asked, arm)))
    ]


def _of_arm(asked: _Asked, arm: Arm) -> Iterator[str]:
    """The questions that are sampled under it: of random directions each has some, in turn."""
    n_random = asked.plan.n_random
    for place, name in enumerate(asked.plan.rivals.order):
        turn = (arm.draw - place * RANDOM_SAMPLED) % n_random
        if name in arm.questions and (arm.control != "random" or turn < RANDOM_SAMPLED):
            yield name


def _name(spec: str, arm: Arm, seed: int) -> str:
    parts = [spec, arm.target, f"layer={arm.layer}", f"strength={arm.strength}"]
    parts += [arm.control or "change", str(arm.draw), f"fold={min(arm.questions)}", f"seed={seed}"]
    return "/".join(parts)


# -- the dry run -----------------------------------------------------------------------------------


def _count(
    run: Run,
    *,
    samples: int,
    engine: str | None,
    device: str | None,
    tokens_per_batch: int,
    model: str | None,
    limit: int | None,
    seed: int,
    method: Sequence[str],
    **others: Any,
) -> tuple[list[dict[str, Any]], str]:
    notes = []
    methods = list(dict.fromkeys(method))
    if "logprob_gaps" not in run.tables():
        directed = [spec for spec in methods if load_intervention(spec).directed]
        methods = [spec for spec in methods if spec not in directed]
        if directed:
            notes.append(
                f"{', '.join(directed)}: not counted, as nothing was captured yet (`cot capture` "
                "and `cot probe` come first)"
            )
    rows: list[dict[str, Any]] = []
    if methods:
        asked = _asked(run, method=methods, model=model, limit=limit, seed=seed, **others)
        speed = _speed(run)
        wanted, store = _digests(asked), None
        if (run.path / FOLDER).is_dir():
            store = UnitStore(run.path / FOLDER, wanted)
        for spec, each in asked.methods.items():
            lab = CountingLab(asked.plan)
            stored = 0
            for case in asked.cases:
                if store is not None and (*case.key, spec) in store.done:
                    stored += 1
                    continue
                for _ in each.measure(case, lab):
                    pass
            rows.append(
                {
                    "method": spec,
                    "n_traces": len(asked.cases),
                    "n_stored": stored,
                    "n_passes": lab.passes,
                    "n_tokens": round(lab.tokens),
                    "n_samples": 0,
                    "n_sample_tokens": 0,
                    "seconds": lab.tokens / speed if speed else None,
                }
            )
        for row in rows:
            mine = [one for one in _variants(asked, samples) if one.method == row["method"]]
            if mine:
                counted = count_changed(
                    run, mine, model=model, engine="transformers", limit=limit, seed=seed
                )
                row["n_samples"] = counted.n_samples - counted.n_stored
                row["n_sample_tokens"] = counted.estimated_tokens
        if not speed:
            notes.append("no time is estimated before some were run: --limit 1 measures the speed")
        else:
            notes.append("seconds are those of the passes, at the speed of the last call")
    return rows, "; ".join(notes)


def _speed(run: Run) -> float | None:
    path = run.path / FOLDER / SPEED
    if not path.is_file():
        return None
    return float(json.loads(path.read_text(encoding="utf-8"))["tokens_per_second"])
