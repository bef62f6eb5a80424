"""What moves the answer? Changed states and hidden steps, each effect beside its control.

The figures are those of notebooks, from the table `intervention_effects`: maps of layers and
positions, dose and response, mediation. The steps of single traces are read beside their text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis import figures
from analysis.figures.interventions import MAPPED, MEASURES, PATHS, SAMPLED, chosen_layer
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.interventions.effects import (
    Headline,
    Method,
    all_rows,
    headlines,
    methods,
    side_rows,
)
from analysis.page.sections.interventions.steps import HiddenSteps, hidden_steps, n_traces
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Drawing", "Interventions", "drawings", "intervention_figures", "interventions_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure that the table has rows for."""

    name: str
    """Among the section's figures."""
    kind: str
    """`map`, `dose`, `side` (a dose, of what else changes in sampled traces) or `mediation`."""
    method: str
    """As typed."""
    target: str
    """What the direction tells apart; empty where there is none."""
    layer: int | None
    """Of a dose: the headline's layer, else the first."""
    measure: str
    """Of a dose."""

    @property
    def axis(self) -> str:
        """What the measure is, in words."""
        return MEASURES.get(self.measure, self.measure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interventions:
    """What the section shows."""

    methods: list[Method]
    """What was done, in plain words."""
    headlines: list[Headline]
    """Layer and strength chosen on other questions."""
    all: list[list[str]]
    """A row an effect and control that is no headline."""
    side: list[list[str]]
    """A row a change of sampled traces and control."""
    drawings: list[Drawing]
    """The figures."""
    traces: list[HiddenSteps]
    """Traces whose steps were hidden, the one in which a step moves the answer most first."""
    n_traces: int
    """Traces whose steps were hidden, those included that the page doesn't carry."""


def interventions_data(evidence: Evidence) -> Interventions:
    """Numbers, what is drawn, and traces."""
    effects = evidence.get("intervention_effects")
    return Interventions(
        methods=methods(effects),
        headlines=headlines(effects),
        all=all_rows(effects),
        side=side_rows(effects),
        drawings=drawings(effects),
        traces=hidden_steps(evidence),
        n_traces=n_traces(evidence),
    )


def drawings(effects: pd.DataFrame) -> list[Drawing]:
    """The figures that the table `intervention_effects` has rows for."""
    found: list[Drawing] = []
    groups = effects.groupby(["method", "target"], sort=False) if len(effects) else []
    for (method, target), rows in groups:
        name = f"{method}/{target}" if target else str(method)

        def add(kind: str, name: str, layer: int | None = None, measure: str = "") -> None:
            key = {"method": str(method), "target": str(target)}  # noqa: B023
            found.append(Drawing(name=name, kind=kind, layer=layer, measure=measure, **key))

        placed = rows[rows["layer"].notna() & ~rows["headline"].astype(bool)]
        shares = placed[placed["measure"].isin(PATHS)]
        if shares["layer"].nunique() > 1:
            add("mediation", f"mediation/{name}")
        measures = [each for each in MAPPED if (placed["measure"] == each).any()]
        cells = placed[placed["measure"] == next(iter(measures), "")]
        if len(cells.drop_duplicates(["layer", "position"])) > 1:
            add("map", f"map/{name}")
        dosed = placed[placed["strength"].notna()]
        if dosed["strength"].nunique() < 2:
            continue
        layer = chosen_layer(rows)
        for measure in dict.fromkeys(dosed.loc[dosed["layer"] == layer, "measure"]):
            if measure == "log_odds" or measure in SAMPLED:
                kind = "dose" if measure == "log_odds" else "side"
                add(kind, f"{kind}/{name}/{measure}", layer, str(measure))
    return found


def intervention_figures(run: Run) -> dict[str, Figure]:
    """By name: `map/METHOD/TARGET`, `dose/METHOD/TARGET/MEASURE`, `mediation/METHOD`."""
    if "intervention_effects" not in run.tables():
        return {}
    found = {}
    for each in drawings(run.table("intervention_effects")):
        if each.kind == "map":
            found[each.name] = figures.intervention_map(run, each.method, each.target)
        elif each.kind == "mediation":
            found[each.name] = figures.mediation_by_layer(run, each.method)
        else:
            place = (each.target, each.layer, each.measure, each.method)
            found[each.name] = figures.dose_response(run, *place)
    return found


section(
    folder=__name__,
    name="interventions",
    title="What moves the answer?",
    navigation="Interventions",
    order=110,
    reads=["intervention_effects", "intervention_steps"],
    downloads=[
        "intervention_effects",
        "interventions",
        "interventions_sampled",
        "intervention_steps",
        "findings_intervene",
        "probe_verdicts",
    ],
    data=interventions_data,
    sends=lambda data: data.traces,
    figure=intervention_figures,
)
