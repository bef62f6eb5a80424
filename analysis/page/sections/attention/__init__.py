"""Which steps do later steps attend to? Heads beside their controls, and one trace's steps.

The heads' grid is drawn from the table `attention_heads`; a cell opens a trace's step × step
attention, from `attention_matrices`. The same figures for notebooks are in
`analysis.figures.attention`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.figures.step_attention import head_words
from analysis.figures.text import chance, count, decimal, flag, interval, number, shorten, text
from analysis.page.cards import sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.attention.matrices import AttentionTrace, attention_traces

__all__ = ["AttentionData", "Grid", "attention_data"]

MEASURES = {
    "kurtosis": "receiver score",
    "beyond_position": "receiver score less place alone",
    "beyond_permuted": "adjusted score less permuted steps",
    "reliability": "reliability over later steps",
    "to_first_token": "attention to the first token",
    "to_prompt": "attention to the prompt",
    "to_own_step": "attention within the own step",
}
"""Columns that the grid can show, and what it calls them."""
HIGHEST = 10
"""Heads of the table in words, those of the highest scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All heads."""

    layers: list[int]
    """Numbers of the layers; 1 is the first block's attention."""
    heads: list[int]
    """Numbers of the heads."""
    measures: list[tuple[str, list[list[float | None]]]]
    """What a measure is called, and its values, shape [layer][head]; those that are known."""
    receivers: list[list[bool]]
    """Whether each is a receiver head."""
    words: list[list[str]]
    """Each head in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionData:
    """What the section shows."""

    summary: str
    """How many receiver heads there are, of how many."""
    method: str
    """How that was tested, and what was left out."""
    rows: list[list[str]]
    """The heads of the highest scores, beside their controls."""
    ranks: list[list[str]]
    """Rank correlations with the steps' importance."""
    grid: Grid | None
    """None where the table of heads is missing."""
    traces: list[AttentionTrace]
    """Traces whose matrices are kept."""
    n_carried: int
    """Heads of each trace that the page carries, the fewest."""
    n_heads: int
    """Heads of the model."""


def attention_data(evidence: Evidence) -> AttentionData:
    """Numbers, the grid, and traces."""
    table = evidence.get("attention_heads")
    findings = evidence.get("findings_attention")
    traces = attention_traces(evidence)
    receivers = int(table["receiver"].sum()) if len(table) else 0
    own = findings[findings["measure"] == "receiver_heads"] if len(findings) else findings
    known = len(own) and pd.notna(own.iloc[0]["estimate"])
    # few questions can't show any: their number stands beside the count
    n = int(own.iloc[0]["n_questions"]) if len(own) else 0
    summary = (
        f"{receivers} of {len(table)} heads are shown to be receiver heads, over {n} questions"
    )
    if not known:
        summary = "Whether there are receiver heads is not known"
    return AttentionData(
        summary=summary,
        method=sentence(str(own.iloc[0]["method"])) if len(own) else "",
        rows=_rows(table),
        ranks=_ranks(findings),
        grid=_grid(table) if len(table) else None,
        traces=traces,
        n_carried=min((len(each.heads) for each in traces), default=0),
        n_heads=len(table),
    )


def _rows(table: pd.DataFrame) -> list[list[str]]:
    if table.empty:
        return []
    best = table.dropna(subset=["kurtosis"]).sort_values("kurtosis", ascending=False).head(HIGHEST)
    return [
        [
            f"{row['layer']}",
            f"{row['head']}",
            "yes" if row["receiver"] else "not shown",
            decimal(number(row["kurtosis"])),
            interval(number(row["low"]), number(row["high"]), decimal),
            decimal(number(row["position"])),
            decimal(number(row["adjusted"])),
            decimal(number(row["permuted"])),
            chance(number(row["p_holm"])).lstrip("= "),
            decimal(number(row["reliability"])),
            str(count(row["n_questions"])),
            str(count(row["n_traces"])),
        ]
        for row in best.to_dict("records")
    ]


def _ranks(findings: pd.DataFrame) -> list[list[str]]:
    if findings.empty:
        return []
    rows = findings[findings["measure"].str.startswith("spearman")]
    return [
        [
            str(row["subject"]),
            "within traces" if row["measure"] == "spearman" else "all steps together",
            "beyond place" if row["baseline"] else "",
            decimal(number(row["estimate"])),
            interval(number(row["low"]), number(row["high"]), decimal),
            chance(number(row["p"])).lstrip("= ") if number(row["p"]) is not None else "",
            str(count(row["n_questions"])),
            str(count(row["n_traces"])),
            str(count(row["n_excluded"])),
        ]
        for row in rows.to_dict("records")
    ]


def _grid(table: pd.DataFrame) -> Grid:
    placed = table.assign(words=[head_words(row) for row in table.to_dict("records")])

    def matrix(column: str) -> pd.DataFrame:
        return placed.pivot(index="layer", columns="head", values=column)

    known = [name for name in MEASURES if table[name].notna().any()]
    whole = matrix("receiver")
    return Grid(
        layers=[int(layer) for layer in whole.index],
        heads=[int(head) for head in whole.columns],
        measures=[
            (
                MEASURES[name],
                [
                    [None if (x := number(value)) is None else round(x, 3) for value in line]
                    for line in matrix(name).to_numpy(float)
                ],
            )
            for name in known
        ],
        receivers=[[bool(flag(each)) for each in line] for line in whole.to_numpy()],
        words=[
            [shorten(str(text(each)), 400) for each in line] for line in matrix("words").to_numpy()
        ],
    )


section(
    folder=__name__,
    name="attention",
    title="Which steps do later steps attend to?",
    navigation="Attention",
    order=114,
    reads=["attention_heads", "attention_matrices"],
    downloads=["attention_heads", "attention_steps", "attention_matrices", "findings_attention"],
    data=attention_data,
    sends=lambda data: {"grid": data.grid, "traces": data.traces},
)
