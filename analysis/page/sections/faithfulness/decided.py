"""Decided before reasoning, asked twice: what is answered without reasoning, and what the state
holds at the prompt's end.

Drawn only where both `early_answering` and the lens were run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.agreement.forced_and_latent import CONTROL, FORCED_LATENT
from analysis.figures.text import decimal, interval, number, percent, shorten
from analysis.findings import pick
from analysis.page.evidence import Evidence

__all__ = ["MOST", "Decided", "Differs", "decided_figure"]

MOST = 12
"""Questions that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """A question in which the two looks differ."""

    question_id: str
    """Its id."""
    n: int
    """Its traces that have both looks."""
    differ: int
    """Those of which the looks differ."""
    forced_only: int
    """Those whose answer is given without reasoning, and isn't held by the state."""
    lens_only: int
    """Those whose answer is held by the state, and isn't given without reasoning."""
    text: str
    """What the question asks, shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Both looks at whether the answer was decided before the reasoning."""

    n: int
    """Traces that have both looks."""
    n_questions: int
    """Their questions."""
    n_differ: int
    """Questions in which the looks differ."""
    table: list[list[str]]
    """Counts with shares: rows are forced or not, columns are latent or not."""
    kappa: str
    """Cohen's kappa, as shown."""
    interval: str
    """Its interval."""
    shown: bool
    """Whether the interval lies above 0 and above the control."""
    control: str | None
    """Kappa with another question's state; None where unknown."""
    questions: list[Differs]
    """Questions in which the looks differ most, at most MOST."""


def decided_figure(evidence: Evidence) -> Decided | None:
    """The table of both looks, kappa with interval and control, and the questions in which they
    differ most; None where no trace has both."""
    table, findings = evidence.get("agreement_before_reasoning"), evidence.get("findings_agree")
    own, other_question = (
        pick(findings, "cohen_kappa", subject) for subject in (FORCED_LATENT, CONTROL)
    )
    if not len(table) or own is None:
        return None
    names = ["n_both", "n_forced_only", "n_latent_only", "n_neither"]
    both, forced, other, neither = (int(table[name].sum()) for name in names)
    n = both + forced + other + neither
    control = None if other_question is None else number(other_question["estimate"])
    share = (table["n_forced_only"] + table["n_latent_only"]) / table["n_traces"]
    most_first = share[share > 0].sort_values(ascending=False, kind="stable").index
    differ = table.loc[most_first]
    return Decided(
        n=n,
        n_questions=len(table),
        n_differ=len(differ),
        table=[[_cell(both, n), _cell(forced, n)], [_cell(other, n), _cell(neither, n)]],
        kappa=decimal(number(own["estimate"])),
        interval=interval(number(own["low"]), number(own["high"]), decimal),
        shown=(number(own["low"]) or 0.0) > max(0.0, control or 0.0),
        control=None if control is None else decimal(control),
        questions=[_question(evidence, row) for row in differ.head(MOST).to_dict("records")],
    )


def _cell(count: int, n: int) -> str:
    return f"{count} ({percent(count / n)})"


def _question(evidence: Evidence, row: Mapping[Any, Any]) -> Differs:
    asked = evidence.questions.loc[evidence.questions["question_id"] == row["question_id"], "text"]
    return Differs(
        question_id=str(row["question_id"]),
        n=int(row["n_traces"]),
        differ=int(row["n_forced_only"] + row["n_latent_only"]),
        forced_only=int(row["n_forced_only"]),
        lens_only=int(row["n_latent_only"]),
        text=shorten(str(asked.iloc[0]), 120) if len(asked) else "",
    )
