"""How far answers, reasoning and hidden states agree, and in which way they part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import (
    FAINT,
    NEUTRAL,
    add_dots,
    between,
    counted,
    draw,
    mark,
    shown,
    split,
)
from analysis.figures.tables import read

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["agreement", "kinds", "raters"]

COMMAND = "cot agree RUN"
BAND = {"thickness": 9, "width": 0, "color": FAINT}
"""How a null's range is drawn, behind the estimate."""
MEASURES = {
    "AMI; three-way coefficient": ("ami", "three_way"),
    "ARI": ("ari",),
    "variation of information, nats": ("vi",),
}


def agreement(run: Run) -> Figure:
    """Each coefficient of the partitions with its interval and its null, from the table
    `agreement_coefficients`.

    Raises:
        InputError: no such table.
    """
    table = read(run, "agreement_coefficients", COMMAND)
    n, left = table["n_questions"], table["n_excluded"]
    caption = (
        f"n = {between(n)} questions in which all partitions compared have two classes "
        f"or more, {between(left)} left out. Whiskers: 95%, bootstrap over questions. "
        "Control (grey): mean and 95% range with labels permuted within "
        "questions. AMI, ARI and the three-way coefficient: 1 is equal, 0 chance; variation of "
        "information: 0 is equal."
    )
    names = list(dict.fromkeys(table["subject"]))
    figure = draw(
        "Do answers, reasoning and hidden states agree?",
        caption,
        list(MEASURES),
        height=90 + 45 * len(names),
        shared_yaxes=True,
    )
    figure.update_yaxes(categoryorder="array", categoryarray=[shown(name) for name in names])
    grey = {"color": NEUTRAL, "symbol": "line-ns-open", "size": 14}
    for col, measures in enumerate(MEASURES.values(), start=1):
        rows, at = table[table["measure"].isin(measures)], {"row": 1, "col": col}
        null = ("null_mean", "null_low", "null_high")
        add_dots(figure, rows["subject"], rows, null, marker=grey, error=BAND, **at)
        records = rows.to_dict("records")
        hover = [f"p = {row['p']:.3f}; {counted(row)}" for row in records]
        add_dots(figure, rows["subject"], rows, marker=mark(0), hovertext=hover, **at)
    figure.add_vline(0, line={"dash": "dash", "color": NEUTRAL})
    return figure


def kinds(run: Run) -> Figure:
    """Share of the questions that are of each kind, with intervals, from the table
    `agreement_kinds`.

    Raises:
        InputError: no such table.
    """
    table = read(run, "agreement_kinds", COMMAND)
    rows = table[table["n"] > 0]
    caption = (
        f"n = {table['n_questions'].iloc[0]} questions; a question may be of several kinds, and "
        "those that no question is of are not shown. Whiskers: 95%, bootstrap over questions."
    )
    control = table[table["n_control"] > 0]
    for row in control.to_dict("records"):
        caption += (
            f" Control (grey): `{row['kind']}`, were the state another question's "
            f"({row['n_control']} questions)."
        )
    figure = draw("In which way witnesses part", caption, height=90 + 40 * len(rows))
    if len(control):
        ends = ("control", "control_low", "control_high")
        grey = {"color": NEUTRAL, "symbol": "diamond"}
        add_dots(figure, control["kind"], control, ends, row=1, col=1, marker=grey)
    counts, own = [f"{n} questions" for n in rows["n"]], ("share", "low", "high")
    at = {"row": 1, "col": 1}
    add_dots(figure, rows["kind"], rows, own, marker=mark(0), hovertext=counts, **at)
    figure.update_yaxes(categoryorder="array", categoryarray=list(rows["kind"]))
    return figure.update_xaxes(tickformat=".0%", title="share of questions", rangemode="tozero")


def raters(run: Run) -> Figure:
    """What each rater is worth, beside the majority, and how far each two agree beyond chance, from
    the tables `agreement_raters` and `agreement_rater_pairs`.

    Raises:
        InputError: no such table.
    """
    worth = read(run, "agreement_raters", COMMAND)
    pairs = read(run, "agreement_rater_pairs", COMMAND)
    first = worth.iloc[0]
    caption = (
        f"n = {first['n_questions']} questions with gold, the majority wrong on "
        f"{first['n_wrong']}; pairs: {between(pairs['n_questions'])} questions. "
        "Whiskers: 95%, bootstrap over questions, paired for differences. Control: the "
        "majority; kappa is 0 where two raters agree as often as two random traces of the question."
    )
    figure = draw(
        "Raters",
        caption,
        ("accuracy", "difference to the majority", "agreement of two raters, kappa"),
        height=200 + 40 * (len(worth) + len(pairs)),
        rows=2,
        cols=2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        row_heights=[1 + len(worth), 1 + len(pairs)],
        shared_yaxes=True,
        vertical_spacing=0.2,
    )
    accuracy = ("accuracy", "low", "high")
    difference = ("difference", "difference_low", "difference_high")
    for rows, marker in split(worth, worth["rater"] == "majority"):
        right = [
            f"right on {rescued} of {wrong} wrong majorities; wrong on {lost} right ones"
            for rescued, wrong, lost in rows[["rescued", "n_wrong", "lost"]].to_numpy()
        ]
        for col, columns in enumerate((accuracy, difference), start=1):
            at = {"row": 1, "col": col, "marker": marker, "hovertext": right}
            add_dots(figure, rows["rater"], rows, columns, **at)
    figure.update_yaxes(categoryorder="array", categoryarray=list(worth["rater"]), row=1)
    names = pairs["rater"] + " × " + pairs["other"]
    add_dots(figure, names, pairs, ("kappa", "low", "high"), row=2, col=1, marker=mark(0))
    figure.add_vline(0, line={"dash": "dash", "color": NEUTRAL}, row=1, col=2)
    figure.add_vline(0, line={"dash": "dash", "color": NEUTRAL}, row=2, col=1)
    return figure.update_xaxes(tickformat=".0%", row=1)
