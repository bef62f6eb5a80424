"""Findings of `cot features`: each chosen on training questions, measured on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings import as_table, mean_finding
from analysis.state_features.fitting import BASELINES, Fitted, LabelledTraces, Split
from analysis.state_features.measuring import LEVEL, unexplained
from analysis.state_features.states import States
from analysis.state_features.tcav import Sensitivity
from analysis.statistics import auroc_per_question
from cot.types import Finding

__all__ = ["findings_table"]

CHOSEN = (
    "the feature that tells the labels of training questions best, measured on held-out questions; "
    "p: labels shuffled within questions"
)


def findings_table(
    fitted: Sequence[Fitted],
    table: pd.DataFrame,
    states: States,
    split: Split,
    judged: LabelledTraces,
    concepts: Mapping[str, LabelledTraces],
    tested: Mapping[str, Sensitivity],
    seed: int,
) -> pd.DataFrame:
    """The table `findings_features`.

    Args:
        table: `features`.
        concepts: of each method that read a table of labels, these.
        tested: TCAV's test, likewise.
    """
    own = judged.of(split.held_out)
    held = split.rows(states, held_out=True)
    common: dict[str, Any] = {"n_traces": len(own.y), "n_excluded": judged.n_excluded, "seed": seed}
    told = {each.method: _aurocs(each, own, states) for each in fitted}
    left = {
        each.method: unexplained(each.made, states.vectors[held], states.questions[held])
        for each in fitted
        if each.method != "random" and not each.concept
    }
    found: list[Finding] = []
    for each in fitted:
        rows = table[table["method"] == each.method]
        found += _compared("within_question_auroc", each, told, CHOSEN, common, _p(rows))
        how = "share of the squared norm of held-out states that is not reconstructed"
        found += _compared("unexplained", each, left, how, common, None)
        found += _shares(each, rows, common)
    for method, labels in concepts.items():
        found.append(_concept(method, fitted, labels.of(split.held_out), states, seed))
    found += [_tcav(method, test, seed) for method, test in tested.items()]
    return as_table("features", found)


def _aurocs(each: Fitted, own: LabelledTraces, states: States) -> pd.Series[Any]:
    """AUROC of the chosen feature in each held-out question with both labels."""
    if each.best is None:
        return pd.Series(dtype=float)
    feature, sign = each.best
    score = sign * own.scores(each.values, states.rows)[:, feature]
    return auroc_per_question(own.y, score, own.questions)


def _p(rows: pd.DataFrame) -> float | None:
    chosen = rows.loc[rows["chosen"].astype(bool), "p"]
    return float(chosen.iloc[0]) if len(chosen) and chosen.notna().all() else None


def _compared(
    measure: str,
    each: Fitted,
    values: Mapping[str, pd.Series[Any]],
    method: str,
    common: Mapping[str, Any],
    p: float | None,
) -> list[Finding]:
    """A mean over questions, and its paired differences from the baselines'."""
    if each.method not in values or values[each.method].empty:
        return []
    own = values[each.method]
    made = mean_finding(measure, own, subject=each.method, method=method, **common)
    found = [_with_p(made, p)]
    for name in BASELINES if not each.baseline else ():
        other = values.get(name, pd.Series(dtype=float)).reindex(own.index).dropna()
        if name == each.method or other.empty:
            continue
        less = own.reindex(other.index) - other
        found.append(
            mean_finding(
                measure,
                less,
                subject=each.method,
                baseline=name,
                method=f"{method}; paired",
                **common,
            )
        )
    return found


def _with_p(made: Finding, p: float | None) -> Finding:
    return replace(made, p=p)


def _shares(each: Fitted, rows: pd.DataFrame, common: Mapping[str, Any]) -> list[Finding]:
    """Shares of the method's features, and the mean R² of those that are not dead; no intervals,
    as the features are all there are."""
    live = rows[~rows["dead"].fillna(False).astype(bool)]
    shown = {
        "features_that_tell": (
            rows["tells"],
            f"share of features with q up to {LEVEL:g} (Benjamini-Hochberg) on held-out questions",
        ),
        "token_r2": (
            live["token_r2"],
            "mean R² over features of a ridge on the token counts of a state's piece, cross-fitted "
            "over questions",
        ),
        "fires_injected": (
            live["fires_injected"],
            "share of features that fire on their tokens in plain text more than on random tokens, "
            f"q up to {LEVEL:g}",
        ),
    }
    if each.made.fires:
        shown["dead_features"] = rows["dead"], "share of features that are off in all states"
    found = []
    for measure, (column, how) in shown.items():
        known = column.dropna()
        if known.empty:
            continue
        found.append(
            Finding(
                measure=measure,
                subject=each.method,
                estimate=float(known.astype(float).mean()),
                low=None,
                high=None,
                n_questions=int(rows["n_questions"].iloc[0]),
                n_traces=common["n_traces"],
                n_excluded=len(column) - len(known),
                method=f"{how}; of {len(known)} features",
                seed=common["seed"],
            )
        )
    return found


def _concept(
    method: str, fitted: Sequence[Fitted], own: LabelledTraces, states: States, seed: int
) -> Finding:
    (each,) = (one for one in fitted if one.method == method)
    score = own.scores(each.values, states.rows)[:, 0]
    return mean_finding(
        "concept_auroc",
        auroc_per_question(own.y, score, own.questions).to_numpy(float),
        subject=f"{method} of {own.name}",
        n_traces=len(own.y),
        n_excluded=own.n_excluded,
        method="within-question AUROC of the concept's own labels on held-out questions",
        seed=seed,
    )


def _tcav(method: str, test: Sensitivity, seed: int) -> Finding:
    known = not np.isnan(test.score)
    return Finding(
        measure="tcav",
        subject=method,
        estimate=test.score if known else None,
        low=test.low if known else None,
        high=test.high if known else None,
        p=test.p if known else None,
        n_questions=test.n_questions,
        n_traces=test.n_traces,
        n_excluded=0,
        method="share of held-out traces in which the concept makes the target's answer more "
        f"likely; the mean derivative is {test.derivative:.3g} nats a unit; p: that of random "
        f"concepts, up to {test.random:.3g} in 97.5% of them",
        seed=seed,
    )
