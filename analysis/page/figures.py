"""The figures of notebooks, embedded in the page: the same objects, without title and caption.

A notebook's figure has its title and caption in the picture; the page writes them around it, where
they can be read, selected and searched. Colours stay as they are drawn; the page's script exchanges
them for its own shades, light or dark (`base/figures.js`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

from analysis.figures.look import HEIGHT
from analysis.page.evidence import Evidence
from analysis.page.section import Section
from cot.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Embedded", "embed", "embedded"]

MARGIN = {"l": 48, "r": 12, "t": 36, "b": 44}
"""Around a picture, in pixels: the axes' words, and a line for the legend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A figure as the page carries it."""

    section: str
    """The section that it stands in."""
    name: str
    """Its name among the page's figures."""
    title: str
    """What it shows; empty where the figure has no title of its own."""
    caption: str
    """n, interval and control, as the figure says them; empty where it doesn't."""
    height: int | None
    """Of the picture, in pixels; None for the page's own."""
    drawing: Mapping[str, Any]
    """`data` and `layout`, for plotly."""


def embedded(evidence: Evidence, sections: Sequence[Section]) -> dict[str, Embedded]:
    """The figures of all sections that read a table which is there, by name.

    A section's only figure has its name; of several, each is `SECTION/NAME`.

    Raises:
        InputError: a figure can't be drawn although every table that its section reads is there.
    """
    found: dict[str, Embedded] = {}
    for each in sections:
        there = [name for name in each.reads if name in evidence.tables]
        if each.figure is None or not there:
            continue
        try:
            made = each.figure(evidence.run)
        except InputError:
            if len(there) == len(each.reads):
                raise
            continue  # the notice above the section names the table that is missing
        several = made if isinstance(made, Mapping) else {"": made}
        for name, figure in several.items():
            whole = f"{each.name}/{name}" if name else each.name
            found[whole] = embed(each.name, whole, figure)
    return found


def embed(section: str, name: str, figure: Figure) -> Embedded:
    """A figure that stands in a section under this name."""
    drawing = json.loads(figure.to_json())
    layout = drawing["layout"]
    layout.pop("template", None)
    about = layout.pop("meta", None)
    height = layout.pop("height", None)
    layout.pop("width", None)
    if isinstance(about, dict) and "caption" in about:
        layout.pop("title", None)
        height = None if about["height"] == HEIGHT else about["height"] + MARGIN["t"] + MARGIN["b"]
        layout["margin"] = MARGIN
    else:
        about = {}
    return Embedded(
        section=section,
        name=name,
        title=unescape(about.get("title", "")),
        caption=unescape(about.get("caption", "")),
        height=None if height is None else int(height),
        drawing={"data": drawing["data"], "layout": layout},
    )
