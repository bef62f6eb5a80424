"""What is measured inside the model: where the answer is settled, and what moves it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.comparison.measure import Compared, Measure, mean_of
from analysis.interventions.asking import load_intervention
from analysis.interventions.cells import cells_of, cells_of_samples
from analysis.interventions.effects import heads_of, last_block
from cot.errors import InputError

__all__ = ["causal", "depth"]

UNITS = {
    "recovered": "share of the log-odds",
    "indirect": "share of the total",
    "slope": "nats a unit of strength",
    "log_odds": "nats",
    "accuracy": "share of traces",
}
"""Of headline measures."""


def depth(compared: Compared) -> Iterator[Measure]:
    """Means over questions with two answers that the lens tells apart, from `lens_traces`."""
    tables = compared.all_tables(("lens_traces", "lens_layers"), "depth")
    if tables is None:
        return
    table, layers = tables
    known = table[table["consistency"].notna()]
    n_traces = known.groupby("question_id", sort=False).size()
    several = known[known["question_id"].map(n_traces) > 1]
    deepest = layers.loc[layers["measure"] == "committed", "layer"].max()
    sources: tuple[tuple[str, str, str, pd.DataFrame, pd.Series[Any], str], ...] = (
        (
            "commitment_depth",
            "commitment_layer",
            "share of depth",
            known,
            known["commitment_layer"].astype(float) / float(deepest),
            "the lowest layer from which all latent answers are that of the last layer",
        ),
        (
            "consistency",
            "consistency",
            "share of layers",
            several,
            several["consistency"],
            "the share of layers whose latent answer is that of the last layer",
        ),
        (
            "consistency_calibrated",
            "consistency_calibrated",
            "share of layers",
            several,
            several["consistency_calibrated"],
            "the share of layers whose calibrated latent answer is that of the last layer",
        ),
        (
            "decided_at_prompt",
            "decided_at_prompt",
            "share of traces",
            several,
            several["decided_at_prompt"].astype(float),
            "the share of traces that state the last layer's latent answer at the prompt's end",
        ),
    )
    for measure, _, unit, rows, values, what in sources:
        means = values.groupby(rows["question_id"], sort=False).mean()
        yield Measure(
            family="depth",
            measure=measure,
            unit=unit,
            rows=mean_of(means),
            n_traces=n_traces,
            method=f"mean over questions of {what}; questions whose answers the lens can't tell "
            "apart left out",
        )


def causal(compared: Compared) -> Iterator[Measure]:
    """Effect less control of each headline of `intervention_effects`, the layer (of sampled traces,
    the strength) chosen on other questions as there."""
    names = ("intervention_effects", "interventions", "interventions_sampled")
    tables = compared.all_tables(names, "causal")
    if tables is None:
        return
    effects, forced, sampled = tables
    try:
        methods = {str(name): load_intervention(str(name)) for name in forced["method"].unique()}
    except InputError as error:
        compared.lacks("causal", "interventions", str(error))
        return
    seed = int(effects["seed"].iloc[0]) if len(effects) else 0
    groups = [
        *heads_of(cells_of(forced, methods, last_block(effects)), "layer", seed),
        *heads_of(cells_of_samples(sampled), "strength", seed),
    ]
    seen: set[tuple[str, str]] = set()
    for head in (head for heads in groups for head in heads):
        about, paired = head.about, head.paired
        measure = "recovered" if about["measure"] == "toward_donor" else str(about["measure"])
        parts = [about[name] for name in ("method", "target", "position")]
        named = ", ".join(str(part) for part in parts if pd.notna(part) and part != "")
        subject = f"{named}; less {paired.control}"
        if (measure, subject) in seen:  # a method that acts at several layers of its own
            subject = f"{named}, layer {about['layer']}; less {paired.control}"
        seen.add((measure, subject))
        index = pd.Index(paired.questions, name="question_id")
        yield Measure(
            family="causal",
            measure=measure,
            subject=subject,
            unit=UNITS.get(measure, "effect"),
            rows=pd.DataFrame(
                {"above": paired.own - paired.other, "below": paired.gap}, index=index
            ),
            n_traces=pd.Series(paired.n_traces, index=index),
            method=f"effect less that of its control, paired; {head.how}",
        )
