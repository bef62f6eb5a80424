"""What a question's traces are compared by: vectors whose cosine distance says how far they differ.

Short traces are embedded whole. Long ones are compared by their sections (`section_overlap`): a
mean over thousands of tokens is nearly the same vector for every trace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters.embedding import MASK, MASKED_NUMBER, embed, mask_answer, mask_traces
from analysis.clusters.section_overlap import QuestionSections, equation_vectors, fit_cut
from analysis.clusters.section_texts import choose_sections, fit_budget, section_texts
from analysis.findings import mean_finding
from cot.errors import InputError
from cot.types import TRACE_KEY, Finding

__all__ = [
    "COMPARE",
    "Compare",
    "Compared",
    "Settings",
    "by_sections",
    "compare_traces",
    "no_sections",
    "stored_vectors",
]

Compare = Literal["auto", "whole", "sections"]
COMPARE: tuple[Compare, ...] = ("auto", "whole", "sections")
FEW_SECTIONS = 3
"""A run whose median trace has no more sections is compared by whole traces."""
OPERAND = re.compile(rf"\d+(?:[.,]\d+)*|{re.escape(MASK)}|{re.escape(MASKED_NUMBER)}")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How traces are compared."""

    compare: Compare
    """`whole`, `sections`, or `auto`: see `by_sections`."""
    embedder: str
    """See `embed`."""
    mask: Literal["answer", "numbers"]
    """What is hidden before embedding."""
    section_cut: float | None
    """Cosine distance at which section clusters are cut; fitted where None."""
    most_sections: int | None
    """Sections that are embedded of a trace; all where None."""
    budget: float | None
    """Seconds that embedding may take; turned into `most_sections`."""
    dataflow_share: float
    """The equations' part of the overlap, in [0, 1]."""
    seed: int
    """Of the choice of sections, and of the findings' bootstrap."""
    workers: int | None = None
    """Processes that share the texts to embed; None embeds all of them here."""

    def __post_init__(self) -> None:
        """Raise InputError where a value is out of range."""
        if self.section_cut is not None and not 0 < self.section_cut < 2:
            raise InputError(
                f"section_cut is {self.section_cut}: a cosine distance between 0 and 2"
            )
        if self.most_sections is not None and self.most_sections < 1:
            raise InputError(f"most_sections is {self.most_sections}: at least 1")
        if self.budget is not None and not self.budget > 0:
            raise InputError(f"budget is {self.budget}: seconds above 0")
        if self.budget is not None and self.most_sections is not None:
            raise InputError("budget and most_sections are both given: budget sets most_sections")
        if not 0 <= self.dataflow_share <= 1:
            raise InputError(f"dataflow_share is {self.dataflow_share}: a share in [0, 1]")
        if self.compare not in COMPARE:
            raise InputError(f"compare is {self.compare!r}: choose from {', '.join(COMPARE)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run's traces, ready to be clustered."""

    by: Literal["whole", "sections"]
    """What was embedded."""
    groups: Sequence[NDArray[np.int64]]
    """The rows of each question's traces."""
    vectors: Sequence[NDArray[np.floating]]
    """Of each question, shape [trace, d]; d differs by question where sections are compared."""
    texts: Sequence[str]
    """What was embedded of each trace, the answer masked; for naming clusters."""
    sections: pd.DataFrame
    """The table `path_sections`; without rows where whole traces were compared."""
    section_cut: float
    """NaN where whole traces were compared."""
    most_sections: int | None
    """The most sections that were embedded of a trace; None for all."""
    findings: Sequence[tuple[Finding, tuple[float, float]]]
    """How much was embedded and how far sections are shared; each with the mean and the 95th
    percentile of its null, NaN without one."""


def by_sections(compare: Compare, sections: pd.DataFrame) -> bool:
    """Whether a run's traces are compared by sections; `auto` does where the median trace with a
    section has more than FEW_SECTIONS."""
    if compare != "auto" or not len(sections):
        return compare == "sections"
    return bool(sections.groupby(TRACE_KEY).size().median() > FEW_SECTIONS)


def compare_traces(
    traces: pd.DataFrame,
    sections: pd.DataFrame,
    equations: pd.DataFrame,
    cache: Path,
    settings: Settings,
) -> Compared:
    """Embed what the settings say.

    Args:
        traces: question_id, sample_index, text, and stated, start, end of the answer.
        sections: the table `sections`.
        equations: the table `step_checks`, for a share of dataflow.
        cache: see `embed`.
        settings: see there.

    Raises:
        InputError: a choice or a share of dataflow where whole traces are compared.
    """
    groups = list(traces.groupby("question_id", sort=False).indices.values())
    numbers = settings.mask == "numbers"
    if not by_sections(settings.compare, sections):
        asked = {
            "section_cut": settings.section_cut,
            "most_sections": settings.most_sections,
            "dataflow_share": settings.dataflow_share or None,
        }
        for name, value in asked.items():
            if value is not None:
                raise InputError(
                    f"{name} is for traces compared by sections, and these are compared whole "
                    f"(their median has at most {FEW_SECTIONS} sections): add compare=sections"
                )
        stated = traces.assign(text=traces["stated"])
        texts = mask_traces(traces["text"], stated, numbers)
        vectors = embed(texts, settings.embedder, cache, settings.workers)
        return Compared(
            by="whole",
            groups=groups,
            vectors=[vectors[rows] for rows in groups],
            texts=texts,
            sections=no_sections(traces, sections),
            section_cut=np.nan,
            most_sections=None,
            findings=(),
        )
    found = section_texts(traces, sections, numbers)
    ranks = choose_sections(found, settings.seed)
    most = settings.most_sections
    if settings.budget is not None:
        most = fit_budget(found["text"], ranks, settings.budget, settings.embedder, cache)
    chosen = np.ones(len(found), dtype=bool) if most is None else ranks < most
    kept = found[chosen]
    vectors = embed(kept["text"].tolist(), settings.embedder, cache, settings.workers)
    linked = []
    places = []
    local = np.zeros(len(traces), dtype=np.int64)
    rows_of = kept["row"].to_numpy(dtype=np.int64)
    for rows in groups:
        local[rows] = np.arange(len(rows))
    by_question = pd.Series(range(len(kept))).groupby(kept["question_id"].to_numpy()).indices
    for rows in groups:
        here = by_question.get(traces["question_id"].iloc[rows[0]], np.zeros(0, dtype=np.int64))
        places.append(here)
        linked.append(
            QuestionSections(
                kept["text"].iloc[here].tolist(),
                vectors[here],
                local[rows_of[here]],
                kept["section"].to_numpy(dtype=np.int64)[here],
                len(rows),
            )
        )
    cut = fit_cut(linked, settings.section_cut)
    clusters, weights = np.zeros(len(kept), dtype=np.int64), np.zeros(len(kept))
    compared = []
    for rows, here, question in zip(groups, places, linked, strict=True):
        clusters[here] = question.clusters(cut.distance)
        weights[here] = question.weights(clusters[here])
        each = question.overlap(clusters[here])
        if share := settings.dataflow_share:
            flows = _equations(traces.iloc[rows], equations, numbers)
            each = np.hstack([np.sqrt(1 - share) * each, np.sqrt(share) * flows])
        compared.append(each)
    table = _table(found, chosen, clusters, weights)
    texts = found["text"].groupby(found["row"]).agg("\n".join).reindex(range(len(traces)))
    return Compared(
        by="sections",
        groups=groups,
        vectors=compared,
        texts=texts.fillna("").tolist(),
        sections=table,
        section_cut=cut.distance,
        most_sections=most,
        findings=_findings(table, cut.recognised, most, len(traces), settings.seed),
    )


def no_sections(traces: pd.DataFrame, sections: pd.DataFrame) -> pd.DataFrame:
    """The table `path_sections` where nothing is compared by sections: it has no rows."""
    return _table(section_texts(traces.iloc[:0], sections, False))


def stored_vectors(sections: pd.DataFrame, traces: pd.DataFrame) -> Floats:
    """Vectors √p of traces, from the table `path_sections`; shape [trace, d], zero for one without
    sections. Cosines within a question are overlaps; between questions they mean nothing.

    Args:
        sections: the table.
        traces: question_id, sample_index.
    """
    embedded = sections[sections["embedded"]]
    sums = embedded.groupby([*TRACE_KEY, "section_cluster"], sort=False)["weight"].sum()
    sums = sums.reset_index()
    rows = pd.MultiIndex.from_frame(traces[TRACE_KEY])
    places = rows.get_indexer(pd.MultiIndex.from_frame(sums[TRACE_KEY]))
    width = int(sums["section_cluster"].max()) + 1 if len(sums) else 1
    vectors = np.zeros((len(traces), width))
    here = places >= 0
    columns = sums["section_cluster"].to_numpy(dtype=np.int64)[here]
    vectors[places[here], columns] = np.sqrt(sums["weight"].to_numpy()[here])
    return vectors


def _equations(traces: pd.DataFrame, equations: pd.DataFrame, numbers: bool) -> Floats:
    """Vectors of a question's traces by what their equations compute, answers masked."""
    keyed = traces[TRACE_KEY].assign(trace=np.arange(len(traces)), stated=traces["stated"])
    mine = keyed.merge(equations[[*TRACE_KEY, "text", "operation"]], on=TRACE_KEY)
    items = []
    for text, operation, stated in zip(
        mine["text"], mine["operation"], mine["stated"], strict=True
    ):
        left = mask_answer(text.split("=")[0], None if pd.isna(stated) else stated, None, None)
        operands = sorted(MASKED_NUMBER if numbers else each for each in OPERAND.findall(left))
        items.append(f"{operation}({','.join(operands)})")
    return equation_vectors(mine["trace"].to_numpy(dtype=np.int64), items, len(traces))


def _table(
    found: pd.DataFrame,
    chosen: NDArray[np.bool_] | None = None,
    clusters: NDArray[np.int64] | None = None,
    weights: Floats | None = None,
) -> pd.DataFrame:
    """The table `path_sections`."""
    names = [*TRACE_KEY, "section", "characters", "tokens"]
    table = found[names].assign(embedded=False, section_cluster=-1, weight=0.0)
    if chosen is not None:
        table["embedded"] = chosen
        table.loc[chosen, "section_cluster"] = clusters
        table.loc[chosen, "weight"] = weights
    kinds: dict[str, Any] = {"tokens": "Int64", "section_cluster": "Int64", "embedded": bool}
    table = table.astype(kinds)
    table["section_cluster"] = table["section_cluster"].mask(~table["embedded"])
    return table


def _findings(
    table: pd.DataFrame, recognised: Floats, most: int | None, n_traces: int, seed: int
) -> Sequence[tuple[Finding, tuple[float, float]]]:
    nothing = (np.nan, np.nan)
    embedded = table[table["embedded"]]
    of_question = table.groupby("question_id", sort=False)
    by_question = embedded.groupby("question_id", sort=False)
    drawn = "all sections" if most is None else f"at most {most} sections a trace, drawn by seed"
    sizes = by_question["characters"].sum() / of_question["characters"].sum()
    n_sharing = embedded.groupby(["question_id", "section_cluster"])["sample_index"].transform(
        "nunique"
    )
    shared = embedded["characters"].where(n_sharing > 1, 0)
    shares = shared.groupby(embedded["question_id"], sort=False).sum()
    known = recognised[~np.isnan(recognised)]
    per_trace = (
        table.groupby(TRACE_KEY, sort=False).size().groupby("question_id", sort=False).mean()
    )
    rows = (
        ("sections_per_trace", per_trace, "the mean number of sections of a trace", nothing, 0),
        ("embedded_share", sizes, f"the share of characters embedded: {drawn}", nothing, 0),
        (
            "section_clusters_per_question",
            by_question["section_cluster"].nunique(),
            "the number of clusters of embedded sections",
            nothing,
            0,
        ),
        (
            "shared_sections",
            shares / by_question["characters"].sum(),
            "the share of embedded characters in section clusters of two traces or more",
            nothing,
            0,
        ),
        (
            "halves_recognised",
            known,
            "how often a trace's even sections overlap more with its own odd ones than with "
            "another trace's, at the cut where this is largest; null: chance",
            (0.5, np.nan),
            len(recognised) - len(known),
        ),
    )
    return [
        (
            mean_finding(
                name,
                values,
                n_traces=n_traces,
                n_excluded=excluded,
                method=f"mean over questions of {what}; 95% bootstrap over questions",
                seed=seed,
            ),
            null,
        )
        for name, values, what, null, excluded in rows
    ]
