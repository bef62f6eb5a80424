"""A feature's card: its strongest steps in their texts, where it is on, rates, tokens, controls.

What a model wrote reaches the page as strings, which it sets as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.text import chance, count, flag, number
from analysis.page.evidence import Evidence
from cot.types import TRACE_KEY

__all__ = ["CARDS", "CHARACTERS", "FeatureCard", "FeatureTrace", "StrongStep", "feature_cards"]

CARDS = 24
"""Features that a page carries: the chosen ones, then those furthest from 0.5."""
STEPS = 8
"""Strongest steps of a card."""
TRACES = 5
"""Traces of a card along which the feature is shown."""
PIECES = 40
"""States of a trace that are shown, from the first."""
CHARACTERS = 300
"""Of a step's text."""
FIFTHS = 5
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongStep:
    """A step in which a feature is strong."""

    id: str
    """Its question's id."""
    index: int
    """Its trace's sample index."""
    step: int | None
    """Its number; None where the state ends no step."""
    text: str
    """What it says, the beginning of a long one."""
    value: float
    """The feature's."""
    right: bool | None
    """Whether its trace's answer is right."""
    held_out: bool
    """Whether its question was not fitted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTrace:
    """A trace along which a feature is shown."""

    id: str
    """Its question's id."""
    index: int
    """Its sample index."""
    right: bool | None
    """Whether its answer is right."""
    names: list[str]
    """Each state's step or token number."""
    texts: list[str]
    """What each state's piece says."""
    values: list[float]
    """The feature's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCard:
    """One feature; numbers are of held-out questions, None where they aren't defined."""

    method: str
    """As typed."""
    feature: int
    """Its number."""
    target: str
    """What it may tell."""
    chosen: bool
    """Whether it tells the labels of training questions best."""
    tells: bool | None
    """Whether q is up to 0.05."""
    auroc: float | None
    """Within-question AUROC."""
    low: float | None
    """Lower end of its 95% interval."""
    high: float | None
    """Upper end."""
    q: str
    """Benjamini and Hochberg's, as text."""
    control: float | None
    """AUROC of the random direction of the same rank."""
    control_pca: float | None
    """AUROC of the principal component of the same rank."""
    rate_right: float | None
    """Share of the states of right traces in which it is on."""
    rate_wrong: float | None
    """Share of the states of wrong ones."""
    token_r2: float | None
    """R² of token counts."""
    injected: bool | None
    """Whether it fires on its tokens in plain text; None where that was not tested."""
    tokens: list[str]
    """That go with it, the first most."""
    steps: list[StrongStep]
    """The strongest first."""
    fifths: list[list[float | None]]
    """Rate by fifth of right traces, and of wrong ones; mean values where it is never off."""
    fires: bool
    """Whether it is off in some states."""
    traces: list[FeatureTrace]
    """Those of the strongest steps."""


def feature_cards(evidence: Evidence) -> list[FeatureCard]:
    """The features that the page carries."""
    table = evidence.get("features")
    if table.empty:
        return []
    own = table[~table["baseline"].astype(bool)]
    away = (own["within_question_auroc"] - 0.5).abs().fillna(-1.0)
    first = own.assign(away=away).sort_values(["chosen", "away"], ascending=False, kind="stable")
    made = _Texts(evidence)
    of = {
        name: dict(iter(evidence.get(name).groupby(["method", "feature"], sort=False)))
        if len(evidence.get(name))
        else {}
        for name in ("feature_steps", "feature_values", "feature_places", "feature_tokens")
    }
    return [_card(row, of, made) for row in first.head(CARDS).to_dict("records")]


class _Texts:
    """Texts of pieces, and whether a trace is right."""

    def __init__(self, evidence: Evidence) -> None:
        keys = zip(evidence.traces["question_id"], evidence.traces["sample_index"], strict=True)
        self._text = dict(zip(keys, evidence.traces["text"], strict=True))
        answers = evidence.get("answers")
        self._right: dict[Key, bool | None] = {}
        if len(answers):
            for name, index, right in answers[[*TRACE_KEY, "correct"]].itertuples(index=False):
                self._right[name, int(index)] = flag(right)

    def piece(self, row: Mapping[Any, Any]) -> str:
        """What a state's piece says, the beginning of a long one."""
        start, end = count(row["start"]), count(row["end"])
        if start is None or end is None:
            return ""
        whole = str(self._text.get((row["question_id"], int(row["sample_index"])), ""))
        said = whole[start:end]
        return said if len(said) <= CHARACTERS else said[: CHARACTERS - 1] + "…"

    def right(self, name: Any, index: Any) -> bool | None:
        """Whether the trace's answer is right; None where that isn't known."""
        return self._right.get((name, int(index)))


def _card(
    row: Mapping[Any, Any], of: Mapping[str, Mapping[Any, Any]], texts: _Texts
) -> FeatureCard:
    key = (row["method"], row["feature"])
    rows = {name: groups.get(key, pd.DataFrame()) for name, groups in of.items()}
    steps = rows["feature_steps"].to_dict("records")[:STEPS]
    values = rows["feature_values"]
    names = ("within_question_auroc", "low", "high", "control", "control_pca")
    auroc, low, high, control, components = (_rounded(row[name]) for name in names)
    q, rate = number(row["q"]), number(row["firing_rate"])
    return FeatureCard(
        method=str(row["method"]),
        feature=int(row["feature"]),
        target=str(row["target"]),
        chosen=bool(row["chosen"]),
        tells=flag(row["tells"]),
        auroc=auroc,
        low=low,
        high=high,
        q="–" if q is None else chance(q),
        control=control,
        control_pca=components,
        rate_right=_rounded(row["rate_right"]),
        rate_wrong=_rounded(row["rate_wrong"]),
        token_r2=_rounded(row["token_r2"]),
        injected=flag(row["fires_injected"]),
        tokens=[str(each) for each in rows["feature_tokens"].get("text", [])],
        steps=[
            StrongStep(
                id=str(each["question_id"]),
                index=int(each["sample_index"]),
                step=count(each["step"]),
                text=texts.piece(each),
                value=round(float(each["value"]), 3),
                right=texts.right(each["question_id"], each["sample_index"]),
                held_out=bool(each["held_out"]),
            )
            for each in steps
        ],
        fifths=_fifths(rows["feature_places"], "rate" if rate is not None else "value"),
        fires=rate is not None,
        traces=_traces(steps, values, texts),
    )


def _traces(steps: list[dict[Any, Any]], values: pd.DataFrame, texts: _Texts) -> list[FeatureTrace]:
    """The traces of the strongest steps, and the states in which the feature is on there."""
    keys = list(dict.fromkeys((each["question_id"], each["sample_index"]) for each in steps))
    found = []
    for name, index in keys[:TRACES]:
        mine = values[(values["question_id"] == name) & (values["sample_index"] == index)]
        mine = mine.sort_values("place", kind="stable").head(PIECES)
        rows = mine.to_dict("records")
        found.append(
            FeatureTrace(
                id=str(name),
                index=int(index),
                right=texts.right(name, index),
                names=[_named(row) for row in rows],
                texts=[texts.piece(row) for row in rows],
                values=[round(float(row["value"]), 3) for row in rows],
            )
        )
    return found


def _named(row: Mapping[Any, Any]) -> str:
    step, token = count(row["step"]), count(row["token"])
    return str(step) if step is not None else "–" if token is None else f"token {token}"


def _fifths(places: pd.DataFrame, column: str) -> list[list[float | None]]:
    """Rate (or value) by fifth: of traces with the label, and without."""
    grid: list[list[float | None]] = [[None] * FIFTHS, [None] * FIFTHS]
    for each in places.to_dict("records"):
        grid[0 if each["label"] else 1][int(each["fifth"])] = _rounded(each[column])
    return grid


def _rounded(value: Any) -> float | None:
    known = number(value)
    return None if known is None else float(np.round(known, 3))
