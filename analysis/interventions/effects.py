"""Effects beside their controls: means over questions, intervals, tests, verdicts.

A *cell* is what one change does: a method and measure at one layer, position and strength. Within a
question, a trace's rows (its steps, a control's draws) are averaged, then the traces. Effect and
control are paired trace by trace: a trace without the control is left out of their difference.

    effect       mean over questions; of shares, the sum of effects over the sum of gaps
    difference   effect less control. Both are of the traces that have both; where some traces lack
                 the control, a row without one has the effect over all
    p            two-sided t-test of the difference over questions (of shares, of its numerator),
                 Holm's correction over the cells of a method, measure and control

A change is *causal* where the difference to each of its controls is significant so, where the
intervals of effect and difference lie above 0 (of accuracy: on the same side of it), and where the
effect lies outside what the middle 95% of random directions do. All else is *not shown*, which an
interval says more of than the word. A slope below 0 is not shown either: a direction that is fitted
on other questions may point the other way on these.

The cell of a headline is chosen on other questions than it is reported on: each fifth of the
questions takes the layer (of sampled traces, the strength) at which the others' smallest difference
to a control is largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.interventions.cells import (
    CELL,
    CONSTRUCTED,
    Cell,
    Paired,
    cells_of,
    cells_of_samples,
)
from analysis.interventions.contract import Intervention
from analysis.interventions.directions import Direction
from analysis.interventions.erased_auroc import ErasedAuroc
from analysis.statistics import ratio_interval
from analysis.statistics.bootstrap import percentiles
from analysis.statistics.corrections import holm

__all__ = [
    "COLUMNS",
    "Head",
    "causal",
    "effects_of_erasure",
    "effects_of_rows",
    "effects_of_samples",
    "headlines",
    "heads_of",
    "last_block",
]

Floats = NDArray[np.float64]
EITHER = {"accuracy"}
"""Those that may go up or down; all else is a test in the direction that its effect is given in."""
FOLDS = 5
LEAST = 3
"""Questions that a test needs."""
ALPHA = 0.05
COLUMNS = (
    *CELL,
    *("effect", "low", "high", "control", "control_effect", "control_low", "control_high"),
    *("difference", "difference_low", "difference_high", "p", "p_holm", "band_low", "band_high"),
    *("n_questions", "n_traces", "n_excluded", "headline", "verdict", "how", "seed"),
)
TYPES = {name: "float64" for name in COLUMNS[6:19] if name != "control"}
TYPES |= {"strength": "float64", "layer": "Int64", "headline": "bool"}
TYPES |= {"n_questions": "int64", "n_traces": "int64", "n_excluded": "int64", "seed": "int64"}


# -- numbers ---------------------------------------------------------------------------------------


def effects_of_rows(
    rows: pd.DataFrame,
    methods: Mapping[str, Intervention],
    n_cases: int,
    n_blocks: int,
    seed: int,
) -> pd.DataFrame:
    """The rows of `intervention_effects` that come from forced passes, headlines included."""
    cells = cells_of(rows, methods, n_blocks)
    return _table([*_numbers(cells, n_cases, seed), *headlines(cells, "layer", n_cases, seed)])


def effects_of_samples(sampled: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows of `intervention_effects` that come from sampled traces, headlines included."""
    cells = cells_of_samples(sampled)
    n_cases = len(sampled[["question_id", "sample_index"]].drop_duplicates())
    return _table([*_numbers(cells, n_cases, seed), *headlines(cells, "strength", n_cases, seed)])


AUROCS = {
    ("auroc", "fresh"): "auroc_after",
    ("within_question_auroc", "fresh"): "within_question_auroc_after",
    ("auroc", "same"): "auroc_same_probe",
    ("within_question_auroc", "same"): "within_question_auroc_same_probe",
    ("auroc", "refitted"): "auroc_refitted_probe",
    ("within_question_auroc", "refitted"): "within_question_auroc_refitted_probe",
}
"""Of erasure: measure, and which probe reads the erased states, to the measure here."""


def effects_of_erasure(
    method: str, direction: Direction, found: Sequence[ErasedAuroc], seed: int
) -> pd.DataFrame:
    """The rows of `intervention_effects` on a probe's AUROC after erasure; its controls are the
    AUROC of the states as they are (`unchanged`) and under the controls' erasers."""
    after = {(one.measure, one.probe): one for one in found if one.states == "erased"}
    rows = []
    for one in found:
        if one.states == "erased":
            continue
        own = after[one.measure, one.probe]
        rows.append(
            {
                "method": method,
                "target": direction.target,
                "measure": AUROCS[one.measure, one.probe],
                "layer": direction.layer,
                "position": direction.position,
                "strength": np.nan,
                "effect": own.estimate,
                "low": own.low,
                "high": own.high,
                "control": one.states,
                "control_effect": one.estimate,
                "control_low": one.low,
                "control_high": one.high,
                "difference": -one.difference,
                "difference_low": -one.difference_high,
                "difference_high": -one.difference_low,
                "n_questions": one.n_questions,
                "n_traces": one.n_traces,
                "n_excluded": sum(direction.excluded.values()),
                "headline": one.probe == "fresh" and one.measure == "auroc",
                "verdict": "",
                "how": f"{direction.source}, {one.probe} probe, held-out questions",
                "seed": seed,
            }
        )
    return _table(rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(TYPES)


def _numbers(cells: Sequence[Cell], n_cases: int, seed: int) -> list[dict[str, Any]]:
    """One row a cell and control."""
    found = [
        (cell, paired, _row(cell.about, paired, n_cases, seed))
        for cell in cells
        for paired in cell.paired
    ]
    families: dict[Any, list[dict[str, Any]]] = {}
    for cell, paired, row in found:
        row["how"] = cell.fixed
        if cell.tested and paired.control:
            name = (*(str(cell.about[k]) for k in CELL[:3]), paired.control)
            families.setdefault(name, []).append(row)
    for rows in families.values():
        for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
            row["p_holm"] = p
    by_cell: dict[int, list[dict[str, Any]]] = {}
    for cell, paired, row in found:
        if cell.tested and paired.control:
            by_cell.setdefault(id(cell), []).append(row)
    for rows in by_cell.values():
        word = "causal" if all(map(causal, rows)) else "not shown"
        for row in rows:
            row["verdict"] = word
    return [row for _, _, row in found]


def _row(about: Mapping[str, Any], paired: Paired, n_cases: int, seed: int) -> dict[str, Any]:
    measure = about["measure"]
    low, high = ratio_interval(paired.own, paired.gap, seed=seed)
    n_traces = int(paired.n_traces.sum())
    row: dict[str, Any] = {
        **about,
        "measure": "recovered" if measure == "toward_donor" else measure,
        "effect": _ratio(paired.own, paired.gap),
        "low": low,
        "high": high,
        "control": paired.control,
        "n_questions": len(paired.questions),
        "n_traces": n_traces,
        "n_excluded": n_cases - n_traces,
        "headline": False,
        "verdict": "",
        "seed": seed,
        **dict.fromkeys(("p", "p_holm", "band_low", "band_high"), np.nan),
    }
    if not paired.control:
        return row
    apart = paired.own - paired.other
    for name, values in (("control", paired.other), ("difference", apart)):
        ends = ratio_interval(values, paired.gap, seed=seed)
        key = "control_effect" if name == "control" else name
        row |= {key: _ratio(values, paired.gap), f"{name}_low": ends[0], f"{name}_high": ends[1]}
    row["p"] = _p(apart)
    if paired.control == "random":
        row["band_low"], row["band_high"] = percentiles(paired.draws)
    return row


def _ratio(above: Floats, below: Floats) -> float:
    return float(above.sum() / below.sum()) if len(below) and below.sum() > 0 else np.nan


def _p(values: Floats) -> float:
    """Two-sided t-test of a mean of 0; NaN for fewer than LEAST questions."""
    from scipy.stats import ttest_1samp

    if len(values) < LEAST:
        return np.nan
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # rounding is no spread
        return 1.0 if np.abs(values).max() < 1e-9 else 0.0
    return float(ttest_1samp(values, 0.0).pvalue)


def causal(row: Mapping[str, Any]) -> bool:
    """Whether a row's effect is more than its control's: see the module."""
    more = row["difference_low"] > 0 and row["low"] > 0
    less = row["difference_high"] < 0 and row["high"] < 0
    # effects have a direction: an own answer that gains where it should lose is no sign of use
    apart = row["p_holm"] <= ALPHA and (more or (less and row["measure"] in EITHER))
    banded = row["band_low"] == row["band_low"]
    outside = not banded or not row["band_low"] <= row["effect"] <= row["band_high"]
    return bool(apart and outside)


# -- headlines -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A headline beside one control, question by question."""

    about: Mapping[str, Any]
    """The values of CELL; the layer (or strength) is the one that was chosen most often."""
    paired: Paired
    """Each question's values, of the cell that was chosen without it."""
    how: str
    """What was chosen, and how."""


def headlines(cells: Sequence[Cell], over: str, n_cases: int, seed: int) -> list[dict[str, Any]]:
    """One row a control of each method, target, measure and position, its layer (or strength)
    chosen on other questions."""
    made = []
    for heads in heads_of(cells, over, seed):
        rows = [_row(head.about, head.paired, n_cases, seed) for head in heads]
        rows = [
            {**row, "p_holm": row["p"], "headline": True, "how": head.how}
            for row, head in zip(rows, heads, strict=True)
        ]
        word = "causal" if rows and all(map(causal, rows)) else "not shown"
        made += [{**row, "verdict": word} for row in rows]
    return made


def heads_of(cells: Sequence[Cell], over: str, seed: int) -> list[list[Head]]:
    """The headlines of each method, target, measure and position, one a control."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        if cell.tested:
            names = [name for name in CELL if name != over]
            groups.setdefault(tuple(str(cell.about[name]) for name in names), []).append(cell)
    return [_heads(some, over, seed) for some in groups.values()]


def last_block(effects: pd.DataFrame) -> int:
    """The layer at which effects are there by construction, as `intervention_effects` says; -1
    where it says of none."""
    fixed = effects.loc[effects["how"] == CONSTRUCTED, "layer"]
    return int(fixed.max()) if len(fixed) else -1


def _heads(cells: Sequence[Cell], over: str, seed: int) -> list[Head]:
    names = sorted({name for cell in cells for one in cell.controlled for name in one.questions})
    order = np.random.default_rng(seed).permutation(len(names))
    n_folds = min(FOLDS, len(names)) if len(cells) > 1 else 1
    fold = {names[place]: number % n_folds for number, place in enumerate(order)}
    chosen = {number: _best(cells, fold, number, n_folds) for number in range(n_folds)}
    counts = pd.Series([cells[place].about[over] for place in chosen.values()]).value_counts()
    most = counts.index[0] if len(counts) else cells[0].about[over]  # missing in all cells
    how = "one cell, nothing was chosen"
    if n_folds > 1:
        how = f"{over} chosen on other questions, {n_folds} folds; most often {most}"
    heads = []
    for control in dict.fromkeys(one.control for cell in cells for one in cell.controlled):
        taken: dict[str, tuple[int, float, float, float]] = {}
        bands = []
        for number, place in chosen.items():
            for one in cells[place].controlled:
                if one.control != control:
                    continue
                columns = (one.n_traces, one.own, one.other, one.gap)
                values = zip(one.questions, zip(*columns, strict=True), strict=True)
                taken |= {name: each for name, each in values if fold[name] == number}
                bands.append(one.draws)
        if not taken:
            continue
        n_traces, own, other, gap = (np.array(each) for each in zip(*taken.values(), strict=True))
        shared = min(map(len, bands))
        paired = Paired(
            control=control,
            questions=tuple(taken),
            n_traces=n_traces,
            own=own,
            other=other,
            gap=gap,
            # folds may have chosen other cells: the mean of their bands' draws
            draws=np.mean([draws[:shared] for draws in bands], axis=0),
        )
        about = {**cells[0].about, over: most}
        heads.append(Head(about=about, paired=paired, how=how))
    return heads


def _best(cells: Sequence[Cell], fold: Mapping[str, int], number: int, n_folds: int) -> int:
    """The cell whose smallest difference to a control is largest, off the fold."""

    def worth(cell: Cell) -> float:
        apart = []
        for one in cell.controlled:
            kept = np.array([n_folds == 1 or fold[name] != number for name in one.questions], bool)
            found = _ratio((one.own - one.other)[kept], one.gap[kept])
            apart.append(abs(found) if cell.about["measure"] in EITHER else found)
        return min(apart) if apart and all(value == value for value in apart) else -np.inf

    return max(range(len(cells)), key=lambda place: worth(cells[place]))
