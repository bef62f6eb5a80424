"""Is the reasoning what moved the answer? The faithfulness tests, each beside its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import figures
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.faithfulness.curves import Curve, curve_panels
from analysis.page.sections.faithfulness.decided import Decided, decided_figure
from analysis.page.sections.faithfulness.groups import Group, test_groups
from analysis.page.sections.faithfulness.hints import Hints, followed_hints
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness:
    """What the section shows; nothing is shown without `tests`."""

    tests: list[Group]
    """Findings, test by test."""
    curves: list[Curve]
    """How often the answer stays by the share that is kept, a panel a test."""
    hints: Hints | None
    """Hints that were followed."""
    decided: Decided | None
    """Whether the answer was decided before the reasoning, by two looks."""


def faithfulness_data(evidence: Evidence) -> Faithfulness:
    """All four."""
    return Faithfulness(
        tests=test_groups(evidence),
        curves=curve_panels(evidence),
        hints=followed_hints(evidence),
        decided=decided_figure(evidence),
    )


def faithfulness_figures(run: Run) -> dict[str, Figure]:
    """One a test with a curve, by the test."""
    tests = (
        run.table("faithfulness_curves")["test"] if "faithfulness_curves" in run.tables() else []
    )
    return {str(test): figures.faithfulness(run, str(test)) for test in dict.fromkeys(tests)}


section(
    folder=__name__,
    name="faithfulness",
    title="Is the reasoning what moved the answer?",
    navigation="Faithfulness",
    order=70,
    reads=["findings_faithfulness", "faithfulness_curves"],
    downloads=[
        "findings_faithfulness",
        "faithfulness_curves",
        "faithfulness_traces",
        "faithfulness",
    ],
    data=faithfulness_data,
    figure=faithfulness_figures,
    sends=lambda data: data.hints,
)
