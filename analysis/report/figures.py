"""What the figures draw: numbers only. Their looks are in templates/charts.js.

The curve is accuracy against the number of samples; the probe figure is one panel a position, AUROC
against the layer, pooled and within questions, each with its shuffled-label control and the length
baseline on the same scale.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis.report.data import Evidence
from analysis.report.text import decimal, interval, number, percent, points

__all__ = ["curve_figure", "probe_figures"]

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
ORDER = ["prompt_end", "step_end", "mean", "pre_answer", "answer"]
"""Positions as they come in a trace; others follow by name."""


def curve_figure(evidence: Evidence) -> dict[str, Any] | None:
    """Series for the curve, with the greedy trace's accuracy as a line; None without a curve."""
    curve = evidence.get("curve")
    if curve.empty:
        return None
    series = [
        {"name": str(rule), **{name: _numbers(rows[name]) for name in _CURVE}}
        for rule, rows in curve.sort_values("n").groupby("rule", sort=False)
    ]
    compared = evidence.get("curve_comparison")
    series += [
        {
            "name": f"{rule} (other run)",
            "n": _numbers(rows["n"]),
            "accuracy": _numbers(rows["other"]),
            "low": [None] * len(rows),
            "high": [None] * len(rows),
        }
        for rule, rows in (compared.groupby("rule", sort=False) if len(compared) else ())
    ]
    vote = evidence.get("findings_vote")
    greedy = vote[vote["name"] == "greedy"] if len(vote) else vote
    return {
        "series": series,
        "greedy": number(greedy["estimate"].iloc[0]) if len(greedy) else None,
        "n_questions": int(curve["n_questions"].max()),
        "n_excluded": int(curve["n_excluded"].max()),
        "rows": [
            [
                str(row["rule"]),
                str(row["n"]),
                percent(number(row["accuracy"])),
                interval(number(row["low"]), number(row["high"]), percent),
                str(row["n_questions"]),
                str(row["method"]),
            ]
            for row in curve.to_dict("records")
        ],
        "other": evidence.run.provenance("curve_comparison").parameters["other"]
        if len(compared)
        else None,
        "differences": [
            [
                str(row["rule"]),
                str(row["n"]),
                percent(number(row["accuracy"])),
                percent(number(row["other"])),
                points(number(row["difference"])),
                interval(number(row["low"]), number(row["high"]), points),
                str(row["n_questions"]),
            ]
            for row in (compared.to_dict("records") if len(compared) else ())
        ],
    }


_CURVE = ["n", "accuracy", "low", "high"]


def probe_figures(evidence: Evidence) -> list[dict[str, Any]]:
    """One figure a target, `correct` first: panels for pooled and for within-question AUROC."""
    probes = evidence.get("probes")
    if probes.empty:
        return []
    targets = sorted(probes["target"].unique(), key=lambda name: (name != "correct", name))
    return [_probe_figure(target, probes[probes["target"] == target]) for target in targets]


def _probe_figure(target: str, probes: pd.DataFrame) -> dict[str, Any]:
    probes = probes.sort_values("layer")
    positions = sorted(probes["position"].unique(), key=_place)
    shown = [name for names in MEASURES.values() for name in names]
    values = [value for name in shown for value in _numbers(probes[name]) if value is not None]
    floor = min([0.4, *values])
    return {
        "target": target,
        "range": [math.floor(floor * 20) / 20, 1.0],
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
        "rows": [_row(row) for row in probes.to_dict("records")],
    }


def _panel(position: str, rows: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    keys = ("y", "low", "high", "control", "length")
    best = rows.loc[rows["best"].astype(bool), "layer"]
    return {
        "position": position,
        "layer": [int(layer) for layer in rows["layer"]],
        "best": int(best.iloc[0]) if len(best) else None,
        **{key: _numbers(rows[name]) for key, name in zip(keys, names, strict=True)},
    }


def _row(row: dict[Any, Any]) -> list[str]:
    cells = [str(row["position"]), str(row["layer"]) + (" ★" if row["best"] else "")]
    for estimate, low, high, control, length in MEASURES.values():
        cells.append(decimal(number(row[estimate])))
        cells.append(interval(number(row[low]), number(row[high]), decimal))
        cells += [decimal(number(row[control])), decimal(number(row[length]))]
    return [*cells, str(row["n_traces"]), str(row["n_within"])]


def _place(position: str) -> tuple[int, str]:
    return (ORDER.index(position) if position in ORDER else len(ORDER), position)


def _numbers(column: pd.Series[Any]) -> list[float | None]:
    return [number(value) for value in column]
