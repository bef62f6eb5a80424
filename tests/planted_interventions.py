"""Planted tables of `cot intervene`: late layers move the answer, early ones and controls don't.

Of the patched states, those of layers 20 and 30 at `pre_answer` recover the donor's answer.
Steering along the direction of `correct` grows with its strength, and stays in the random
directions' band for `majority`. Hiding the first step of a trace moves its next step; hiding the
second moves the answer; the third step, where there is one, moves nothing.

    frames = interventions(truth)      # truth of tests/planted.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from planted_inside import LAYERS, POSITIONS

from analysis.findings import as_table
from cot.types import Finding

STRENGTHS = [-0.2, -0.1, 0.1, 0.2]
BAND = 0.15
"""Half the width of the random directions' band, times the strength over the largest, in nats."""
MOVED = {"step": 0.8, "answer": 1.5}
"""KL at the next step where the first one is hidden, and what the answer loses without the second,
both in nats; less by a hundredth a trace of the question."""
BY_CHANCE = 0.1
"""The same with a random span hidden."""
PATCHED = {"": 0.05, "same_answer": 0.01, "other_question": 0.02}
"""Recovered share where nothing is moved, and that of the controls."""
HOSTILE_HOW = "planted <img src=x onerror=window.hacked=9> \x1b[31m"
"""How the headlines were computed."""
HEADLINES = [
    ("patching", "", "recovered", 20, "pre_answer", 0.7, "same_answer", 0.01, "causal"),
    ("patching", "", "recovered", 20, "pre_answer", 0.7, "other_question", 0.02, "causal"),
    ("patching", "", "recovered", 10, "step_end", 0.05, "same_answer", 0.01, "not shown"),
    ("patching", "", "recovered", 10, "step_end", 0.05, "other_question", 0.02, "not shown"),
    ("mediation", "", "indirect", 20, "cue", 0.9, "other_question", 0.1, "causal"),
    ("steering", "correct", "slope", 20, "generated", 4.0, "random", 0.2, "causal"),
    ("steering", "correct", "slope", 20, "generated", 4.0, "shuffled", 0.1, "causal"),
    ("steering", "majority", "slope", 10, "generated", 0.3, "random", 0.2, "not shown"),
    ("ablation", "correct", "log_odds", 20, "generated", 0.5, "random", 0.02, "causal"),
    ("erasure", "correct", "log_odds", 20, "generated", 0.08, "random", 0.05, "not shown"),
    ("knockout", "", "log_odds", pd.NA, "step", 0.6, "random_span", 0.1, "causal"),
]
"""method, target, measure, layer, position, effect, control, its effect, verdict."""
SIDE = {"accuracy": -0.3, "changed": 0.4, "missing": 0.2, "length": 12.0, "perplexity": 0.8}
"""Change in sampled traces at the largest strength; it is a half of it at the smaller ones."""


def interventions(truth: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The six tables, by name."""
    valid = truth[truth["status"] == "ok"]
    effects = pd.DataFrame([*_headlines(), *_patching(), *_mediation(), *_steering(), *_others()])
    effects = effects.astype({"layer": "Int64", "strength": float, "p": float, "p_holm": float})
    return {
        "interventions": _by_trace(valid),
        "interventions_sampled": _sampled(valid),
        "intervention_steps": _steps(valid),
        "intervention_effects": effects,
        "findings_intervene": _findings(effects),
        "probe_verdicts": _verdicts(),
    }


def effect(
    method: str, measure: str, value: float, control: str, beside: float, **more: Any
) -> dict[str, Any]:
    """A row of `intervention_effects`; the interval is a tenth on each side."""
    less = value - beside
    row = {"method": method, "target": "", "measure": measure, "layer": pd.NA, "position": ""}
    row |= {"strength": np.nan, "effect": value, "low": value - 0.1, "high": value + 0.1}
    row |= {"control": control, "control_effect": beside, "control_low": beside - 0.05}
    row |= {"control_high": beside + 0.05, "difference": less, "difference_low": less - 0.12}
    row |= {"difference_high": less + 0.12, "p": 0.004 if less > 0.12 else 0.6, "p_holm": 0.02}
    row |= {"band_low": np.nan, "band_high": np.nan, "n_questions": 9, "n_traces": 60}
    row |= {"n_excluded": 12, "headline": False, "verdict": "", "how": "", "seed": 0}
    return row | more


def _headlines() -> list[dict[str, Any]]:
    rows = []
    for method, target, measure, layer, position, value, control, beside, verdict in HEADLINES:
        place = {"target": target, "layer": layer, "position": position}
        more = {**place, "headline": True, "verdict": verdict, "how": HOSTILE_HOW}
        rows.append(effect(method, measure, value, control, beside, **more))
    return rows


def recovered(layer: int, position: str) -> float:
    """Recovered share of patching there."""
    if position == "prompt_end":
        return -0.02
    return 0.7 if position == "pre_answer" and layer >= 20 else PATCHED[""]


def _patching() -> list[dict[str, Any]]:
    return [
        effect(
            *("patching", "recovered", recovered(layer, position), control, PATCHED[control]),
            layer=layer,
            position=position,
        )
        for layer in LAYERS
        for position in POSITIONS
        for control in ("same_answer", "other_question")
    ]


def _mediation() -> list[dict[str, Any]]:
    nothing = dict.fromkeys(("control_low", "control_high", "p", "p_holm"), np.nan)
    rows = [effect("mediation", "total", 1.2, "", np.nan, position="cue", **nothing)]
    for layer in LAYERS:
        place, share = {"layer": layer, "position": "cue"}, layer / 30
        rows.append(effect("mediation", "indirect", share, "other_question", 0.1, **place))
        rows.append(effect("mediation", "direct", 1 - share, "", np.nan, **place, **nothing))
    return rows


def _steering() -> list[dict[str, Any]]:
    rows = []
    for target, slope in (("correct", 4.0), ("majority", 0.3)):
        for layer in (10, 20):
            place = {"target": target, "layer": layer, "position": "generated"}
            steep = slope * (1 if layer == 20 else 0.2)
            rows.append(effect("steering", "slope", steep, "random", 0.2, **place))
            for strength in STRENGTHS:
                share = abs(strength) / max(STRENGTHS)
                value = steep * strength
                place |= {"strength": strength}
                band = {"band_low": -BAND * share, "band_high": BAND * share}
                rows.append(effect("steering", "log_odds", value, "random", 0.0, **place, **band))
                beside = 0.02 * strength
                rows.append(effect("steering", "log_odds", value, "shuffled", beside, **place))
                if (target, layer) != ("correct", 20):
                    continue
                for measure, most in SIDE.items():
                    rows.append(effect("steering", measure, most * share, "random", 0.0, **place))
    return rows


def _others() -> list[dict[str, Any]]:
    place = {"target": "correct", "layer": 20, "position": "generated"}
    return [effect("erasure", "auroc_after", 0.5, "random", 0.74, **place)]


def _by_trace(valid: pd.DataFrame) -> pd.DataFrame:
    """What each trace's answer loses without each of its steps."""
    rows = []
    for trace in valid.to_dict("records"):
        for step in range(len(trace["steps"])):
            for control, draw in (("", 0), ("random_span", 0)):
                lost = loss(trace["sample_index"], step) if not control else BY_CHANCE
                rows.append(
                    {"question_id": trace["question_id"], "sample_index": trace["sample_index"]}
                    | {"method": "knockout", "target": "", "measure": "log_odds", "layer": pd.NA}
                    | {"position": "step", "step": step, "strength": np.nan, "control": control}
                    | {"draw": draw, "other": "13", "before": 2.0, "after": 2.0 - lost}
                    | {"effect": lost, "gap": np.nan}
                )
    return pd.DataFrame(rows).astype({"layer": "Int64", "step": "Int64", "draw": "Int64"})


def loss(sample_index: int, step: int) -> float:
    """What the answer loses where a step is hidden, nats."""
    return MOVED["answer"] - 0.01 * sample_index if step == 1 else 0.0


def _steps(valid: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for trace in valid.to_dict("records"):
        index, n = trace["sample_index"], len(trace["steps"])
        key = {"question_id": trace["question_id"], "sample_index": index}
        for step in range(n):
            for later in [*range(step + 1, n), pd.NA]:
                last = later is pd.NA
                moved = MOVED["step"] - 0.01 * index if not last and step == 0 else 0.02
                rows.append(
                    {**key, "step": step, "later": later, "kl": 0.3 if last else moved}
                    | {"control_kl": BY_CHANCE, "n_tokens": 6}
                    | {"effect": loss(index, step) if last else np.nan}
                    | {"control_effect": BY_CHANCE if last else np.nan}
                )
    return pd.DataFrame(rows).astype({"later": "Int64"})


def _sampled(valid: pd.DataFrame) -> pd.DataFrame:
    key = valid[["question_id", "sample_index"]]
    frames = [
        key.assign(strength=strength, control=control, answer=valid["stated"])
        for strength, control in ((0.2, ""), (np.nan, "unchanged"), (0.2, "random"))
    ]
    table = pd.concat(frames, ignore_index=True)
    return table.assign(
        method="steering", target="correct", layer=20, position="generated", draw=0, status="ok"
    ).assign(
        correct=pd.array([True] * len(table), dtype="boolean"),
        baseline_answer=table["answer"],
        finish_reason="stop",
        n_tokens=24,
        repetition=0.02,
        perplexity=1.8,
    )


def _findings(effects: pd.DataFrame) -> pd.DataFrame:
    own = effects[effects["headline"]].reset_index(drop=True)
    made = [
        Finding(
            measure=row["measure"],
            subject=row["method"],
            baseline="",
            estimate=row["effect"],
            low=row["low"],
            high=row["high"],
            p=row["p"],
            n_questions=row["n_questions"],
            n_traces=row["n_traces"],
            n_excluded=row["n_excluded"],
            method=row["how"],
            seed=0,
        )
        for row in own.to_dict("records")
    ]
    names = ["method", "target", "layer", "position", "control", "control_effect", "difference"]
    names += ["difference_low", "difference_high", "verdict"]
    table = as_table("intervene", made)
    return table.assign(**{name: own[name] for name in names if name != "method"})


def _verdicts() -> pd.DataFrame:
    numbers = {"effect": [4.0, 0.3], "control_effect": [0.2, 0.2], "difference": [3.8, 0.1]}
    return pd.DataFrame(
        {"target": ["correct", "majority"], "layer": pd.array([20, 10], dtype="Int64")}
        | {"position": "generated", "verdict": ["causal", "diagnostic"], **numbers}
        | {"difference_low": [3.6, -0.02], "difference_high": [4.0, 0.22], "p": [0.001, 0.4]}
    )
