"""Which step carries the answer: a trace's log-odds are shared out among what was read before it.

The log-odds are those of the trace's own answer against the question's most frequent other one,
right before the two part (`analysis.interventions.cases`). Each method gives every part a value in
nats: the prompt's exemplars, question and instruction, each step, the answer's cue. No method is
believed for its name: beside each stand what happens where its highest step is taken out, whether
it ranks steps as knock-out and resampling do, and whether it still does so under random weights.

One file a method; `contract.py` says what one is, `parts.py` what it is summed over, `lab.py` runs
the model, `validity.py` makes findings.

>>> attribute(run, ["grad_x_input", "shapley"])                                  # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.attribution.contract import Attribution, need_captum
from analysis.attribution.measuring import FOLDER, Asked, digests, gapped, measure
from analysis.attribution.parts import Part, prompt_parts, target_of
from analysis.attribution.tables import (
    REMOVALS,
    attribution_table,
    randomised,
    removal_table,
    token_table,
    trace_table,
)
from analysis.attribution.validity import validity
from analysis.catalogue import need
from analysis.declaration import Shown, analysis
from analysis.findings import as_table
from analysis.hidden_states.planning import prepare
from analysis.hidden_states.shared_pass import TOKENS_PER_BATCH
from analysis.interventions.cases import Rivals, beyond_gap, make_cases
from analysis.interventions.importance import STEP_KEY, step_places
from analysis.interventions.units import Unit, UnitStore
from cot.errors import InputError
from cot.models import load_tokenizer
from cot.registry import build, names
from cot.store.run import Run

__all__ = ["attribute", "load_attribution"]

log = logging.getLogger("cot")
DEFAULT = ("grad_x_input", "shapley", "occlusion")


def load_attribution(spec: str) -> Attribution:
    """The attribution that `NAME:key=value,...` names.

    Raises:
        InputError: no such attribution, one that is no `Attribution`, or parameters that it doesn't
            take.
    """
    made = build("attributions", spec)()
    if not isinstance(made, Attribution):
        raise InputError(
            f"{spec}: {type(made).__name__} is no attribution: let it extend "
            "analysis.attribution.contract.Attribution"
        )
    return made


def _show(run: Run, values: pd.DataFrame) -> Shown:
    findings = run.table("findings_attribute").rename(columns={"baseline": "control"})
    rows = findings[["subject", "measure", "estimate", "low", "high", "control", "n_traces"]]
    json = {"methods": rows.rename(columns={"subject": "method"}).to_dict("records")}
    # the terminal shows what decides; early answering and the pooled ranks are in the table
    brief = rows[
        ~rows["measure"].eq("spearman_pooled") & ~rows["subject"].str.endswith("answering")
    ]
    note = (
        "value: nats of log-odds; deletion, insertion: nats, the highest step less a random one; "
        "spearman: rank correlation over a trace's steps, with control `position` what it has "
        "beyond the step's place; with random weights it must be 0"
    )
    return Shown(json=json, tables=[brief.to_dict("records")], note=note)


def _dry_run(run: Run, dry_run: bool, **asked: Any) -> Shown:
    """Count what would be run: traces and tokens; load no model."""
    with run.lock():
        rows = _count(run, **asked)
    note = "tokens that are run forward at most, and those of them that a gradient is run back "
    note += "through; what is stored is not run again"
    return Shown(json={"methods": rows, "note": note}, tables=[rows], note=note)


@analysis(
    makes={
        "attributions": "one row a trace, method and part: what it carries of the answer, nats",
        "attribution_traces": "one row a trace and method: log-odds, completeness gap and cost",
        "attribution_tokens": "one row a token of a few traces and method: its value, nats",
        "step_removals": "one row a trace and step: what the answer loses without it",
        "findings_attribute": "what each method says, and whether it can be believed",
    },
    choices={"method": "attributions"},
    show=_show,
    views={"dry_run": _dry_run},
)
def attribute(
    run: Run,
    method: Sequence[str] = DEFAULT,
    model: str | None = None,
    engine: str | None = None,
    device: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    workers: int | None = None,
    limit: int | None = None,
    traces: int | None = None,
    steps_per_trace: int = 16,
    checked: int = 1,
    seed: int = 0,
) -> pd.DataFrame:
    """Share the answer's log-odds out among the prompt's parts and the steps.

    Writes and returns `attributions`: question_id, sample_index, method, part (`exemplars`,
    `question`, `instruction`, or `prompt` where the question isn't found in it; `step`;
    `answer_cue`), step (as in `steps`; missing for other parts), value (nats of log-odds, summed
    over the part's tokens; positive speaks for the trace's own answer), n_tokens, second_seed (the
    value under another seed; missing where nothing is drawn), randomised (the value under random
    weights; missing where that wasn't looked at).

    `attribution_traces`: target (log P(own) − log P(other), nats), baseline (the same where nothing
    is said, from which values are counted), gap (target − baseline − their sum), n_steps, n_scored
    (steps with a value), n_tokens, n_forward and n_backward (tokens run for it), seconds.
    `attribution_tokens`: token (0 is the first generated, -1 the prompt's last), part, step, text,
    value. `step_removals`: removed (what the log-odds lose without the step, the rest being forced
    again), inserted (what they gain where it alone is left in), n_tokens.

    Steps are ranked against `step_importance` where `cot intervene` has made it and it is current.
    Results are stored trace by trace: a killed run goes on.

    Args:
        method: attributions, with parameters after a colon: integrated_gradients:steps=64.
        model: the model to run; by default the one that sampled the run.
        engine: transformers; vLLM gives no gradients.
        device: a torch device; by default CUDA where there is one.
        tokens_per_batch: most tokens in a batch, prompts included; a sixteenth of it, or one trace,
            has gradients at a time.
        workers: processes on a Ray cluster that share the traces; by default this one alone.
        limit: take the first so many questions only.
        traces: take the first so many traces of each question.
        steps_per_trace: most steps of a trace that are hidden or taken out, evenly by tokens; 0
            takes all.
        checked: traces of each question that are run under random weights too, and whose tokens'
            values are kept.
        seed: seed of all that is drawn.

    Raises:
        InputError: an unknown method; captum is missing; no model is named for an imported run; no
            trace can be used.
    """
    if engine == "vllm" or (engine is None and run.identity.engine == "vllm"):
        log.warning("vLLM gives no gradients: traces are run with transformers here")
    elif engine not in (None, "transformers"):
        raise InputError(f"--engine {engine}: attributions need transformers")
    asked = _asked(run, method, model, limit, traces, steps_per_trace, checked, seed)
    done = measure(run, asked, device, tokens_per_batch, workers)
    kept = [target for target in asked.targets if not gapped(done, target)]
    if left := len(asked.targets) - len(kept):
        log.warning("%d traces beyond the log-probability gap are left out", left)
    specs = list(asked.methods)
    table = attribution_table(kept, specs, done)
    about = trace_table(kept, specs, done)
    removals = removal_table(kept, done)
    tokens = token_table(kept, specs, done, load_tokenizer(asked.work.model))
    run.write_table("attributions", table)
    run.write_table("attribution_traces", about)
    run.write_table("attribution_tokens", tokens)
    run.write_table("step_removals", removals)
    # What is read before a table is written is its input: a new knock-out leaves only this stale.
    importance = _importance(run)
    found = validity(table, about, removals, importance, asked.methods, asked.n_cases, seed)
    run.write_table("findings_attribute", as_table("attribute", found))
    return table


def _importance(run: Run) -> pd.DataFrame:
    """Each step's place, and its importance where it is known and current."""
    table = step_places(need(run, "steps")).drop(columns="place")
    if "step_importance" not in run.tables():
        log.info("steps are not ranked against knock-outs: `cot intervene --method knockout` first")
        return table
    if (why := run.stale("step_importance")) is not None:
        log.warning("steps are not ranked against knock-outs, which are stale: %s", why)
        return table
    known = run.table("step_importance").drop(columns="position")
    return table.merge(known.astype({"step": int}), on=STEP_KEY, how="left")


# -- what is asked for -----------------------------------------------------------------------------


def _asked(
    run: Run,
    method: Sequence[str],
    model: str | None,
    limit: int | None,
    traces: int | None,
    steps_per_trace: int,
    checked: int,
    seed: int,
) -> Asked:
    if not method:
        raise InputError(f"no method: give one or more of {', '.join(names('attributions'))}")
    if steps_per_trace < 0:
        raise InputError(f"--steps-per-trace is {steps_per_trace}: give 1 or more, or 0 for all")
    if checked < 0:
        raise InputError(f"--checked is {checked}: give 0 or more")
    methods = {spec: load_attribution(spec) for spec in dict.fromkeys(method)}
    if any(each.captum for each in methods.values()):
        need_captum()
    work = prepare(
        run,
        layers=[0],
        positions=("step_end", "pre_answer"),
        spans=None,
        model=model,
        limit=limit,
        steps_per_trace=0,
    )
    cases = make_cases(run, work, traces=traces, beyond_gap=beyond_gap(run))
    rivals = Rivals(cases, seed)
    questions = run.questions().set_index("question_id")[["text", "choices"]].to_dict("index")
    tokenizer = load_tokenizer(work.model)
    prompts: dict[tuple[str, tuple[int, ...]], list[Part]] = {}
    targets = []
    for case in cases:
        if (pair := rivals.other_answer(case)) is not None:
            name = (case.question_id, case.prompt_ids)
            if name not in prompts:
                question = questions[case.question_id]
                prompts[name] = prompt_parts(tokenizer, case.prompt_ids, question)
            targets.append(target_of(case, pair, prompts[name]))
    if not targets:
        raise InputError(
            f"{run.path}: no question has traces with two answers that can be compared: "
            "sample more traces, or take more questions"
        )
    if left := len(cases) - len(targets):
        log.info("%d traces without another answer to compare with are left out", left)
    unfound = sum(any(part.name == "prompt" for part in some) for some in prompts.values())
    if unfound:
        log.info("the question is not found in %d prompts: each is one part", unfound)
    seen: Counter[str] = Counter()
    first = set()
    for target in targets:
        seen[target.case.question_id] += 1
        if seen[target.case.question_id] <= checked:
            first.add(target.key)
    return Asked(
        methods=methods,
        work=work,
        targets=targets,
        checked=frozenset(first),
        n_cases=len(cases),
        most_steps=steps_per_trace,
        seed=seed,
    )


# -- the dry run -----------------------------------------------------------------------------------


def _count(
    run: Run,
    *,
    method: Sequence[str],
    model: str | None,
    limit: int | None,
    traces: int | None,
    steps_per_trace: int,
    checked: int,
    seed: int,
    **others: Any,
) -> list[dict[str, Any]]:
    asked = _asked(run, method, model, limit, traces, steps_per_trace, checked, seed)
    wanted = digests(asked)
    there: Mapping[Unit, Any] = {}
    if (run.path / FOLDER).is_dir():
        there = UnitStore(run.path / FOLDER, wanted).done
    rows = []
    for spec, each in asked.methods.items():
        forward = backward = stored = 0
        for target in asked.targets:
            cost = each.cost(target, asked.most_steps)
            units = [spec, *([randomised(spec)] if target.key in asked.checked else [])]
            missing = sum((*target.key, name) not in there for name in units)
            stored += (*target.key, spec) in there
            forward, backward = forward + missing * cost.forward, backward + missing * cost.backward
        rows.append(
            {
                "method": spec,
                "n_traces": len(asked.targets),
                "n_stored": stored,
                "n_forward": forward,
                "n_backward": backward,
            }
        )
    removals = forward = 0
    for target in asked.targets:
        if (*target.key, REMOVALS) not in there:
            steps = target.some_steps(asked.most_steps)
            end = target.pair.read + 1
            whole = sum(step.n_tokens for step in target.steps)
            forward += 2 * len(target.token_ids) + len(steps) * (2 * end - whole)
            removals += 1
    count = {"n_traces": len(asked.targets), "n_stored": len(asked.targets) - removals}
    rows.append({"method": REMOVALS, **count, "n_forward": forward, "n_backward": 0})
    return rows
