"""Rules that stop sampling early, replayed on the stored traces: what each costs and saves."""

from __future__ import annotations

from analysis.figures.text import interval, number, percent, points
from analysis.page.cards import find
from analysis.page.evidence import Evidence
from analysis.page.section import section

__all__ = ["stop_rows"]

ALL = "all"
"""The vote over all traces, beside the stopping rules."""


def stop_rows(evidence: Evidence) -> list[list[str]]:
    """One row a stopping rule: rule, accuracy, interval, difference to the vote over all traces in
    points, its interval, mean samples, saved, tokens saved; empty without `findings_stop`."""
    table = evidence.get("findings_stop")
    rows = []
    for row in table.to_dict("records"):
        rule = str(row["subject"])
        if row["baseline"]:
            continue
        gain = find(table, "accuracy", rule, ALL)
        if gain is None and rule != ALL:
            continue
        samples = number(row["mean_samples"])
        rows.append(
            [
                "vote over all traces" if rule == ALL else rule,
                percent(number(row["estimate"])),
                interval(number(row["low"]), number(row["high"]), percent),
                points(number(gain["estimate"])) if gain else "–",
                interval(number(gain["low"]), number(gain["high"]), points) if gain else "–",
                "–" if samples is None else f"{samples:.1f}",
                percent(number(row["saved"])),
                percent(number(row["tokens_saved"])),
            ]
        )
    return rows


section(
    folder=__name__,
    name="stopping",
    title="Stopping rules, simulated",
    navigation="",
    order=51,
    within="curve",
    reads=["stops", "findings_stop"],
    data=stop_rows,
)
