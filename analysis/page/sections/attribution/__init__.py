"""Which step carries the answer? Attributions, whether they can be believed, and one trace's text
shaded by them beside knock-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis import figures
from analysis.attribution import load_attribution
from analysis.figures.text import decimal, interval, number, percent
from analysis.page.cards import Show
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.attribution.shaded import ShadedTrace, n_traces, shaded_traces
from cot.errors import InputError
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Attributions", "Method", "attribution_data", "attribution_figures"]

RANKS = ("knockout", "resampling", "second_seed", "randomised")
DELETION = "Deletion, nats"
COLUMNS = (
    "Completeness gap",
    DELETION,
    "Insertion, nats",
    "Ranks as knock-out",
    "Ranks as resampling",
    "Ranks as a second seed",
    "Ranks under random weights",
)
"""Of a method's numbers."""
PARTS = ("exemplars", "question", "instruction", "prompt", "step", "answer_cue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method's row: each number with its interval, a dash where it isn't known."""

    name: str
    """As typed."""
    does: str
    """What it does; empty for a method that isn't there any more."""
    numbers: list[tuple[str, str, str]]
    """Estimate, interval and a remark, of the section's columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributions:
    """What the section shows."""

    methods: list[Method]
    """In the order of the table."""
    columns: list[str]
    """Those of COLUMNS of which some method has a number."""
    missing: list[str]
    """The others."""
    parts: list[list[str]]
    """Method, part, mean, interval, questions, traces."""
    findings: list[list[str]]
    """Every finding, with how it was computed."""
    checked: bool
    """Some rank correlation is drawn."""
    traces: list[ShadedTrace]
    """Traces whose text is shaded."""
    n_traces: int
    """Traces with an attribution, those included that the page doesn't carry."""


def attribution_data(evidence: Evidence) -> Attributions:
    """Numbers and traces."""
    values, findings = evidence.get("attributions"), evidence.get("findings_attribute")
    names = list(dict.fromkeys(values["method"])) if len(values) else []
    cells = {name: _numbers(name, findings) for name in names}
    known = [column for column in COLUMNS if any(each[column][0] != "–" for each in cells.values())]
    return Attributions(
        methods=[
            Method(name=name, does=_does(name), numbers=[cells[name][column] for column in known])
            for name in names
        ],
        columns=known,
        missing=[column for column in COLUMNS if column not in known],
        parts=[
            [name, part.replace("_", " "), *_cells(_find(findings, "value", f"{name} × {part}"))]
            for name in names
            for part in PARTS
            if _find(findings, "value", f"{name} × {part}") is not None
        ],
        findings=_all(findings),
        checked=_drawn(findings),
        traces=shaded_traces(evidence),
        n_traces=n_traces(evidence),
    )


def _does(name: str) -> str:
    try:
        doc = load_attribution(name).__doc__ or ""
    except InputError:  # a plug-in that is not installed here
        return ""
    return " ".join(doc.split("\n\n")[0].split())


def _numbers(name: str, findings: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """Estimate, interval and a remark of each of COLUMNS."""
    gap = _find(findings, "gap", name)
    tested = [_find(findings, each, name, "random_step") for each in ("deletion", "insertion")]
    ranks = [_find(findings, "spearman", f"{name} × {other}") for other in RANKS]
    shown = [_shown(gap, percent), *(_shown(each, decimal) for each in (*tested, *ranks))]
    deletion = tested[0]
    built = deletion is not None and "by construction" in str(deletion["method"])
    return {
        column: (*pair, "by construction" if built and column == DELETION else "")
        for column, pair in zip(COLUMNS, shown, strict=True)
    }


def _find(
    findings: pd.DataFrame, measure: str, subject: str, baseline: str = ""
) -> pd.Series | None:
    if findings.empty:
        return None
    same = (findings["measure"] == measure) & (findings["subject"] == subject)
    rows = findings[same & (findings["baseline"] == baseline)]
    return rows.iloc[0] if len(rows) else None


def _shown(row: pd.Series | None, show: Show) -> tuple[str, str]:
    """Estimate and interval; a dash and nothing where it isn't known."""
    if row is None or number(row["estimate"]) is None:
        return "–", ""
    return show(number(row["estimate"])), interval(number(row["low"]), number(row["high"]), show)


def _cells(row: pd.Series | None) -> list[str]:
    assert row is not None
    ends = interval(number(row["low"]), number(row["high"]), decimal)
    return [decimal(number(row["estimate"])), ends, str(row["n_questions"]), str(row["n_traces"])]


def _all(findings: pd.DataFrame) -> list[list[str]]:
    return [
        [
            str(row["measure"]),
            str(row["subject"]),
            str(row["baseline"]) or "–",
            decimal(number(row["estimate"])),
            interval(number(row["low"]), number(row["high"]), decimal),
            decimal(number(row["p"])),
            *(str(row[name]) for name in ("n_questions", "n_traces", "n_excluded", "method")),
        ]
        for row in findings.to_dict("records")
    ]


def _drawn(findings: pd.DataFrame) -> bool:
    if findings.empty:
        return False
    ranks = findings[(findings["measure"] == "spearman") & (findings["baseline"] == "")]
    others = ranks.loc[ranks["estimate"].notna(), "subject"].str.rsplit(" × ", n=1).str[-1]
    return bool(others.isin(RANKS).any())


def attribution_figures(run: Run) -> dict[str, Figure]:
    """By name: `checks`."""
    if "findings_attribute" not in run.tables() or not _drawn(run.table("findings_attribute")):
        return {}
    return {"checks": figures.attribution_checks(run)}


section(
    folder=__name__,
    name="attribution",
    title="Which step carries the answer?",
    navigation="Attribution",
    order=112,
    reads=["attributions", "findings_attribute"],
    downloads=[
        "attributions",
        "attribution_traces",
        "attribution_tokens",
        "step_removals",
        "findings_attribute",
    ],
    data=attribution_data,
    sends=lambda data: data.traces,
    figure=attribution_figures,
)
