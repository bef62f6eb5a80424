"""Tables of `cot features`, from fitted features and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.state_features.fitting import BASELINES, Fitted, LabelledTraces, Split
from analysis.state_features.injection import INJECTED
from analysis.state_features.measuring import LEVEL, at_same_rank, measure_features
from analysis.state_features.states import States
from analysis.state_features.token_counts import bag_of_tokens_r2
from cot.types import TRACE_KEY

__all__ = ["FEATURES", "PLACES", "STEPS", "VALUES", "feature_places", "feature_rows"]

Floats = NDArray[np.float64]
MOST_STEPS = 10
"""Strongest steps of a feature that are stored."""
FIFTHS = 5
FEATURES = {
    **{"method": "str", "layer": "int64", "position": "str", "feature": "int64"},
    **{"baseline": "bool", "chosen": "bool", "sign": "Int64"},
    **dict.fromkeys(("within_question_auroc", "low", "high", "p", "q"), "float64"),
    **{"tells": "boolean", "control": "float64", "control_pca": "float64"},
    **dict.fromkeys(("firing_rate", "rate_right", "rate_wrong"), "float64"),
    **{"dead": "boolean", "token_r2": "float64"},
    **dict.fromkeys(INJECTED[:-1], "float64"),
    **{INJECTED[-1]: "boolean", "target": "str", "concept": "str"},
    **{"n_within": "int64", "n_questions": "int64", "n_traces": "int64", "n_states": "int64"},
    **{"n_excluded": "int64", "seed": "int64"},
}
STEPS = {
    **{"method": "str", "layer": "int64", "feature": "int64", "rank": "int64"},
    **{"question_id": "str", "sample_index": "int64", "step": "Int64", "token": "Int64"},
    **{"start": "Int64", "end": "Int64", "value": "float64", "held_out": "bool"},
}
VALUES = {
    **{"method": "str", "layer": "int64", "feature": "int64", "question_id": "str"},
    **{"sample_index": "int64", "step": "Int64", "token": "Int64", "start": "Int64"},
    **{"end": "Int64", "place": "float64", "value": "float64"},
}
PLACES = {
    **{"method": "str", "layer": "int64", "feature": "int64", "fifth": "int64"},
    **{"label": "bool", "rate": "float64", "value": "float64", "n_states": "int64"},
}


def feature_rows(
    fitted: Sequence[Fitted],
    states: States,
    split: Split,
    judged: LabelledTraces,
    counts: Floats,
    injected: Mapping[str, pd.DataFrame],
    seed: int,
) -> pd.DataFrame:
    """The table `features`."""
    held = split.rows(states, held_out=True)
    own = judged.of(split.held_out)
    measured = {
        each.method: measure_features(
            own.scores(each.values, states.rows), own.y, own.questions, seed
        )
        for each in fitted
    }
    beside = {name: measured[name]["within_question_auroc"].to_numpy(float) for name in BASELINES}
    frames = []
    for each in fitted:
        table = measured[each.method].assign(feature=np.arange(each.made.n_features))
        auroc = table["within_question_auroc"].to_numpy(float)
        on = each.values > 0
        rates = _rates(on, states, held, own) if each.made.fires else {}
        best, sign = each.best or (-1, pd.NA)
        tells = pd.array(table["q"] <= LEVEL, dtype="boolean")
        tells[table["q"].isna().to_numpy()] = pd.NA
        table = table.assign(
            method=each.method,
            baseline=each.baseline,
            chosen=table["feature"] == best,
            sign=pd.array([sign if i == best else pd.NA for i in table["feature"]], "Int64"),
            tells=tells,
            control=at_same_rank(auroc, beside["random"]),
            control_pca=at_same_rank(auroc, beside["pca"]),
            token_r2=bag_of_tokens_r2(counts, each.values, states.questions, seed),
            dead=~on.any(axis=0) if each.made.fires else pd.NA,
            concept=each.concept,
            **rates,
        )
        if each.method in injected:
            table = table.assign(**dict(injected[each.method]))
        frames.append(table)
    table = pd.concat(frames, ignore_index=True)
    table = table.assign(
        layer=states.layer,
        position=states.position,
        target=judged.name,
        n_questions=len(set(own.questions)),
        n_traces=len(own.y),
        n_states=int(held.sum()),
        n_excluded=judged.n_excluded,
        seed=seed,
    )
    return table.reindex(columns=list(FEATURES)).astype(FEATURES)


def _rates(
    on: NDArray[np.bool_], states: States, held: NDArray[np.bool_], own: LabelledTraces
) -> dict[str, Floats]:
    """Shares of held-out states in which each feature is on: of all, of right and wrong traces."""
    label = _labels(states, own)
    nothing = np.full(on.shape[1], np.nan)
    masks = {"firing_rate": held, "rate_right": label == 1, "rate_wrong": label == 0}
    found = {}
    for name, mask in masks.items():
        rate: Floats = on[mask].mean(axis=0) if mask.any() else nothing
        found[name] = rate
    return found


def _labels(states: States, own: LabelledTraces) -> Floats:
    """Each state's label, 1 or 0; NaN where its trace has none."""
    known = pd.Series(own.y.astype(float), index=own.trace)
    label: Floats = states.rows["trace"].map(known).to_numpy(float)
    return label


def strongest(fitted: Sequence[Fitted], states: States, split: Split) -> pd.DataFrame:
    """The table `feature_steps`: of each feature that was asked for, the states in which it is
    strongest."""
    held = split.rows(states, held_out=True)
    names = [*TRACE_KEY, "step", "token", "start", "end"]
    frames = []
    for each in fitted:
        if each.baseline:
            continue
        for feature, values in enumerate(each.values.T):
            order = np.argsort(-values, kind="stable")[:MOST_STEPS]
            order = order[values[order] > 0]
            frames.append(
                states.rows.iloc[order][names].assign(
                    method=each.method,
                    layer=states.layer,
                    feature=feature,
                    rank=np.arange(len(order)),
                    value=values[order],
                    held_out=held[order],
                )
            )
    return _typed(frames, STEPS)


def value_rows(fitted: Sequence[Fitted], states: States) -> pd.DataFrame:
    """The table `feature_values`: of the features that were asked for, every state in which one is
    on; every state where features are read linearly."""
    names = [*TRACE_KEY, "step", "token", "start", "end", "place"]
    frames = []
    for each in fitted:
        if each.baseline:
            continue
        rows, features = np.nonzero(each.values if each.made.fires else np.ones(each.values.shape))
        frames.append(
            states.rows.iloc[rows][names].assign(
                method=each.method,
                layer=states.layer,
                feature=features,
                value=each.values[rows, features],
            )
        )
    return _typed(frames, VALUES)


def feature_places(
    fitted: Sequence[Fitted], states: States, split: Split, judged: LabelledTraces
) -> pd.DataFrame:
    """The table `feature_places`: where along held-out traces a feature is on, by label."""
    label = _labels(states, judged.of(split.held_out))
    place = states.rows["place"].to_numpy(float)
    fifth = np.minimum((place * FIFTHS).astype(int), FIFTHS - 1)
    rows: list[dict[str, Any]] = []
    for each in (one for one in fitted if not one.baseline):
        for number in range(FIFTHS):
            for which in (True, False):
                mine = (fifth == number) & (label == which)
                if not mine.any():
                    continue
                values = each.values[mine]
                rate = (
                    (values > 0).mean(axis=0) if each.made.fires else np.full(len(values.T), np.nan)
                )
                mean = values.mean(axis=0)
                rows += [
                    {"method": each.method, "layer": states.layer, "feature": feature}
                    | {"fifth": number, "label": which, "rate": rate[feature]}
                    | {"value": mean[feature], "n_states": int(mine.sum())}
                    for feature in range(each.made.n_features)
                ]
    return pd.DataFrame(rows, columns=list(PLACES)).astype(PLACES)


def _typed(frames: Sequence[pd.DataFrame], types: Mapping[str, str]) -> pd.DataFrame:
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(types))
    return table.reindex(columns=list(types)).astype(dict(types))
