"""Features of the hidden states: what each tells, and a card for each that is looked at.

The figure is that of notebooks. A card shows the steps in which a feature is strongest, where it is
on along traces, how often in right and in wrong ones, its tokens and its controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis import figures
from analysis.figures.text import chance, decimal, flag, interval, number
from analysis.findings import pick
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.features.cards import FeatureCard, feature_cards
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["FeaturesData", "Method", "feature_figures", "features_data"]

HEADS = ["Method", "Feature", "AUROC", "95% interval", "q", "Random, same rank", "PCA, same rank"]
HEADS += ["On, of states", "In right", "In wrong", "R² of tokens", "Fires on its tokens", "Dead"]
MEASURES = {
    "AUROC, chosen on training questions": ("within_question_auroc", ""),
    "less random": ("within_question_auroc", "random"),
    "less PCA": ("within_question_auroc", "pca"),
    "Features that tell": ("features_that_tell", ""),
    "Not reconstructed": ("unexplained", ""),
    "Dead": ("dead_features", ""),
    "R² of tokens, mean": ("token_r2", ""),
    "Fire on their tokens": ("fires_injected", ""),
    "Concept's own AUROC": ("concept_auroc", ""),
    "TCAV": ("tcav", ""),
}
"""A column of the methods' table to the finding's measure and baseline; without any, it is left
out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What findings say of one method's features."""

    name: str
    """As typed, or a baseline's."""
    values: list[tuple[str, str, str]]
    """Estimate, interval and p, one for each of `FeaturesData.columns`; a dash where there is no
    estimate, empty where there is no interval or p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesData:
    """What the section shows."""

    place: str
    """Layer and position."""
    target: str
    """What features may tell."""
    methods: list[str]
    """Those that have a figure."""
    columns: list[str]
    """What findings say of a method."""
    findings: list[Method]
    """A row a method and baseline."""
    heads: list[str]
    """Of `rows`."""
    rows: list[list[str]]
    """A row a feature, those of baselines included."""
    cards: list[FeatureCard]
    """The features that the page carries."""
    n_features: int
    """Features that were asked for, those included that the page doesn't carry."""


def features_data(evidence: Evidence) -> FeaturesData:
    """Numbers and cards."""
    table = evidence.get("features")
    own = table[~table["baseline"].astype(bool)] if len(table) else table
    first = table.iloc[0] if len(table) else None
    found = evidence.get("findings_features")
    there = {*zip(found["measure"], found["baseline"], strict=True)} if len(found) else set()
    columns = [name for name, key in MEASURES.items() if key in there]
    return FeaturesData(
        place="" if first is None else f"layer {first['layer']} at {first['position']}",
        target="" if first is None else str(first["target"]),
        methods=_drawn(table),
        columns=columns,
        findings=_methods(found, columns),
        heads=HEADS,
        rows=[_row(row) for row in table.to_dict("records")],
        cards=feature_cards(evidence),
        n_features=len(own),
    )


def _drawn(table: pd.DataFrame) -> list[str]:
    """Methods that were asked for and have an AUROC."""
    if table.empty:
        return []
    known = table[~table["baseline"].astype(bool) & table["within_question_auroc"].notna()]
    return [str(each) for each in dict.fromkeys(known["method"])]


def _methods(found: pd.DataFrame, columns: list[str]) -> list[Method]:
    """One row a method; a concept's AUROC, whose subject names the concept, is its method's."""
    if found.empty:
        return []
    found = found.assign(subject=found["subject"].str.replace(r" of .*", "", regex=True))
    made = []
    for name in dict.fromkeys(found["subject"]):
        rows = found[found["subject"] == name]
        cells = []
        for measure, baseline in (MEASURES[column] for column in columns):
            row = pick(rows, measure, name, baseline)
            value = None if row is None else number(row["estimate"])
            ends = (None, None) if row is None else (number(row["low"]), number(row["high"]))
            p = None if row is None else number(row["p"])
            known = "" if ends[0] is None else interval(*ends, decimal)
            cells.append((decimal(value), known, "" if p is None else chance(p)))
        made.append(Method(name=str(name), values=cells))
    return made


def _row(row: dict[object, object]) -> list[str]:
    low, high, q = (number(row[name]) for name in ("low", "high", "q"))
    rates = ("firing_rate", "rate_right", "rate_wrong", "token_r2")
    return [
        f"{row['method']}{' (baseline)' if row['baseline'] else ''}",
        str(row["feature"]),
        decimal(number(row["within_question_auroc"])),
        interval(low, high, decimal),
        "–" if q is None else chance(q).removeprefix("= "),
        *(decimal(number(row[name])) for name in ("control", "control_pca", *rates)),
        *(_said(flag(row[name])) for name in ("fires_injected", "dead")),
    ]


def _said(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"


def feature_figures(run: Run) -> dict[str, Figure]:
    """By method."""
    if "features" not in run.tables():
        return {}
    return {each: figures.feature_aurocs(run, each) for each in _drawn(run.table("features"))}


section(
    folder=__name__,
    name="features",
    title="Features of the hidden states",
    navigation="Features",
    order=116,
    reads=["features", "feature_steps", "feature_values", "feature_places", "feature_tokens"],
    downloads=[
        "features",
        "feature_steps",
        "feature_tokens",
        "feature_values",
        "feature_places",
        "findings_features",
    ],
    data=features_data,
    sends=lambda data: data.cards,
    figure=feature_figures,
)
