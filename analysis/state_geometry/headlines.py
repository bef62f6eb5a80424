"""The table `findings_geometry`: the numbers of one place, each beside its control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings import as_table, mean_finding
from analysis.state_geometry.dimension import METHOD
from analysis.state_geometry.trajectories import Gap
from cot.types import Finding

__all__ = ["findings"]

CONTROLS = ("null_mean", "null_high")
CKA = (
    "debiased linear CKA of a question's mean right and mean wrong state, over questions with both"
)
GAP = (
    "squared distance between the mean right and the mean wrong trajectory over their spread; "
    "unbiased: 0 is chance; 95% jackknife over questions; null: labels shuffled within "
)
Controls = dict[str, float]


def findings(
    tables: Mapping[str, pd.DataFrame],
    gaps: Mapping[str, Gap],
    place: tuple[int, str],
    *,
    n_traces: int,
    seed: int,
) -> pd.DataFrame:
    """The table `findings_geometry`; with p, null_mean and null_high (95th percentile) where
    there is a control.

    Args:
        tables: `hidden_clusters`, `dimension` and `similarity`.
        gaps: what the labels were shuffled within, to the gap.
        place: layer and position that the headlines are about; the gaps are at its layer.
        n_traces: of the run.
    """
    here = {
        name: table[(table["layer"] == place[0]) & (table["position"] == place[1])]
        for name, table in tables.items()
    }
    found = [_clusters(here["hidden_clusters"], place, n_traces, seed)]
    controls: list[Controls] = [{}]
    for finding, control in (
        _dimension(here["dimension"], place, n_traces, seed),
        *_right_wrong(here["similarity"], place, n_traces, seed),
        *(_gap(within, gap, place[0], n_traces, seed) for within, gap in gaps.items()),
    ):
        found.append(finding)
        controls.append(control)
    extra = {name: [control.get(name, np.nan) for control in controls] for name in CONTROLS}
    return as_table("geometry", found, **extra)


def _clusters(clusters: pd.DataFrame, place: tuple[int, str], n_traces: int, seed: int) -> Finding:
    return mean_finding(
        "hidden_clusters_per_question",
        clusters.groupby("question_id", sort=False)["cluster"].nunique(),
        n_traces=len(clusters),
        n_excluded=n_traces - len(clusters),
        method=f"mean number of clusters of states at {_named(place)}, one threshold for the run; "
        "95% bootstrap over questions; excluded: traces without a state there, or beyond the "
        "log-probability gap",
        seed=seed,
    )


def _dimension(
    table: pd.DataFrame, place: tuple[int, str], n_traces: int, seed: int
) -> tuple[Finding, Controls]:
    row = table.iloc[0].to_dict() if len(table) else {}
    n = int(row.get("n", 0))
    finding = Finding(
        measure="intrinsic_dimension",
        estimate=_known(row.get("dimension")),
        low=_known(row.get("low")),
        high=_known(row.get("high")),
        n_questions=int(row.get("n_questions", 0)),
        n_traces=n,
        n_excluded=n_traces - n,
        method=f"{METHOD}, at {_named(place)}; 95% bootstrap over questions, neighbours held; "
        f"{row.get('n_duplicates', 0)} states that equal another's excluded"
        if row
        else "not asked for",
        seed=seed,
    )
    return finding, {}


def _right_wrong(
    table: pd.DataFrame, place: tuple[int, str], n_traces: int, seed: int
) -> list[tuple[Finding, Controls]]:
    rows = table[(table["what"] == "right_wrong") & (table["kind"] == "cka")].to_dict("records")
    row = rows[0] if rows else {}
    counts: dict[str, Any] = {"n_questions": int(row.get("n", 0)), "seed": seed}
    counts |= {"n_traces": int(row.get("n_traces", 0))}
    counts |= {"n_excluded": n_traces - counts["n_traces"]}
    value, low, high = (row.get(name, np.nan) for name in ("value", "low", "high"))
    chance = row.get("shuffled_mean", np.nan)
    basis = f"{CKA}, at {_named(place)}; 95% jackknife over questions"
    cka = Finding(
        measure="right_wrong_cka",
        estimate=_known(value),
        low=_known(low),
        high=_known(high),
        p=_known(row.get("p_paired")),
        method=f"{basis}; null: questions paired at random",
        **counts,
    )
    lost = Finding(
        measure="right_wrong_cka_loss",
        estimate=_known(chance - value),
        low=_known(chance - high),
        high=_known(chance - low),
        p=_known(row.get("p")),
        method=f"how far below its mean with labels shuffled within questions lies the {basis}",
        **counts,
    )
    paired = {name: row.get(name, np.nan) for name in ("null_mean", "null_high")}
    shuffled = {"null_mean": chance - chance, "null_high": chance - row.get("shuffled_low", np.nan)}
    return [(cka, paired), (lost, shuffled)]


def _gap(within: str, gap: Gap, layer: int, n_traces: int, seed: int) -> tuple[Finding, Controls]:
    known = not np.isnan(gap.value)
    finding = Finding(
        measure="right_wrong_gap" if within == "questions" else "right_wrong_gap_same_length",
        estimate=_known(gap.value),
        low=_known(gap.low),
        high=_known(gap.high),
        p=_known(gap.p),
        n_questions=gap.n_questions,
        n_traces=gap.n_traces,
        n_excluded=n_traces - gap.n_traces,
        method=f"layer {layer}: {GAP}{within}"
        + ("" if known else "; undefined: fewer than two questions to compare at a step"),
        seed=seed,
    )
    return finding, {name: getattr(gap, name) for name in CONTROLS}


def _named(place: tuple[int, str]) -> str:
    return f"layer {place[0]}, {place[1]}"


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
