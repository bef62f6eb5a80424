"""Cells: what one change does, question by question, beside each of its controls.

A *cell* is a method and measure at one layer, position and strength. Within a question, a trace's
rows (its steps, a control's draws) are averaged, then the traces. Effect and control are paired
trace by trace. Of the tables `interventions` and `interventions_sampled`; what is made of cells is
in effects.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.interventions.contract import Intervention

__all__ = ["CELL", "CONSTRUCTED", "Cell", "Paired", "cells_of", "cells_of_samples"]

Floats = NDArray[np.float64]
CELL = ("method", "target", "measure", "layer", "position", "strength")
TESTED = {"toward_donor", "indirect", "slope", "log_odds", "accuracy"}
"""Measures that are tests of whether a change moves the answer."""
CONSTRUCTED = "an effect by construction: no test"
CANCELS = "a span is of the other steps, so that over all steps the difference cancels: no test"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """A cell beside one control, one value a question, shape [question] each."""

    control: str
    """Which control; empty where there is none."""
    questions: tuple[str, ...]
    """Those of the traces that have both; without a control, of all."""
    n_traces: NDArray[np.int64]
    """How many such traces each has."""
    own: Floats
    """The change's effect over these traces."""
    other: Floats
    """The control's."""
    gap: Floats
    """What they are shares of; ones where they are no shares."""
    draws: Floats
    """The control's mean over questions by draw, as effects are given, shape [draw]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """What one change does, and its controls."""

    about: Mapping[str, Any]
    """The values of CELL."""
    paired: Sequence[Paired]
    """Beside each control; and alone, where there is none or not all traces have it."""
    fixed: str
    """Why it is no test; empty where it may be one."""

    @property
    def tested(self) -> bool:
        """Whether it is a test of the change."""
        strength = self.about["measure"] == "log_odds" and pd.notna(self.about["strength"])
        tested = self.about["measure"] in TESTED and not self.fixed and not strength
        return tested and bool(self.controlled)

    @property
    def controlled(self) -> list[Paired]:
        """Beside its controls."""
        return [one for one in self.paired if one.control]


def cells_of(rows: pd.DataFrame, methods: Mapping[str, Intervention], n_blocks: int) -> list[Cell]:
    """The cells of the table `interventions`; of a direction's strengths, their slope too."""
    if rows.empty:
        return []
    rows = pd.concat([rows, _slopes(rows), _ends(rows)], ignore_index=True)
    cells = []
    for key, some in rows.groupby(list(CELL), sort=False, dropna=False):
        about = dict(zip(CELL, key, strict=True))
        method = methods[str(about["method"])]
        share = method.share and about["measure"] != "total"
        last = pd.notna(about["layer"]) and about["layer"] == n_blocks
        at_answer = about["position"] in ("pre_answer", "cue")
        fixed = CONSTRUCTED if method.trivial and bool(last) and at_answer else ""
        if about["position"] == "step":
            fixed = CANCELS
        cells.append(_cell(about, some, share=share, fixed=fixed))
    return cells


def _ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Of hidden steps, each trace's first and last one; of traces with two steps or more."""
    steps = rows[rows["position"] == "step"]
    of_trace = steps.groupby(["method", "question_id", "sample_index"], sort=False)["step"]
    first, last = of_trace.transform("min"), of_trace.transform("max")
    parts = [
        steps[(steps["step"] == end) & (first < last)].assign(position=name)
        for name, end in (("first_step", first), ("last_step", last))
    ]
    return pd.concat(parts)


def _slopes(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each direction and trace, effect a unit of strength: Σ c·e / Σ c², least squares through
    the origin."""
    dosed = rows[rows["strength"].notna()]
    if dosed.empty:
        return rows.head(0)
    keys = [name for name in rows.columns if name not in ("strength", "after", "effect")]
    weighed = dosed.assign(above=dosed["strength"] * dosed["effect"], below=dosed["strength"] ** 2)
    sums = weighed.groupby(keys, sort=False, dropna=False)[["above", "below"]].sum().reset_index()
    slopes = sums.assign(measure="slope", effect=sums["above"] / sums["below"])
    return slopes.reindex(columns=rows.columns).astype(rows.dtypes)


def _cell(about: Mapping[str, Any], rows: pd.DataFrame, *, share: bool, fixed: str) -> Cell:
    rows = rows.assign(gap=rows["gap"] if share else 1.0, step=rows["step"].fillna(-1))
    unit = ["question_id", "sample_index", "step"]
    own = rows[rows["control"] == ""].groupby(unit, sort=False)[["effect", "gap"]].mean()
    alone = _per_question(own)
    paired = []
    for control, some in rows[rows["control"] != ""].groupby("control", sort=False):
        other = some.groupby(unit, sort=False)["effect"].mean().rename("other")
        both = _per_question(own.join(other, how="inner"))
        by_draw = some.groupby(["draw", *unit])[["effect", "gap"]].mean()
        for names in (["draw", *unit[:2]], ["draw", unit[0]]):
            by_draw = by_draw.groupby(names).mean()
        sums = by_draw.groupby("draw").sum()
        paired.append(_paired(str(control), both, (sums["effect"] / sums["gap"]).to_numpy(float)))
    n_all = alone["n_traces"].sum()
    if any(one.n_traces.sum() < n_all for one in paired) or not paired:
        paired.append(_paired("", alone.assign(other=np.nan), np.zeros(0)))
    return Cell(about=about, paired=paired, fixed=fixed)


def _paired(control: str, questions: pd.DataFrame, draws: Floats) -> Paired:
    return Paired(
        control=control,
        questions=tuple(questions.index),
        n_traces=questions["n_traces"].to_numpy(np.int64),
        own=questions["effect"].to_numpy(float),
        other=questions["other"].to_numpy(float),
        gap=questions["gap"].to_numpy(float),
        draws=draws,
    )


def _per_question(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean over a question's traces of the mean over each trace's rows, and `n_traces`."""
    traces = frame.groupby(["question_id", "sample_index"], sort=False).mean()
    questions = traces.groupby("question_id", sort=False)
    return questions.mean().assign(n_traces=questions.size())


MEASURES = {
    "accuracy": "correct",
    "changed": "changed",
    "missing": "missing",
    "length": "n_tokens",
    "repetition": "repetition",
    "perplexity": "log_perplexity",
}
"""Of sampled traces: measure to the column that is compared."""
LEAST_VOTES = 3
"""Samples that a majority needs."""


def cells_of_samples(sampled: pd.DataFrame) -> list[Cell]:
    """The cells of the table `interventions_sampled`: each measure less that of the unchanged
    model's trace of the same question, number and seed."""
    if sampled.empty:
        return []
    frame = sampled.assign(
        missing=(sampled["status"] != "ok").astype(float),
        correct=sampled["correct"].astype("float64"),
        changed=(sampled["answer"].fillna("") != sampled["baseline_answer"].fillna("")) * 1.0,
        log_perplexity=np.log(sampled["perplexity"].to_numpy(float)),
    )
    key = ["question_id", "sample_index"]
    base = frame[frame["control"] == "unchanged"].set_index(key)
    changed = frame[frame["control"] != "unchanged"]
    parts = []
    for measure, column in MEASURES.items():
        before = base[column].rename("before")
        mine = changed.join(before, on=key)
        effect = mine[column].astype(float) - (0 if measure == "changed" else mine["before"])
        parts.append(mine.assign(measure=measure, effect=effect))
    if (frame.groupby([*CELL_OF_SAMPLE, "question_id"], dropna=False).size() >= LEAST_VOTES).all():
        parts.append(_majorities(changed, base))
    rows = pd.concat(parts, ignore_index=True).dropna(subset=["effect"])
    rows = rows.assign(gap=1.0, step=pd.array([pd.NA] * len(rows), "Int64"))
    return [
        _cell(dict(zip(CELL, name, strict=True)), some, share=False, fixed="")
        for name, some in rows.groupby(list(CELL), sort=False, dropna=False)
        if (some["control"] == "").any()
    ]


CELL_OF_SAMPLE = ["method", "target", "layer", "position", "strength", "control", "draw"]


def _majorities(changed: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Whether the majority of a question's samples is right, less the unchanged samples'."""

    def right(some: pd.DataFrame) -> float:
        valid = some[some["status"] == "ok"].sort_values("sample_index")
        if valid.empty or valid["correct"].isna().all():
            return np.nan
        counts = valid["answer"].value_counts(sort=False)  # in order: ties go to the first
        return float(valid.loc[valid["answer"] == counts.idxmax(), "correct"].iloc[0])

    before = {
        name: right(some) for name, some in base.reset_index().groupby("question_id", sort=False)
    }
    keys = [*CELL_OF_SAMPLE, "question_id"]
    rows = [
        {**dict(zip(keys, name, strict=True)), "effect": right(some) - before.get(name[-1], np.nan)}
        for name, some in changed.groupby(keys, sort=False, dropna=False)
    ]
    return pd.DataFrame(rows).assign(measure="majority_accuracy", sample_index=0)
