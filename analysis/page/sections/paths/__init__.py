"""How many ways of reasoning? What traces share: an answer, a cluster of reasoning paths, both."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.figures.text import decimal, interval, number, percent
from analysis.page.cards import Headline, find, make_row, sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["paths_card", "paths_claims"]

SHARES = {
    "wrong_equations",
    "corrected_equations",
    "wrong_equations_reaching_answer",
    "right_over_wrong_equation",
    "answer_follows",
    "same_answer_different_cluster",
    "same_cluster_different_answer",
    "same_answer_different_dataflow",
    "same_dataflow_different_answer",
}
"""Findings that are shares."""
OF_SECTIONS = ("embedded_share", "halves_recognised")
SHARES |= {*OF_SECTIONS, "shared_sections"}


def paths_card(evidence: Evidence) -> Headline:
    """Every finding on reasoning paths."""
    findings = evidence.get("findings_paths")
    rows = []
    for row in findings.to_dict("records"):
        words = str(row["measure"]).replace("_", " ")
        label = f"{words}, {row['subject']}" if row["subject"] else words
        controls = [("shuffled", row["null_mean"])] if "null_mean" in row else []
        show = percent if row["measure"] in SHARES else decimal
        rows.append(make_row(row, sentence(label), show, controls, strip=False))
    return Headline(
        key="paths",
        title="How many ways of reasoning?",
        claims=tuple(paths_claims(findings)),
        asides=(_what_clusters_are(evidence),) if len(findings) else (),
        rows=tuple(rows),
        scale=None,
        notices=evidence.notices("paths", "findings_paths"),
    )


def paths_claims(findings: pd.DataFrame) -> Iterator[str]:
    """How often traces share an answer but not a cluster, and the other way round; and how often a
    right answer stands over a wrong equation."""
    words = {
        "same_answer_different_cluster": "with the same answer take different paths",
        "same_cluster_different_answer": "on the same path end in different answers",
    }
    for measure, what in words.items():
        finding = find(findings, measure) or {}
        share, low, high = (number(finding.get(key)) for key in ("estimate", "low", "high"))
        if share is not None:
            span = interval(low, high, percent)
            often = f"{percent(share)} of the time (95% interval {span})"
            yield f"Two traces of a question {what} {often}."
    over = find(findings, "right_over_wrong_equation") or {}
    share, low, high = (number(over.get(key)) for key in ("estimate", "low", "high"))
    if share is not None:
        yield (
            f"Of a question's right answers over equations, {percent(share)} stand over a wrong "
            f"one (mean over questions; 95% interval {interval(low, high, percent)})."
        )


def _what_clusters_are(evidence: Evidence) -> str:
    if "paths" in evidence.tables:
        parameters = evidence.run.provenance("paths").parameters
        if parameters.get("clusterer") == "dataflow":
            return "Paths are dataflows: what the stated equations compute from which numbers."
    what = "Paths are clusters of wording; how many there are depends on the threshold."
    paths = evidence.get("paths")
    if "compared" not in paths or (paths["compared"] == "whole").all():
        return what
    return f"{what} {_what_was_embedded(paths, evidence.get('findings_paths'))}"


def _what_was_embedded(paths: pd.DataFrame, findings: pd.DataFrame) -> str:
    """How much of long traces was embedded, and how well it tells them apart."""
    found = {name: number((find(findings, name) or {}).get("estimate")) for name in OF_SECTIONS}
    share, halves = found["embedded_share"], found["halves_recognised"]
    most = paths["most_sections"].iloc[0]
    words = "Traces are compared by the sections that they share"
    if share is not None:
        drawn = "" if pd.isna(most) else f", at most {most} sections a trace, drawn by the seed"
        words += f"; {percent(share)} of the text was embedded{drawn}"
    if halves is not None:
        words += f". Half of a trace is told from other traces by its other half {percent(halves)}"
        words += " of the time (50.0% by chance)"
    return f"{words}."


section(
    folder=__name__,
    name="paths",
    title="Reasoning paths",
    navigation="",
    reads=["paths", "findings_paths"],
    downloads=[],
    cards=((80, paths_card),),
)
