"""The answers that layers hold right before the answer is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.look import NEUTRAL, draw, mark, whiskers
from analysis.figures.tables import read
from cot.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from cot.store.run import Run

__all__ = ["consistency"]

SAID = {"answer": "as read", "answer_calibrated": "calibrated"}
"""Column of `lens` to what it is."""


def consistency(run: Run) -> Figure:
    """How often each layer's latent answer right before the answer is the last layer's, beside
    another trace's of the question, from the tables `lens` and `lens_traces`.

    Raises:
        InputError: no such table, or no question has two candidates and two traces.
    """
    table = read(run, "lens", "cot lens RUN")
    traces = read(run, "lens_traces", "cot lens RUN")
    several = traces.loc[traces["n_candidates"] > 1, "question_id"].unique()
    here = table[(table["position"] == "pre_answer") & table["question_id"].isin(several)]
    shares = {name: _shares(here, name) for name in SAID}
    n = len(shares["answer"]["question_id"].unique()) if len(here) else 0
    if not n:
        raise InputError(f"no question of {run.path} has two candidates and two traces to compare")
    caption = (
        f"n = {n} questions with two traces and two candidates or more (told apart by their first "
        f"token), {traces['question_id'].nunique() - n} left out. Whiskers: 95%, bootstrap over "
        "questions. Control (grey): the last layer's answer in another trace of the question. The "
        "last layer agrees with itself by definition."
    )
    figure = draw("Latent answers: which layers say what the last one says?", caption)
    for place, (name, label) in enumerate(SAID.items()):
        for kind, colour in (("own", mark(place)["color"]), ("other", NEUTRAL)):
            rows = _means(shares[name], kind)
            marker = {"color": colour, "symbol": mark(place)["symbol"]}
            line = {"color": colour, "dash": "dot" if place else "solid"}
            named = label if kind == "own" else f"{label}, another trace"
            style = {"mode": "lines+markers", "marker": marker, "line": line, "name": named}
            figure.add_scatter(x=rows["layer"], y=rows["estimate"], error_y=whiskers(rows), **style)
    figure.update_xaxes(title="layer")
    return figure.update_yaxes(title="share of traces", tickformat=".0%", range=[0, 1.03])


def _shares(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Of each question and layer: question_id, layer, own (share of the traces in which the layer
    says what the last one says), other (what the last one says in another trace)."""
    import pandas as pd

    found = []
    for question_id, mine in rows.groupby("question_id", sort=False):
        said = mine.pivot(index="sample_index", columns="layer", values=name).to_numpy(object)
        layers = sorted(mine["layer"].unique())
        n = len(said)
        if n < 2:
            continue
        same = said[:, None, :] == said[None, :, -1:]
        own = same[range(n), range(n)].sum(axis=0)
        other = (same.sum(axis=(0, 1)) - own) / (n * (n - 1))
        found.append(
            pd.DataFrame(
                {"question_id": question_id, "layer": layers, "own": own / n, "other": other}
            )
        )
    columns = ["question_id", "layer", "own", "other"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def _means(shares: pd.DataFrame, column: str) -> pd.DataFrame:
    """layer, estimate (mean over questions), low, high."""
    import pandas as pd

    from analysis.statistics import mean_interval

    rows = [
        (layer, values.mean(), *mean_interval(values, seed=0))
        for layer, values in shares.groupby("layer")[column]
    ]
    return pd.DataFrame(rows, columns=["layer", "estimate", "low", "high"])
