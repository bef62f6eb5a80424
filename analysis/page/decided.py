"""Decided before reasoning, asked twice: what is answered without reasoning, and what the state
holds at the prompt's end.

Drawn only where both `early_answering` and the lens were run.
"""

from __future__ import annotations

from typing import Any

from analysis.page.data import Evidence
from analysis.page.text import decimal, interval, number, percent, shorten

__all__ = ["MOST", "decided_figure"]

MOST = 12
"""Questions that are named."""


def decided_figure(evidence: Evidence) -> dict[str, Any] | None:
    """The table of both looks, kappa with interval and control, and the questions in which they
    differ most; None where no trace has both."""
    readings, lens = evidence.get("faithfulness"), evidence.get("lens_traces")
    if not len(readings) or not len(lens) or "decided_at_prompt" not in lens:
        return None
    from analysis.faithfulness_tests.decided import cross_check

    found = cross_check(readings, lens)
    n = sum(found.counts)
    if not n:
        return None
    both, forced, other, neither = found.counts
    control = number(found.control)
    differ = found.questions[found.questions["differ"] > 0]
    return {
        "n": n,
        "n_questions": len(found.questions),
        "n_differ": len(differ),
        "table": [[_cell(both, n), _cell(forced, n)], [_cell(other, n), _cell(neither, n)]],
        "kappa": decimal(number(found.kappa)),
        "interval": interval(number(found.low), number(found.high), decimal),
        "shown": (number(found.low) or 0.0) > max(0.0, control or 0.0),
        "control": None if control is None else decimal(control),
        "questions": [_question(evidence, row) for row in differ.head(MOST).to_dict("records")],
    }


def _cell(count: int, n: int) -> str:
    return f"{count} ({percent(count / n)})"


def _question(evidence: Evidence, row: dict[Any, Any]) -> dict[str, Any]:
    asked = evidence.questions.loc[evidence.questions["question_id"] == row["question_id"], "text"]
    return {**row, "text": shorten(str(asked.iloc[0]), 120) if len(asked) else ""}
