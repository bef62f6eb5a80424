"""Effects as the page shows them: headlines beside each of their controls, all others as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.interventions import CONTROLS, MEASURES, SAMPLED
from analysis.figures.text import chance, count, decimal, interval, number
from analysis.page.cards import sentence

__all__ = ["Beside", "Headline", "Method", "all_rows", "headlines", "methods", "side_rows"]

PLACE = ["method", "target", "measure", "layer", "position", "strength"]
DOES = {
    "patching": "In the forced pass of a trace, its state at one layer and token is replaced by "
    "that of a donor: a trace of the same question that states another answer. The recovered share "
    "is how much of the way to the donor's log-odds the trace's then go: 0 is none of it, 1 all of "
    "it.",
    "mediation": "The states of the answer's cue (“The answer is”) are exchanged between a pass "
    "with the reasoning and one in which the cue follows the prompt at once. The total effect is "
    "what the reasoning does to the log-odds; the indirect share is what comes with the cue's "
    "states at that layer alone.",
    "steering": "At every generated token of one layer, a step along the probe's direction is "
    "added to the state; σ is the mean norm of the states there. The effect is how far the "
    "log-odds of the answer with the positive label rise: a direction that the model uses moves "
    "them with the strength, and further than random directions do.",
    "ablation": "At every generated token of one layer, what lies along the probe's direction is "
    "taken out of the state. The effect is the log-odds that the trace's own answer loses.",
    "erasure": "At every generated token of one layer, all that a linear probe can read of the "
    "label is taken out of the state (LEACE). The effect is the log-odds that the trace's own "
    "answer loses.",
    "knockout": "One step is hidden from all later tokens, in all layers of the forced pass, by "
    "masking attention. The effect is the log-odds that the trace's own answer loses; of later "
    "steps, how far their next-token distributions move.",
}
"""Method to what is changed, in which pass, and what its effect means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method that ran."""

    name: str
    """As typed."""
    does: str
    """What it changes and what its effect means; empty for a plug-in's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A headline beside one control."""

    effect: str
    """The effect, over the traces that have the control."""
    interval: str
    """Its 95% interval."""
    control: str
    """What the control is."""
    control_effect: str
    """The control's effect with its interval."""
    difference: str
    """Effect less control."""
    difference_interval: str
    """Its 95% interval."""
    p: str
    """Of the difference."""
    n_questions: int
    """Questions behind it."""
    n_traces: int
    """Traces behind it."""
    n_excluded: int
    """Traces left out."""
    how: str
    """How the cell was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A method's effect where other questions chose to look."""

    method: str
    """As typed."""
    target: str
    """What the direction tells apart; empty where there is none."""
    measure: str
    """What the effect is, in words."""
    layer: str
    """Chosen most often; `all` where the method acts on all."""
    position: str
    """Where it acts."""
    verdict: str
    """`causal` or `not shown`."""
    beside: list[Beside]
    """A row a control."""


def methods(effects: pd.DataFrame) -> list[Method]:
    """The methods of the table, in its order."""
    named = dict.fromkeys(effects["method"]) if len(effects) else []
    return [Method(name=str(name), does=DOES.get(str(name).split(":")[0], "")) for name in named]


def headlines(effects: pd.DataFrame) -> list[Headline]:
    """The headlines, those that are causal first, each in the order of the table."""
    if not len(effects):
        return []
    rows = effects[effects["headline"].astype(bool)]
    found = []
    for _, some in rows.groupby(PLACE, sort=False, dropna=False):
        records = some.to_dict("records")
        first = records[0]
        layer = count(first["layer"])
        found.append(
            Headline(
                method=str(first["method"]),
                target=str(first["target"]),
                measure=sentence(MEASURES.get(first["measure"], str(first["measure"])))
                + _strength(first, ", strength "),
                layer="all" if layer is None else str(layer),
                position=str(first["position"]),
                verdict=str(first["verdict"]),
                beside=[_beside(row) for row in records],
            )
        )
    return sorted(found, key=lambda each: each.verdict != "causal")


def _beside(row: Mapping[Any, Any]) -> Beside:
    return Beside(
        effect=decimal(number(row["effect"])),
        interval=_ends(row, ""),
        control=CONTROLS.get(row["control"], str(row["control"])),
        control_effect=f"{decimal(number(row['control_effect']))} ({_ends(row, 'control_')})",
        difference=decimal(number(row["difference"])),
        difference_interval=_ends(row, "difference_"),
        p=chance(number(row["p"])),
        n_questions=int(row["n_questions"]),
        n_traces=int(row["n_traces"]),
        n_excluded=int(row["n_excluded"]),
        how=str(row["how"]),
    )


def all_rows(effects: pd.DataFrame) -> list[list[str]]:
    """Every effect of forced passes that is no headline: method, target, measure, layer, position,
    strength, effect, interval, control, its effect, difference, interval, Holm's p, questions,
    traces, verdict."""
    return _rows(effects, sampled=False)


def side_rows(effects: pd.DataFrame) -> list[list[str]]:
    """The same of sampled traces: changes from the unchanged model's traces of the same seeds."""
    return _rows(effects, sampled=True)


def _rows(effects: pd.DataFrame, *, sampled: bool) -> list[list[str]]:
    if not len(effects):
        return []
    own = effects["measure"].isin(SAMPLED) == sampled
    own &= ~effects["headline"].astype(bool)
    return [_row(row) for row in effects[own].to_dict("records")]


def _row(row: Mapping[Any, Any]) -> list[str]:
    layer = count(row["layer"])
    control = str(row["control"])
    return [
        *(str(row["method"]), str(row["target"]) or "–"),
        MEASURES.get(row["measure"], str(row["measure"])),
        *("all" if layer is None else str(layer), str(row["position"]), _strength(row) or "–"),
        *(decimal(number(row["effect"])), _ends(row, "")),
        CONTROLS.get(control, control) or "–",
        decimal(number(row["control_effect"])),
        *(decimal(number(row["difference"])), _ends(row, "difference_")),
        chance(number(row["p_holm"])).removeprefix("= "),
        *(str(row["n_questions"]), str(row["n_traces"])),
        str(row["verdict"] or row["how"]) or "–",
    ]


def _ends(row: Mapping[Any, Any], name: str) -> str:
    return interval(number(row[f"{name}low"]), number(row[f"{name}high"]), decimal)


def _strength(row: Mapping[Any, Any], before: str = "") -> str:
    value = number(row["strength"])
    return "" if value is None else f"{before}{value:g}".replace("-", "\N{MINUS SIGN}")
