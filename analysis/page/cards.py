"""What a card of findings holds: sentences, and the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.text import interval, number
from analysis.findings import pick
from analysis.page.evidence import Notice

__all__ = ["Headline", "Row", "Show", "find", "listed", "make_row", "sentence"]

Show = Callable[[float | None], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number with what is needed to trust it."""

    label: str
    """What was estimated, in words."""
    shown: str
    """The estimate, formatted."""
    interval: str
    """The 95% interval, formatted; a dash where there is none."""
    strip: tuple[float, float, float] | None
    """low, estimate, high on the headline's scale, or None where one is undefined."""
    controls: tuple[tuple[str, float, str], ...]
    """Each control: its name, its value, and the value formatted."""
    n_questions: int
    """Questions behind it."""
    n_traces: int
    """Traces behind it."""
    n_excluded: int
    """Questions or traces left out, as `method` says."""
    method: str
    """How it was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One group of findings."""

    key: str
    """Name for the page's anchors."""
    title: str
    """The question that it answers."""
    claims: tuple[str, ...]
    """Plain sentences, or none where the tables are missing."""
    asides: tuple[str, ...]
    """What to keep in mind when reading them."""
    rows: tuple[Row, ...]
    """The numbers behind the sentences."""
    scale: tuple[float, float] | None
    """Ends of the axis on which the rows' strips are drawn, or None where none are."""
    notices: list[Notice]
    """Which tables are missing or stale, and the command that makes them."""

    @property
    def ends(self) -> tuple[str, str]:
        """The ends of the scale, formatted."""
        low, high = self.scale or (0.0, 0.0)
        return (f"{low:g}".replace("-", "\N{MINUS SIGN}"), f"{high:g}")

    @property
    def controlled(self) -> bool:
        """Some row has a control."""
        return any(row.controls for row in self.rows)


def make_row(
    finding: Mapping[Any, Any],
    label: str,
    show: Show,
    controls: Sequence[tuple[str, Any]] = (),
    *,
    strip: bool = True,
) -> Row:
    """A finding as a row: `show` formats its numbers, `controls` are names and values, and `strip`
    says whether it is drawn."""
    low, value, high = (number(finding[name]) for name in ("low", "estimate", "high"))
    drawn = None
    if strip and low is not None and value is not None and high is not None:
        drawn = (low, value, high)
    known = [(name, number(given)) for name, given in controls]
    return Row(
        label=label,
        shown=show(value),
        interval=interval(low, high, show),
        strip=drawn,
        controls=tuple((name, given, show(given)) for name, given in known if given is not None),
        n_questions=int(finding["n_questions"]),
        n_traces=int(finding["n_traces"]),
        n_excluded=int(finding["n_excluded"]),
        method=str(finding["method"]),
    )


def find(
    findings: pd.DataFrame, measure: str, subject: str = "", baseline: str = ""
) -> dict[Any, Any] | None:
    """A finding with all its columns, or None where there is none."""
    row = pick(findings, measure, subject, baseline)
    return None if row is None else {**row.to_dict()}


def sentence(words: str) -> str:
    """With a capital."""
    return words[:1].upper() + words[1:]


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
