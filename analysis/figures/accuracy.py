"""How often votes are right: against the number of samples, and rule beside rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import (
    NEUTRAL,
    add_dots,
    between,
    counted,
    draw,
    mark,
    shown,
    split,
    whiskers,
)
from analysis.figures.tables import read

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["curve", "votes"]

MINUS = " - single"
CONTROLS = ("single", "greedy")


def curve(run: Run) -> Figure:
    """Accuracy against the number of samples, one line a rule, from the table `curve`; the greedy
    trace's beside it where the run has one.

    Raises:
        InputError: no such table.
    """
    table = read(run, "curve", "cot curve RUN --rule majority").sort_values("n")
    caption = (
        f"n = {between(table['n_questions'])} questions; {between(table['n_excluded'])} left out, "
        "with fewer traces. Whiskers: 95%, bootstrap over questions. Control: a "
        "single trace (1 sample), and the greedy one where it was sampled (dashed)."
    )
    figure = draw("Accuracy against the number of samples", caption)
    for place, (rule, rows) in enumerate(table.groupby("rule", sort=False)):
        error = whiskers(rows, "accuracy")
        style = {"mode": "lines+markers", "marker": mark(place), "showlegend": True}
        figure.add_scatter(
            x=rows["n"], y=rows["accuracy"], error_y=error, name=shown(rule), **style
        )
    if "findings_vote" in run.tables():
        found = run.table("findings_vote").set_index("name")["estimate"]
        if "greedy" in found:
            figure.add_hline(found["greedy"], line={"dash": "dash", "color": NEUTRAL})
    figure.update_xaxes(title="samples a question")
    return figure.update_yaxes(title="accuracy", tickformat=".0%")


def votes(run: Run) -> Figure:
    """Each rule's accuracy, and its paired difference to the mean single trace, from the table
    `findings_vote`.

    Raises:
        InputError: no such table.
    """
    table = read(run, "findings_vote", "cot vote RUN --rule majority")
    gain = table["name"].str.endswith(MINUS)
    own, gains = table[~gain], table[gain]
    caption = (
        f"n = {counted(own.iloc[0])}, without gold; {own['ties'].max()} ties at most, an "
        "abstention is not right. Whiskers: 95%, bootstrap over questions. Controls (grey): the "
        "mean single trace and the greedy one. Right: paired by question; an interval that holds "
        "0 is no difference."
    )
    panels = ("accuracy", "difference to the mean single trace")
    figure = draw("Votes", caption, panels, height=90 + 40 * len(own), shared_yaxes=True)
    for rows, marker in split(own, own["name"].isin(CONTROLS)):
        add_dots(figure, rows["name"], rows, row=1, col=1, marker=marker)
    add_dots(figure, gains["name"].str.removesuffix(MINUS), gains, row=1, col=2, marker=mark(0))
    figure.add_vline(0, line={"dash": "dash", "color": NEUTRAL}, col=2)
    return figure.update_xaxes(tickformat=".0%")
