"""Features of hidden states: what each tells of right and wrong, beside controls of the same rank.

All numbers are read from the table `features`; nothing is estimated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.look import NEUTRAL, add_dots, between, draw, mark, shown
from analysis.figures.tables import read, rows_of
from analysis.figures.text import chance, decimal, interval, number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["feature_aurocs", "feature_name"]


def feature_aurocs(run: Run, method: str | None = None) -> Figure:
    """Each feature's within-question AUROC on held-out questions, the furthest from 0.5 on top, and
    the random direction and the principal component of the same rank (grey); from the table
    `features`.

    Args:
        method: as typed; by default the first one.

    Raises:
        InputError: no such table or method, or no question with both labels.
    """
    table = read(run, "features", "cot features RUN")
    first = table["method"].iloc[0]
    rows = rows_of(run, table, "method", first if method is None else method)
    away = (rows["within_question_auroc"] - 0.5).abs().fillna(-1.0)
    rows = rows.assign(away=away).sort_values("away", ascending=False, kind="stable")
    name, layer, position = rows["method"].iloc[0], rows["layer"].iloc[0], rows["position"].iloc[0]
    caption = (
        f"n = {between(rows['n_within'])} held-out questions with both labels "
        f"({rows['target'].iloc[0]}), {between(rows['n_traces'])} traces; "
        f"{between(rows['n_excluded'])} left out. Whiskers: 95%, bootstrap over questions. Grey: "
        "the random direction (diamond) and the principal component (cross) of the same rank, as "
        f"the best of {len(rows)} looks good by chance. ★: q up to 0.05 (Benjamini-Hochberg)."
    )
    title = f"{name}, layer {layer} at {position}: within-question AUROC of each feature"
    figure = draw(title, caption, height=70 + 24 * len(rows))
    names = [feature_name(row) for row in rows.to_dict("records")]
    words = [shown(_words(row)) for row in rows.to_dict("records")]
    place: dict[str, Any] = {"row": 1, "col": 1}
    for column, symbol in (("control", "diamond"), ("control_pca", "x")):
        flat = rows.assign(low=rows[column], high=rows[column])
        grey = {"color": NEUTRAL, "symbol": symbol, "size": 7}
        add_dots(figure, names, flat, (column, "low", "high"), marker=grey, **place)
    ends = ("within_question_auroc", "low", "high")
    add_dots(figure, names, rows, ends, marker=mark(0), hovertext=words, **place)
    figure.add_vline(0.5, line={"dash": "dash", "color": NEUTRAL})
    return figure.update_xaxes(title="within-question AUROC", range=[-0.02, 1.02])


def feature_name(row: Any) -> str:
    """A feature's number, with a star where it tells.

    >>> feature_name({"feature": 3, "tells": True}), feature_name({"feature": 4, "tells": None})
    ('3 ★', '4')
    """
    return f"{row['feature']}{' ★' if row['tells'] is True else ''}"


def _words(row: Any) -> str:
    """The numbers of a row of `features`."""
    value, low, high, control, components = (
        number(row[name])
        for name in ("within_question_auroc", "low", "high", "control", "control_pca")
    )
    said = f"Feature {row['feature']}: {decimal(value)} ({interval(low, high, decimal)}), "
    said += f"q {chance(number(row['q']))}; random direction {decimal(control)}, "
    return said + f"principal component {decimal(components)}"
