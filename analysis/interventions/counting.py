"""The changes that traces are sampled on under, and what a call would run: the dry run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from analysis.interventions.asking import Asked, ask, digests, load_intervention
from analysis.interventions.contract import Arm
from analysis.interventions.lab import CountingLab
from analysis.interventions.measuring import FOLDER, speed
from analysis.interventions.sampling import Variant, count_changed
from analysis.interventions.units import UnitStore
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["count", "variants"]

RANDOM_SAMPLED = 4
"""Random directions under which each question is sampled on; all of them take turns."""


def variants(asked: Asked, samples: int) -> list[Variant]:
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


def _of_arm(asked: Asked, arm: Arm) -> Iterator[str]:
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


def count(
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
    workers: int | None = None,
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
        asked = ask(run, method=methods, model=model, limit=limit, seed=seed, **others)
        rate = speed(run)
        wanted, store = digests(asked), None
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
                    "seconds": lab.tokens / rate if rate else None,
                }
            )
        for row in rows:
            mine = [one for one in variants(asked, samples) if one.method == row["method"]]
            if mine:
                counted = count_changed(
                    run, mine, model=model, engine="transformers", limit=limit, seed=seed
                )
                row["n_samples"] = counted.n_samples - counted.n_stored
                row["n_sample_tokens"] = counted.estimated_tokens
        if not rate:
            notes.append("no time is estimated before some were run: --limit 1 measures the speed")
        else:
            notes.append("seconds are those of the passes, at the speed of the last call")
    return rows, "; ".join(notes)
