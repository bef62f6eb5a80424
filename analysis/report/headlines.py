"""The findings at the top of the page: a plain sentence each, then the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.report.claims import agreement_claim, gain_claim, probe_claim
from analysis.report.data import Evidence
from analysis.report.text import decimal, interval, number, percent, points

__all__ = ["Headline", "Row", "headlines"]

Findings = dict[str, dict[Any, Any]]
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
    rows: tuple[Row, ...]
    """The numbers behind the sentences."""
    scale: tuple[float, float] | None
    """Ends of the axis on which the rows' strips are drawn, or None where none are."""
    ends: tuple[str, str]
    """The same ends, formatted."""
    notices: tuple[dict[str, str], ...]
    """Which tables are missing or stale, and the command that makes them."""

    @property
    def controlled(self) -> bool:
        """Some row has a control."""
        return any(row.controls for row in self.rows)


def headlines(evidence: Evidence) -> list[Headline]:
    """What the run shows: votes, probe, agreement, paths, in this order."""
    return [_votes(evidence), _probe(evidence), _agreement(evidence), _paths(evidence)]


def _votes(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_vote"))
    gains = {name: row for name, row in findings.items() if name.endswith(" - single")}
    labels = {"single": "Mean single trace", "greedy": "Greedy trace"}
    rows = [
        _row(row, labels.get(name, f"{name.capitalize()} vote"), percent)
        for name, row in findings.items()
        if name not in gains
    ]
    rows += [
        _row(
            row,
            f"{name.removesuffix(' - single').capitalize()} minus single, points",
            points,
            strip=False,
        )
        for name, row in gains.items()
    ]
    claims = [gain_claim(name.removesuffix(" - single"), row) for name, row in gains.items()]
    return _headline(
        evidence,
        "votes",
        "Does voting help?",
        claims,
        rows,
        (0.0, 1.0),
        ("answers", "votes", "findings_vote"),
    )


def _probe(evidence: Evidence) -> Headline:
    probes = evidence.get("probes")
    findings = _by_name(evidence.get("findings_probe"))
    best = probes[probes["best"].astype(bool)] if len(probes) else probes
    rows, claims = [], []
    if len(best) and findings:
        cell = best.sort_values("target", key=lambda names: names != "correct").iloc[0]
        for name, finding in findings.items():
            names = ("control_within", "length_within") if "within" in name else _POOLED
            controls = [("shuffled labels", cell[names[0]]), ("length alone", cell[names[1]])]
            label = name.removeprefix("probe ").replace("AUROC", "").strip()
            rows.append(_row(finding, f"{label.capitalize()} AUROC", decimal, controls))
            low = number(finding["low"])
            if "within" in name and low is not None:
                claims.append(probe_claim(low, *(number(cell[key]) or 0.5 for key in names)))
        claims.append(
            f"Read at layer {cell['layer']}, position {cell['position']}. Pooled AUROC also "
            "rewards knowing which questions are hard. A probe is diagnostic: it shows that the "
            "hidden states tell right from wrong, not that the model uses it."
        )
    return _headline(
        evidence,
        "probe",
        "What do the hidden states know?",
        claims,
        rows,
        (0.3, 1.0),
        ("probes", "findings_probe"),
    )


_POOLED = ("control", "length")


def _agreement(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_agree"))
    rows, claims = [], []
    for name, finding in findings.items():
        controls = [("shuffled", finding["null_mean"]), ("shuffled, high", finding["null_high"])]
        rows.append(_row(finding, name[:1].upper() + name[1:], decimal, controls))
        claims.append(agreement_claim(name, finding))
    return _headline(
        evidence,
        "agreement",
        "Do answers, paths and hidden states agree?",
        claims,
        rows,
        (-0.2, 1.0),
        ("agreement", "findings_agree"),
    )


def _paths(evidence: Evidence) -> Headline:
    findings = _by_name(evidence.get("findings_paths"))
    rows = []
    for name, finding in findings.items():
        show = percent if name.startswith(("same_", "share_")) else decimal
        label = name.replace("_", " ").replace("ami", "AMI")
        rows.append(_row(finding, label[:1].upper() + label[1:], show, strip=False))
    claims = []
    same = findings.get("same_answer_different_path")
    if same and number(same["estimate"]) is not None:
        claims.append(
            f"{percent(number(same['estimate']))} of traces share their answer with a trace that "
            "reasons along another path; how many paths there are depends on the threshold."
        )
    return _headline(
        evidence,
        "paths",
        "How many ways of reasoning?",
        claims,
        rows,
        None,
        ("paths", "findings_paths"),
    )


def _headline(
    evidence: Evidence,
    key: str,
    title: str,
    claims: Sequence[str],
    rows: Sequence[Row],
    scale: tuple[float, float] | None,
    tables: Sequence[str],
) -> Headline:
    notices = tuple(evidence.notices(*tables))
    low, high = scale or (0.0, 0.0)
    show = percent if key == "votes" else decimal
    return Headline(
        key=key,
        title=title,
        claims=tuple(claims),
        rows=tuple(rows),
        scale=scale,
        ends=(show(low), show(high)),
        notices=notices,
    )


def _row(
    finding: dict[Any, Any],
    label: str,
    show: Show,
    controls: Sequence[tuple[str, Any]] = (),
    *,
    strip: bool = True,
) -> Row:
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


def _by_name(frame: pd.DataFrame) -> Findings:
    return {str(row["name"]): row for row in frame.to_dict("records")}
