"""Probes, layer by layer: a target's probes by layer and position, beside shuffled labels.

Two figures a target that is a class, those of notebooks: maps of AUROC, and lines against the
layer. Targets that are numbers are a table of R² and rank correlation. A column that no cell has is
not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis import figures
from analysis.figures.layers import BASELINES
from analysis.figures.tables import place_of
from analysis.figures.text import chance, decimal, interval, number
from analysis.findings import verdict_claim
from analysis.page.cards import sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.probes.card import probe_card
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Probes", "Replay", "Target", "probe_targets", "regression_rows"]

MEASURES = {
    "auroc": ("Pooled", "low", "high", "control", ""),
    "within_question_auroc": ("Within", "within_low", "within_high", "control_within", "_within"),
}
"""Measure to its head, its interval's ends, its control, and what its baselines' names end in."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What stands around the figures of one target."""

    target: str
    """What the probes are fitted to."""
    n_questions: int
    """Questions at most."""
    n_traces: int
    """Traces at most."""
    n_excluded: int
    """Traces left out at most."""
    n_within: int
    """Questions with both classes at most."""
    method: str
    """How the numbers were computed."""
    verdict: str
    """Whether it is diagnostic or causal; empty where nothing was steered yet."""
    prompt_end: bool
    """Whether the prompt's end was probed."""
    heads: list[str]
    """Of `rows`."""
    rows: list[list[str]]
    """One a layer and position."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What the section shows."""

    targets: list[Target]
    """Targets that are a class, `correct` first."""
    regressions: list[list[str]]
    """Rows of targets that are numbers."""
    replay: Replay | None
    """How far replayed log-probabilities lie from the stored ones, where there are any."""


def probes_data(evidence: Evidence) -> Probes:
    """Targets, rows and gaps."""
    return Probes(
        targets=probe_targets(evidence.get("probes"), evidence.get("probe_verdicts")),
        regressions=regression_rows(evidence),
        replay=replay(evidence),
    )


def probe_figures(run: Run) -> dict[str, Figure]:
    """By `TARGET` the maps, by `TARGET/MEASURE` the lines."""
    found = {}
    for name in _targets(run.table("probes")):
        found[name] = figures.probes(run, name)
        found |= {f"{name}/{each}": figures.probe_lines(run, name, each) for each in MEASURES}
    return found


def probe_targets(probes: pd.DataFrame, verdicts: pd.DataFrame | None = None) -> list[Target]:
    """Those that are a class, from the table `probes`.

    Args:
        verdicts: the table `probe_verdicts`, where it is there.
    """
    known = {} if verdicts is None else {row["target"]: row for row in verdicts.to_dict("records")}
    return [
        _target(name, probes[probes["target"] == name], known.get(name))
        for name in _targets(probes)
    ]


def _targets(probes: pd.DataFrame) -> list[str]:
    if probes.empty:
        return []
    named = probes.loc[~_numeric(probes), "target"].astype(str).unique()
    return sorted(named, key=lambda name: (name != "correct", name))


def _target(name: str, probes: pd.DataFrame, verdict: Mapping[Any, Any] | None) -> Target:
    heads, rows = _table(probes.sort_values("layer"))
    counts = ("n_questions", "n_traces", "n_excluded", "n_within")
    return Target(
        target=name,
        **{count: int(probes[count].max()) for count in counts},
        method=str(probes["method"].iloc[0]),
        verdict="" if verdict is None else _verdict(verdict),
        prompt_end=bool((probes["position"] == "prompt_end").any()),
        heads=heads,
        rows=rows,
    )


def _verdict(row: Mapping[Any, Any]) -> str:
    """The verdict with the difference to the random directions; without one where nothing was
    steered."""
    less = number(row["difference"])
    if less is None:
        return f"{verdict_claim(row)}."
    ends = interval(number(row["difference_low"]), number(row["difference_high"]), decimal)
    p = chance(number(row["p"]))
    return f"{verdict_claim(row)}; difference {decimal(less)} ({ends}), p {p}."


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


def _table(probes: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and rows, without the columns that no cell has."""
    columns: list[tuple[str, str]] = []
    for estimate, (title, low, _, control, suffix) in MEASURES.items():
        columns += [(title, estimate), ("95% interval", low), ("Shuffled", control)]
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


section(
    folder=__name__,
    name="probes",
    title="Probes, layer by layer",
    navigation="Probe",
    order=80,
    reads=["probes"],
    downloads=["probes", "probe_scores", "logprob_gaps"],
    data=probes_data,
    figure=probe_figures,
    cards=((30, probe_card),),
)
