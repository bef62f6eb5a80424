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
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.features.cards import FeatureCard, feature_cards
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["FeaturesData", "feature_figures", "features_data"]

HEADS = ["Method", "Feature", "AUROC", "95% interval", "q", "Random, same rank", "PCA, same rank"]
HEADS += ["On, of states", "In right", "In wrong", "R² of tokens", "Fires on its tokens", "Dead"]
FINDINGS = {
    "within_question_auroc": "AUROC of the feature chosen on training questions",
    "unexplained": "not reconstructed, share of the squared norm",
    "features_that_tell": "features that tell, share",
    "token_r2": "R² of token counts, mean",
    "fires_injected": "fire on their tokens in plain text, share",
    "dead_features": "dead features, share",
    "concept_auroc": "AUROC of the concept's own labels",
    "tcav": "TCAV score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesData:
    """What the section shows."""

    place: str
    """Layer and position."""
    target: str
    """What features may tell."""
    methods: list[str]
    """Those that have a figure."""
    findings: list[list[str]]
    """A row a finding."""
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
    return FeaturesData(
        place="" if first is None else f"layer {first['layer']} at {first['position']}",
        target="" if first is None else str(first["target"]),
        methods=_drawn(table),
        findings=[_finding(row) for row in evidence.get("findings_features").to_dict("records")],
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


def _finding(row: dict[object, object]) -> list[str]:
    measure, baseline = str(row["measure"]), str(row["baseline"])
    what = FINDINGS.get(measure, measure) + (f", less that of {baseline}" if baseline else "")
    low, high, p = (number(row[name]) for name in ("low", "high", "p"))
    said = [decimal(number(row["estimate"])), interval(low, high, decimal)]
    said.append("–" if p is None else chance(p).removeprefix("= "))
    return [str(row["subject"]), what, *said, str(row["n_questions"]), str(row["n_traces"])]


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
