"""A question that is opened: its votes, paths, map, and every trace step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.traces.interventions import most_important
from analysis.page.sections.traces.questions import QuestionDetail, question_details
from analysis.page.sections.traces.shades import Shades, shades_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What holds for the traces of all questions."""

    shades: Shades
    """Log-probabilities of each trace's tokens, by (question_id, sample_index)."""
    shading: str | None
    """Why no token can be shaded, or None."""
    important: float | None
    """The largest importance of a step in the run, where colours are full; None without any."""


def traces_data(evidence: Evidence) -> Traces:
    """Shades and scale."""
    shades, reason = shades_of(evidence.run)
    return Traces(shades=shades, shading=reason, important=most_important(evidence))


def traces_details(
    evidence: Evidence, data: Traces, ids: Sequence[str]
) -> dict[str, QuestionDetail]:
    """See `question_details`."""
    return question_details(evidence, ids, shades=data.shades)


section(
    folder=__name__,
    name="traces",
    title="Traces",
    navigation="",
    order=31,
    within="questions",
    always=True,
    reads=[
        "answers",
        "steps",
        "sections",
        "paths",
        "step_checks",
        "cluster_names",
        "path_map",
        "probe_scores",
    ],
    downloads=[],
    data=traces_data,
    sends=lambda data: {"shading": data.shading, "important": data.important},
    plots=lambda evidence: len(evidence.get("path_map")) > 0,
    details=traces_details,
)
