"""The tables `compared_measures` and `compared_differences`, from the runs' measures.

Two runs are paired by question id: a measure's difference is over the questions to which both runs
add something. Its interval is a paired bootstrap and its p a paired exchange test
(`analysis.comparison.sums`), the same for all measures. Holm's correction counts every difference
of the table that has a p.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.measure import Key, Measure
from analysis.comparison.sums import difference, estimate, estimate_interval
from analysis.comparison.tables import as_frame
from analysis.statistics.corrections import holm

__all__ = ["Questions", "differences_table", "measures_table"]

log = logging.getLogger("cot")
LEAST_SWAPS = 9999
SWAPS_A_DIFFERENCE = 20
"""So that 1 / (swaps + 1), the least p, is at most .05 after Holm's correction."""
Questions = Mapping[str, "pd.Index[Any]"]
"""Run to the ids of all of its questions."""


def measures_table(
    measures: Mapping[str, Mapping[Key, Measure]], questions: Questions, seed: int
) -> pd.DataFrame:
    """One row a run and measure.

    Args:
        measures: run to its measures.
        questions: run to all of its questions.
        seed: of the bootstrap.
    """
    rows = []
    for run, mine in measures.items():
        for each in mine.values():
            row = {"run": run, **_about(each), **each.stated, "method": each.method}
            if each.rows is not None:
                n = each.rows.index.nunique()
                low, high = estimate_interval(each.statistic, each.rows, seed)
                traces = each.n_traces
                row |= {
                    "estimate": estimate(each.statistic, each.rows) if n else np.nan,
                    "low": low,
                    "high": high,
                    "n_questions": n,
                    "n_traces": None
                    if traces is None
                    else int(traces.reindex(each.rows.index.unique()).fillna(0).sum()),
                    "n_excluded": len(questions[run]) - n,
                    "method": f"{each.method}; 95% bootstrap over questions",
                    "seed": seed,
                }
            rows.append(row)
    return as_frame("compared_measures", rows)


def differences_table(
    measures: Mapping[str, Mapping[Key, Measure]],
    questions: Questions,
    against: str,
    n_settings: Mapping[str, int],
    seed: int,
) -> pd.DataFrame:
    """One row a run and measure, of all runs but the one they are compared with.

    Args:
        measures: run to its measures.
        questions: run to all of its questions.
        against: the run that the others are compared with.
        n_settings: run to the number of settings in which it differs from that.
        seed: of the bootstrap and the swaps.
    """
    base = measures[against]
    pairs = [
        (run, mine[key], base[key])
        for run, mine in measures.items()
        if run != against
        for key in mine
        if key in base
    ]
    paired = sum(len(_common(one, other)) > 0 for _, one, other in pairs)
    swaps = max(LEAST_SWAPS, SWAPS_A_DIFFERENCE * paired - 1)
    rows = []
    for run, one, other in pairs:
        common = _common(one, other)
        row: dict[str, Any] = {
            "run": run,
            "against": against,
            **_about(one),
            "n_settings": n_settings[run],
            "method": _method(one, other, swaps),
        }
        if one.rows is not None and other.rows is not None:
            if len(common):
                rows_of = [each.loc[each.index.isin(common)] for each in (one.rows, other.rows)]
                # in one order, so that which run comes first changes nothing but the sign
                rows_of = [each.sort_index(kind="stable") for each in rows_of]
                found = difference(one.statistic, *rows_of, swaps=swaps, seed=seed)
                row |= {
                    "value": found.one,
                    "other": found.other,
                    "estimate": found.one - found.other,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p,
                }
            every = questions[run].union(questions[against])
            row |= {
                "n_questions": len(common),
                "n_excluded": len(every) - len(common),
                "seed": seed,
            }
        else:
            values = [_stated(each) for each in (one, other)]
            row |= {"value": values[0], "other": values[1], "estimate": values[0] - values[1]}
        rows.append(row)
    table = as_frame("compared_differences", rows)
    table["p_holm"] = holm(table["p"].tolist())
    table["n_comparisons"] = pd.array([int(table["p"].notna().sum())] * len(table), dtype="Int64")
    return table


def _about(measure: Measure) -> dict[str, Any]:
    names = ("family", "measure", "subject", "n_samples", "unit")
    return {name: getattr(measure, name) for name in names}


def _common(one: Measure, other: Measure) -> pd.Index[Any]:
    if one.rows is None or other.rows is None:
        return pd.Index([])
    return one.rows.index.unique().intersection(other.rows.index.unique())


def _stated(measure: Measure) -> float:
    if measure.rows is None:
        return float(measure.stated["estimate"])
    return estimate(measure.statistic, measure.rows)


def _method(one: Measure, other: Measure, swaps: int) -> str:
    if one.rows is None or other.rows is None:
        return f"{one.method}; each run over its own questions"
    how = "" if one.method == other.method else f" ({other.method} in the other)"
    return (
        f"{one.method}{how}; difference over the common questions; 95% paired bootstrap; p: paired "
        f"exchange test, {swaps:,} swaps; p_holm: Holm over the table"
    )
