"""How often votes are right: against the number of samples, and rule beside rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import (
    COLOURS,
    DASHES,
    NEUTRAL,
    add_dots,
    add_line,
    between,
    counted,
    draw,
    mark,
    split,
)
from analysis.figures.tables import read

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["curve", "votes"]

SINGLE, GREEDY = "single", "greedy"
"""Subjects that are no rule: the controls."""
MOST_BANDS = 3
"""Lines up to which each has its band; of more, the first alone has one."""


def curve(run: Run) -> Figure:
    """Accuracy against the number of samples, one line a rule, from the table `curve`; the greedy
    trace's beside it where the run has one, and other runs' where they were compared.

    Raises:
        InputError: no such table.
    """
    import pandas as pd

    from analysis.findings import pick

    table = read(run, "curve", "cot curve RUN").sort_values("n")
    series = [(str(rule), rows) for rule, rows in table.groupby("rule", sort=False)]
    series += _of_other_runs(run)
    caption = (
        f"n = {between(table['n_questions'])} questions; {between(table['n_excluded'])} left out, "
        "with fewer traces. Bands: 95%, bootstrap over questions"
        + ("; of the first line only" if len(series) > MOST_BANDS else "")
        + ". Control: a single trace (1 sample), and the greedy one where it was sampled (dotted)."
    )
    figure = draw("Accuracy against the number of samples", caption)
    for place, (name, rows) in enumerate(series):
        add_line(
            figure,
            rows,
            name,
            ("n", "accuracy", "low", "high"),
            colour=COLOURS[place % len(COLOURS)],
            dash=DASHES[place % len(DASHES)],
            band=place == 0 or len(series) <= MOST_BANDS,
            at="n = %{x}",
        )
    greedy = None
    if "findings_vote" in run.tables():
        greedy = pick(run.table("findings_vote"), "accuracy", GREEDY)
    if greedy is not None and pd.notna(greedy["estimate"]):
        figure.add_scatter(
            x=[table["n"].min(), table["n"].max()],
            y=[greedy["estimate"]] * 2,
            name="greedy trace",
            mode="lines",
            line={"dash": "dot", "color": NEUTRAL, "width": 1.5},
            hovertemplate="greedy: %{y:.1%}<extra></extra>",
        )
    ticks = sorted(table.loc[table["rule"] == table["rule"].iloc[0], "n"])
    figure.update_xaxes(title="samples a question (n)", tickvals=ticks)
    return figure.update_yaxes(title="accuracy", tickformat=".0%", rangemode="tozero")


def _of_other_runs(run: Run) -> list[tuple[str, pd.DataFrame]]:
    """Name and points of each curve of the runs that this one was compared with."""
    if "compared_measures" not in run.tables():
        return []
    points = run.table("compared_measures")
    points = points[points["family"] == "curve"]
    own = run.table("compared_settings")["run"].iloc[0]  # the first is the one that has the table
    points = points[points["run"] != own].rename(columns={"n_samples": "n", "estimate": "accuracy"})
    points = points.assign(rule=points["subject"].where(points["subject"] != "", points["measure"]))
    return [
        (f"{rule} ({name})", rows.sort_values("n"))
        for (name, rule), rows in points.groupby(["run", "rule"], sort=False)
    ]


def votes(run: Run) -> Figure:
    """Each rule's accuracy, and its paired difference to the mean single trace, from the table
    `findings_vote`.

    Raises:
        InputError: no such table.
    """
    table = read(run, "findings_vote", "cot vote RUN")
    own, gains = table[table["baseline"] == ""], table[table["baseline"] == SINGLE]
    caption = (
        f"n = {counted(own.iloc[0])}, without gold; {own['ties'].max()} ties at most, an "
        "abstention is not right. Whiskers: 95%, bootstrap over questions. Controls (grey): the "
        "mean single trace and the greedy one. Right: paired by question; an interval that holds "
        "0 is no difference."
    )
    panels = ("accuracy", "difference to the mean single trace")
    figure = draw("Votes", caption, panels, height=90 + 40 * len(own), shared_yaxes=True)
    for rows, marker in split(own, own["subject"].isin((SINGLE, GREEDY))):
        add_dots(figure, rows["subject"], rows, row=1, col=1, marker=marker)
    add_dots(figure, gains["subject"], gains, row=1, col=2, marker=mark(0))
    figure.add_vline(0, line={"dash": "dash", "color": NEUTRAL}, col=2)
    return figure.update_xaxes(tickformat=".0%")
