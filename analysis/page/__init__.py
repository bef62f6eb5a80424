"""One page that shows a run: self-contained, without network, opened from disk.

It is a list of sections (see section.py) in a document (see document.py): what can be read without
scripts is markup, and what a model wrote is data that the page's scripts show as text.

    >>> write_report(open_run("runs/demo"))                                      # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from analysis.declaration import Shown, analysis
from analysis.page.document import (
    MAX_BYTES,
    Document,
    as_json,
    environment,
    has_formulas,
    named_fields,
    write_document,
)
from analysis.page.downloads import Downloads, pack
from analysis.page.evidence import Evidence, gather, overview
from analysis.page.figures import Embedded, embedded
from analysis.page.section import Section, registered
from analysis.page.shards import PLAIN_BYTES
from cot.store.run import Run

__all__ = ["as_json", "report", "write_report"]

FOLDER = "report-data"
"""Beside the page, for what is shown of each question where that is much."""


def _show(run: Run, path: Path) -> Shown:
    return Shown(json={"report": path}, note=str(path))


@analysis(makes={}, show=_show)
def report(run: Run) -> Path:
    """Write report.html: one page that opens from disk, without the network; returns its path."""
    return write_report(run)


def write_report(run: Run, *, max_bytes: int = MAX_BYTES, plain_bytes: int = PLAIN_BYTES) -> Path:
    """Write `run/report.html` from whatever tables exist; return its path.

    The first screen names the commands of what was not measured; a stale table is said.

    Args:
        max_bytes: a page that would be larger has its questions' details in `report-data` beside
            it, loaded as questions are opened; both belong together.
        plain_bytes: details of more characters are packed.
    """
    return write_document(
        _document(run),
        run.path / "report.html",
        FOLDER,
        max_bytes=max_bytes,
        plain_bytes=plain_bytes,
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section as it stands on the page."""

    section: Section
    """Which."""
    html: Markup
    """Its markup, that of sections within it included; blank where it shows nothing."""


def _document(run: Run) -> Document:
    evidence = gather(run)
    data = {each.name: each.data(evidence) if each.data else None for each in registered()}
    figures = embedded(evidence, registered())
    downloads = pack(evidence)
    parts = _parts(evidence, data, figures, downloads)
    sent = {
        each.name: None if each.absent(evidence) else each.sends(data[each.name])
        for each in registered()
        if each.sends
    }
    main = (resources.files("analysis.page") / "base" / "main.js").read_text(encoding="utf-8")
    return Document(
        template=environment().get_template("report.html.jinja"),
        values={
            "overview": overview(evidence),
            "parts": [part for part in parts if part.html.strip()],
        },
        scripts=[*(script for each in registered() for script in each.scripts), main],
        styles=[style for each in registered() for style in each.styles],
        data={**sent, "figures": {name: made.drawing for name, made in figures.items()}},
        details=_details(evidence, data, evidence.most_suspicious),
        packed=downloads.packed,
        plots=bool(figures) or any(each.plots and each.plots(evidence) for each in registered()),
        formulas=has_formulas(evidence.questions["text"], evidence.traces["text"]),
    )


def _details(
    evidence: Evidence, data: Mapping[str, Any], ids: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the sections show of each question, by id."""
    found = [each.details(evidence, data[each.name], ids) for each in registered() if each.details]
    for key in ids:
        yield key, {name: value for shown in found for name, value in _named(shown[key]).items()}


def _named(value: Any) -> Mapping[str, Any]:
    """A section's details of a question by name, whether a dataclass or a mapping."""
    return value if isinstance(value, Mapping) else named_fields(value)


def _parts(
    evidence: Evidence,
    data: Mapping[str, Any],
    figures: Mapping[str, Embedded],
    downloads: Downloads,
) -> list[Part]:
    """The sections that stand on their own, in order."""

    def html(each: Section) -> Markup:
        if each.absent(evidence):
            return Markup("")
        within = [html(other) for other in registered() if other.within == each.name]
        template = each.template
        if template is None and each.figure is None:
            return Markup("")  # what it has are cards among the findings
        source = (
            environment().from_string(template)
            if template
            else environment().get_template("section.html.jinja")
        )
        return Markup(
            source.render(
                section=each,
                data=data[each.name],
                notices=evidence.notices(*each.reads),
                figures={name: made for name, made in figures.items() if made.section == each.name},
                downloads=downloads,
                within=Markup("").join(within),
            )
        )

    return [Part(section=each, html=html(each)) for each in registered() if not each.within]
