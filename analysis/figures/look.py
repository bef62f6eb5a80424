"""How all figures look: colours, captions, whiskers.

The colours are Okabe and Ito's (2008), for eyes that tell red from green and for those that don't;
the light ones are darkened, so that all have a contrast of 3:1 or more with a white page and with a
dark notebook's. Figures have no ground of their own, and a series has its own symbol too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from analysis.figures.text import visible

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

__all__ = [
    "COLOURS",
    "DASHES",
    "DIVERGING",
    "FAINT",
    "HEIGHT",
    "NEUTRAL",
    "SCALE",
    "add_band",
    "add_dots",
    "add_line",
    "between",
    "counted",
    "draw",
    "mark",
    "shown",
    "split",
    "whiskers",
]

DASHES = ("solid", "dash", "dashdot", "longdash")
COLOURS = ("#0072b2", "#b84e00", "#007a5a", "#a8558a", "#b67f00", "#2f88c4")
NEUTRAL = "#7a7a7a"
"""Of text, controls, and what is unknown."""
FAINT = "rgba(122, 122, 122, 0.3)"
SCALE = "Cividis"
"""Of heat maps (Nuñez, Anderton and Renslow 2018): lightness alone tells it."""
DIVERGING = ((0.0, "#b84e00"), (0.5, "#ffffff"), (1.0, "#0072b2"))
"""Of heat maps with a middle that means chance."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")
HEIGHT = 440
"""Of a figure in pixels, without title and caption, where none is given."""
WIDTH = 115
"""Characters in a caption's line."""


def draw(
    title: str, caption: str, panels: Sequence[str] = ("",), *, height: int = HEIGHT, **grid: Any
) -> Figure:
    """An empty figure, its panels side by side unless `grid` (of `make_subplots`) says otherwise.

    Args:
        title, caption, panels: plain text.
        height: in pixels, without title and caption.
    """
    from plotly.subplots import make_subplots

    grid = {"rows": 1, "cols": len(panels), **grid}
    figure = make_subplots(subplot_titles=[shown(panel) for panel in panels], **grid)
    lines = [shown(line) for line in wrap(caption, WIDTH)]
    top = 60 + 17 * len(lines) + 30 * any(panels)
    subtitle = {"text": "<br>".join(lines), "font": {"size": 12}}
    figure.update_layout(
        template="none",
        meta={"title": shown(title), "caption": shown(caption), "height": height},
        title={"text": shown(title), "subtitle": subtitle, "x": 0.01, "y": 1, "yanchor": "top"}
        | {"yref": "container", "pad": {"t": 16}},
        height=height + top,
        margin={"t": top, "l": 20, "r": 20, "b": 20},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": NEUTRAL},
        colorway=COLOURS,
    )
    axes = {"gridcolor": FAINT, "linecolor": NEUTRAL, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    return figure


def mark(place: int) -> dict[str, str]:
    """Colour and symbol of a series by its place; none of the first 42 look alike."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "symbol": SYMBOLS[place % len(SYMBOLS)],
    }


def whiskers(
    rows: pd.DataFrame, value: str = "estimate", low: str = "low", high: str = "high"
) -> dict[str, Any]:
    """Error bars from `low` to `high`; none where there is no interval."""
    above, below = rows[high] - rows[value], rows[value] - rows[low]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}


def add_line(
    figure: Figure,
    rows: pd.DataFrame,
    name: str,
    columns: tuple[str, str, str, str],
    /,
    *,
    colour: str,
    dash: str = "solid",
    width: float = 2.5,
    show: str = ".1%",
    counted: str | None = None,
    at: str = "%{x}",
    band: bool = True,
    row: int | None = None,
    col: int | None = None,
    **options: Any,
) -> None:
    """A line with its interval as a band, and in the hover text.

    Args:
        columns: x, value, low and high.
        show: how a value is formatted (d3).
        counted: a column of counts for the hover text.
        at: how the hover text names the place, such as `layer %{x}`.
    """
    x, y, low, high = columns
    if band:
        add_band(figure, rows, (x, low, high), colour, row=row, col=col)
    end = f" (%{{customdata[0]:{show}}} to %{{customdata[1]:{show}}})"
    data = [low, high]
    if counted:
        data.append(counted)
        end += ", n = %{customdata[2]}"
    figure.add_scatter(
        x=rows[x],
        y=rows[y],
        name=shown(name),
        line={"color": colour, "dash": dash, "width": width},
        customdata=rows[data].to_numpy(float),
        hovertemplate=f"{at}: %{{y:{show}}}{end}<extra>{shown(name)}</extra>",
        row=row,
        col=col,
        **{"mode": "lines+markers", "marker": {"size": 6}, "showlegend": True, **options},
    )


def add_band(
    figure: Figure,
    rows: pd.DataFrame,
    columns: tuple[str, str, str],
    colour: str,
    /,
    **at: Any,
) -> None:
    """An area between two columns, where both are known.

    Args:
        columns: x, low and high.
        at: row and col.
    """
    x, low, high = (name for name in columns)
    known = rows[rows[low].notna() & rows[high].notna()]
    if known.empty:
        return
    figure.add_scatter(
        x=[*known[x], *known[x][::-1]],
        y=[*known[high], *known[low][::-1]],
        fill="toself",
        fillcolor=colour + "33",  # a fifth opaque
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        **at,
    )


def add_dots(
    figure: Figure,
    names: Sequence[str],
    rows: pd.DataFrame,
    columns: tuple[str, str, str] = ("estimate", "low", "high"),
    /,
    **options: Any,
) -> None:
    """One dot with whiskers a row, its name on the left, the first on top.

    Args:
        columns: value, low and high.
        options: of `add_scatter`, row, col and marker among them; `error`, of the whiskers.
    """
    options = {"mode": "markers", "showlegend": False, **options}
    colour = {"color": options["marker"]["color"]}
    error = {**whiskers(rows, *columns), **colour, **options.pop("error", {})}
    labels = [shown(name) for name in names]
    figure.add_scatter(x=rows[columns[0]], y=labels, error_x=error, **options)
    figure.update_yaxes(autorange="reversed", type="category", row=options["row"])


def split(rows: pd.DataFrame, control: Any) -> list[tuple[pd.DataFrame, dict[str, str]]]:
    """The rows and then the controls, each with its marker; `control` is a boolean a row."""
    grey = {"color": NEUTRAL, "symbol": "diamond"}
    parts = [(rows[~control], mark(0)), (rows[control], grey)]
    return [(part, marker) for part, marker in parts if len(part)]


def between(values: pd.Series[Any]) -> str:
    """The smallest and the largest value, or the only one."""
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


def counted(row: Any) -> str:
    """The counts of a finding in words."""
    return f"{row['n_questions']} questions, {row['n_traces']} traces; {row['n_excluded']} left out"


def shown(text: Any) -> str:
    """Any text as plotly shows it literally: neither its markup nor a formula between dollars."""
    return escape(visible(str(text)), quote=False).replace("$", "&#36;").replace("\n", "⏎")
