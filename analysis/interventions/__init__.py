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

import logging
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.declaration import Shown, analysis
from analysis.findings import as_table
from analysis.hidden_states.places import LayerSpec
from analysis.hidden_states.shared_pass import TOKENS_PER_BATCH
from analysis.interventions.asking import POSITIONS, ask, load_intervention
from analysis.interventions.counting import count, variants
from analysis.interventions.effects import effects_of_erasure, effects_of_rows, effects_of_samples
from analysis.interventions.erased_auroc import erased_auroc
from analysis.interventions.erasure import Erasure
from analysis.interventions.importance import step_importance
from analysis.interventions.measuring import measure
from analysis.interventions.probe_verdicts import verdicts
from analysis.interventions.sampling import sample_changed
from analysis.interventions.step_ranks import rank_findings
from analysis.interventions.units import profile_table, row_table
from cot.errors import InputError
from cot.store.run import Run
from cot.types import Finding

__all__ = ["POSITIONS", "intervene", "load_intervention"]

log = logging.getLogger("cot")

DEFAULT = ("patching", "steering", "erasure", "knockout")
STRENGTHS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)


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
        rows, note = count(run, **asked)
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
    workers: int | None = None,
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
    `step_importance`, `probe_verdicts`: see `importance.py` and `probe_verdicts.py`.

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
        workers: processes on a Ray cluster that share the questions; by default this one alone.
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
    asked = ask(
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
    done = measure(run, asked, device, tokens_per_batch, workers)
    sampled = sample_changed(
        run,
        variants(asked, samples),
        model=model,
        engine="transformers",
        device=device,
        workers=workers,
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
