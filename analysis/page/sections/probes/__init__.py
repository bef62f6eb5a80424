"""What the probe figures draw: per target, heat maps of AUROC over layer and position.

Pooled and within-question AUROC, each beside what shuffled labels give on the same scale; then the
same against the layer, with intervals and the length baseline. Targets that are numbers are a table
of R² and rank correlation. A column that no cell has is not shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.tables import place_of
from analysis.figures.text import decimal, interval, number
from analysis.page.cards import sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.probes.card import BASELINES, baselines, probe_card

__all__ = ["BASELINES", "baselines", "place_of", "probe_figures", "regression_rows"]

MEASURES = {
    "pooled": ("auroc", "low", "high", "control", "length"),
    "within": (
        "within_question_auroc",
        "within_low",
        "within_high",
        "control_within",
        "length_within",
    ),
}
"""Estimate, interval, shuffled control and length baseline, of each measure."""
OTHERS = {
    "auprc": "AUPRC",
    "brier": "Brier",
    "selectivity": "Selectivity",
    "accuracy": "Accuracy",
    "chance": "Its chance",
    "on_wrong_majority": "Within, majority wrong",
    "n_wrong_majority": "n of these",
}
"""Columns that stand in the table alone."""


def probe_figures(evidence: Evidence) -> list[dict[str, Any]]:
    """One figure a target that is a class, `correct` first."""
    probes = evidence.get("probes")
    probes = probes[~_numeric(probes)]
    if probes.empty:
        return []
    targets = sorted(probes["target"].unique(), key=lambda name: (name != "correct", name))
    return [_figure(target, probes[probes["target"] == target]) for target in targets]


def regression_rows(evidence: Evidence) -> list[list[str]]:
    """Of targets that are numbers: target, position, layer, R², its interval, its control,
    Spearman, traces."""
    probes = evidence.get("probes")
    return [
        [
            *(str(row["target"]), str(row["position"]), _layer(row)),
            decimal(number(row["r2"])),
            interval(number(row.get("r2_low")), number(row.get("r2_high")), decimal),
            decimal(number(row["control_r2"])),
            decimal(number(row["spearman"])),
            str(row["n_traces"]),
        ]
        for row in probes[_numeric(probes)].to_dict("records")
    ]


def _numeric(probes: pd.DataFrame) -> pd.Series[bool]:
    """Whether a row's target is a number."""
    if "r2" not in probes:
        return pd.Series(False, index=probes.index)
    return probes["target"].isin(probes.loc[probes["r2"].notna(), "target"])


def _figure(target: str, probes: pd.DataFrame) -> dict[str, Any]:
    probes = probes.sort_values("layer")
    positions = sorted(probes["position"].unique(), key=place_of)
    layers = [int(layer) for layer in sorted(probes["layer"].unique())]
    shown = [name for names in MEASURES.values() for name in names]
    values = [value for name in shown for value in _numbers(probes[name]) if value is not None]
    maps = [names[i] for names in MEASURES.values() for i in (0, 3)]
    drawn = [value for name in maps for value in _numbers(probes[name]) if value is not None]
    heads, rows = _table(probes)
    return {
        "target": target,
        "layers": layers,
        "positions": positions,
        "maps": {measure: _map(probes, measure, layers, positions) for measure in MEASURES},
        "reach": max([0.1, *(abs(value - 0.5) for value in drawn)]),
        "range": [math.floor(min([0.4, *values]) * 20) / 20, 1.0],
        "measures": {
            measure: [
                _panel(position, probes[probes["position"] == position], names)
                for position in positions
            ]
            for measure, names in MEASURES.items()
        },
        "n_questions": int(probes["n_questions"].max()),
        "n_traces": int(probes["n_traces"].max()),
        "n_excluded": int(probes["n_excluded"].max()),
        "n_within": int(probes["n_within"].max()),
        "method": str(probes["method"].iloc[0]),
        "prompt_end": "prompt_end" in positions,
        "heads": heads,
        "rows": rows,
    }


def _map(
    probes: pd.DataFrame, measure: str, layers: list[int], positions: list[str]
) -> list[list[dict[str, Any] | None]]:
    """Cells [layer][position]: value, control, whether it is the best, and its numbers in words."""
    estimate, _, _, control, _ = MEASURES[measure]
    cells = {(int(row["layer"]), row["position"]): row for row in probes.to_dict("records")}

    def cell(layer: int, position: str) -> dict[str, Any] | None:
        row = cells.get((layer, position))
        if row is None:
            return None
        return {
            "value": number(row[estimate]),
            "control": number(row[control]),
            "best": bool(row["best"]),
            "words": _words(row, measure),
        }

    return [[cell(layer, position) for position in positions] for layer in layers]


def _words(row: dict[Any, Any], measure: str) -> str:
    estimate, low, high, control, _ = MEASURES[measure]
    numbers = [
        f"{decimal(number(row[estimate]))} "
        f"({interval(number(row[low]), number(row[high]), decimal)})",
        f"labels shuffled {decimal(number(row[control]))}",
    ]
    known = baselines(row, measure == "within")
    numbers += [f"{label} {decimal(value)}" for label, value in known.items()]
    n = f"{row['n_within']} questions" if measure == "within" else f"{row['n_traces']} traces"
    return f"Layer {row['layer']} at {row['position']}: {', '.join(numbers)}; {n}"


def _panel(position: str, rows: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    keys = ("y", "low", "high", "control", "length")
    best = rows.loc[rows["best"].astype(bool), "layer"]
    return {
        "position": position,
        "layer": [int(layer) for layer in rows["layer"]],
        "best": int(best.iloc[0]) if len(best) else None,
        **{key: _numbers(rows[name]) for key, name in zip(keys, names, strict=True)},
    }


def _table(probes: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and rows, without the columns that no cell has."""
    columns: list[tuple[str, str]] = []
    titles = {"pooled": "Pooled", "within": "Within"}
    for measure, (estimate, low, _, control, _) in MEASURES.items():
        suffix = "_within" if measure == "within" else ""
        columns += [(titles[measure], estimate), ("95% interval", low), ("Shuffled", control)]
        columns += [(sentence(label), f"{name}{suffix}") for name, label in BASELINES.items()]
    columns += [(label, name) for name, label in OTHERS.items()]
    ends = {"low": "high", "within_low": "within_high"}
    columns = [(head, name) for head, name in columns if name in probes and _known(probes[name])]
    rows = []
    places = probes["position"].map(place_of)
    for row in probes.iloc[places.argsort(kind="stable")].to_dict("records"):
        cells = [str(row["position"]), _layer(row)]
        for _, name in columns:
            if name in ends:
                cells.append(interval(number(row[name]), number(row[ends[name]]), decimal))
            elif name.startswith("n_"):
                cells.append(str(int(row[name])))
            else:
                cells.append(decimal(number(row[name])))
        rows.append([*cells, str(row["n_traces"]), str(row["n_within"])])
    heads = [head for head, _ in columns]
    return ["Position", "Layer", *heads, "Traces", "Questions within"], rows


def _known(column: pd.Series[Any]) -> bool:
    return bool(column.notna().any())


def _layer(row: dict[Any, Any]) -> str:
    return str(row["layer"]) + (" ★" if row["best"] else "")


def _numbers(column: pd.Series[Any]) -> list[float | None]:
    return [number(value) for value in column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What the section shows."""

    figures: list[dict[str, Any]]
    """One a target that is a class."""
    regressions: list[list[str]]
    """Rows of targets that are numbers."""
    replay: Replay | None
    """How far replayed log-probabilities lie from the stored ones, where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Gaps between the log-probabilities of teacher forcing and those stored when sampling."""

    median: float | None
    """Of the traces' largest gaps, nats."""
    worst: float | None
    """The largest of all, nats."""
    n: int
    """Traces with stored log-probabilities."""
    without: int
    """Traces without."""


def replay(evidence: Evidence) -> Replay | None:
    """The gaps, or None where nothing was captured."""
    gaps = evidence.get("logprob_gaps")
    if not len(gaps):
        return None
    known = gaps["max_logprob_gap"].dropna()
    return Replay(
        median=number(known.median()) if len(known) else None,
        worst=number(known.max()) if len(known) else None,
        n=len(known),
        without=len(gaps) - len(known),
    )


def probes_data(evidence: Evidence) -> Probes:
    """Figures, rows and gaps."""
    return Probes(
        figures=probe_figures(evidence),
        regressions=regression_rows(evidence),
        replay=replay(evidence),
    )


section(
    folder=__name__,
    name="probes",
    title="What each layer knows",
    navigation="Probe",
    order=80,
    reads=["probes"],
    downloads=["probes", "probe_scores", "logprob_gaps"],
    data=probes_data,
    plots=lambda evidence: len(evidence.get("probes")) > 0,
    sends=lambda data: data.figures,
    cards=((30, probe_card),),
)
