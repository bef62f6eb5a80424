"""What each layer already believes: the lens over the run, by layer.

The first panel is the share of traces whose latent answer at `pre_answer` is the one of the last
layer, beside the share that would give the last layer's answer of *another* trace of the question
(exact, over all pairs): a layer that says the question's usual answer agrees that often without
having read the trace. The second is the mean probability of the stated answer, by position.
Questions with one candidate would always agree, and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.tables import place_of
from analysis.figures.text import decimal, interval, number, percent
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.lens.card import lens_card
from analysis.page.sections.lens.tokens import left_out, token_maps
from analysis.statistics import ratio_interval
from cot.types import TRACE_KEY

__all__ = ["lens_figure", "others_agree"]

SERIES = {"answer": "raw", "answer_calibrated": "calibrated"}


def lens_figure(evidence: Evidence) -> dict[str, Any] | None:
    """Lines by layer with 95% bands, where traces commit, and the table below; None without one."""
    lens, traces = evidence.get("lens"), evidence.get("lens_traces")
    if len(traces) and len(lens):
        several = traces.loc[traces["n_candidates"] > 1, "question_id"].unique()
        lens = lens[lens["question_id"].isin(several)]
        traces = traces[traces["n_candidates"] > 1]
    if lens.empty:
        return None
    agreeing, others = _agreeing(lens)
    stated = _stated(lens)
    layers = sorted(int(layer) for layer in lens["layer"].unique())
    return {
        "agreeing": agreeing,
        "others": others,
        "stated": stated,
        "layers": layers,
        "commitment": _commitment(traces),
        "n_questions": int(lens["question_id"].nunique()),
        "n_traces": int(lens[lens["position"] == "pre_answer"].groupby(TRACE_KEY).ngroups),
        "heads": _heads(agreeing, others, stated),
        "rows": _rows(layers, agreeing, others, stated),
    }


def _agreeing(lens: pd.DataFrame) -> tuple[list[dict[str, Any]], list[float | None]]:
    """The share that says the last layer's answer, raw and calibrated; and the raw one's control,
    layer by layer."""
    here = lens[lens["position"] == "pre_answer"]
    last = here[here["layer"] == here["layer"].max()]
    lines = []
    for column, name in SERIES.items():
        if column in here and here[column].notna().any():
            final = last[[*TRACE_KEY, column]].rename(columns={column: "final"})
            both = here.merge(final, on=TRACE_KEY)
            both["same"] = (both[column] == both["final"]).astype(float)
            lines.append({"name": name, **_by_layer(both, "same")})
    return lines, others_agree(here) if len(here) else []


def others_agree(here: pd.DataFrame) -> list[float | None]:
    """Per layer, the share of ordered pairs of traces of a question in which the first's latent
    answer at that layer is the second's at the last; questions weigh as their traces.

    Args:
        here: question_id, sample_index, layer, answer, of one position; a row a trace and layer.
    """
    by = ["question_id", "answer"]
    last = here[here["layer"] == here["layer"].max()]
    finals = last.groupby(by).size().rename("finals").reset_index()
    latent = here.groupby([*by, "layer"]).size().rename("latent").reset_index()
    pairs = latent.merge(finals, on=by)
    all_pairs = (pairs["latent"] * pairs["finals"]).groupby([pairs["layer"], pairs["question_id"]])
    own = here.merge(last[[*TRACE_KEY, "answer"]], on=TRACE_KEY, suffixes=("", "_last"))
    own = own[own["answer"] == own["answer_last"]].groupby(["layer", "question_id"]).size()
    n = last.groupby("question_id").size()
    n = n[n > 1].astype(float)
    found: list[float | None] = []
    sums, same = all_pairs.sum().unstack("layer"), own.unstack("layer")
    for layer in sorted(here["layer"].unique()):
        among = sums.get(layer, pd.Series(dtype=float)).reindex(n.index).fillna(0.0)
        mine = same.get(layer, pd.Series(dtype=float)).reindex(n.index).fillna(0.0)
        found.append(number(((among - mine) / (n - 1)).sum() / n.sum()) if len(n) else None)
    return found


def _stated(lens: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean probability of the answer that the trace states, among the candidates, by position."""
    known = lens[lens["p_stated"].notna()]
    positions = sorted(known["position"].unique(), key=place_of)
    return [
        {"name": str(name), **_by_layer(known[known["position"] == name], "p_stated")}
        for name in positions
    ]


def _by_layer(rows: pd.DataFrame, column: str) -> dict[str, Any]:
    """Mean over the rows of each layer, with its interval over questions."""
    sums = rows.groupby(["layer", "question_id"])[column].agg(["sum", "size"])
    line: dict[str, Any] = {name: [] for name in ("layer", "y", "low", "high", "n")}
    for layer, each in sums.groupby(level="layer"):
        low, high = ratio_interval(each["sum"], each["size"])
        value = each["sum"].sum() / each["size"].sum()
        cells = (int(layer), number(value), number(low), number(high), int(each["size"].sum()))
        for name, cell in zip(line, cells, strict=True):
            line[name].append(cell)
    return line


def _commitment(traces: pd.DataFrame) -> dict[str, Any] | None:
    """Quartiles of the commitment layer over traces, and how many traces have none."""
    if traces.empty:
        return None
    known = traces["commitment_layer"].dropna().astype(int)
    if known.empty:
        return None
    low, middle, high = (float(known.quantile(q)) for q in (0.25, 0.5, 0.75))
    without = len(traces) - len(known)
    return {"low": low, "median": middle, "high": high, "n": len(known), "without": without}


def _heads(
    agreeing: list[dict[str, Any]], others: list[float | None], stated: list[dict[str, Any]]
) -> list[str]:
    heads = ["Layer"]
    for line in agreeing:
        heads += [f"As the last, {line['name']}", "95% interval"]
    heads += ["As another trace's last"] * bool(others)
    for line in stated:
        heads += [f"p(stated) at {line['name']}", "95% interval"]
    return heads


def _rows(
    layers: list[int],
    agreeing: list[dict[str, Any]],
    others: list[float | None],
    stated: list[dict[str, Any]],
) -> list[list[str]]:
    def cells(line: dict[str, Any], layer: int, show: Any) -> list[str]:
        if layer not in line["layer"]:
            return ["–", "–"]
        i = line["layer"].index(layer)
        return [show(line["y"][i]), interval(line["low"][i], line["high"][i], show)]

    rows = []
    there = agreeing[0]["layer"] if agreeing else []
    for layer in layers:
        row = [str(layer)]
        for line in agreeing:
            row += cells(line, layer, percent)
        if others:
            row.append(percent(others[there.index(layer)]) if layer in there else "–")
        for line in stated:
            row += cells(line, layer, decimal)
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """What the section shows."""

    figure: dict[str, Any] | None
    """Lines by layer."""
    tokens: list[dict[str, Any]]
    """Maps of single traces, token by token."""
    left_out: int
    """Stored traces without a map."""


def lens_data(evidence: Evidence) -> Lens:
    """Figure and maps."""
    maps = token_maps(evidence)
    return Lens(figure=lens_figure(evidence), tokens=maps, left_out=left_out(evidence, maps))


section(
    folder=__name__,
    name="lens",
    title="What each layer already says",
    navigation="Lens",
    order=90,
    reads=["lens", "lens_traces", "lens_tokens"],
    downloads=["lens_traces", "lens_tokens", "lens"],
    data=lens_data,
    plots=lambda evidence: len(evidence.get("lens")) > 0,
    sends=lambda data: data,
    cards=((40, lens_card),),
)
