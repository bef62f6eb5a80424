"""One page that shows a run: self-contained, without network, opened from disk.

Jinja2 (autoescaped) writes what can be read without scripts: findings, methods, notices. The rest
travels as JSON in `<script type="application/json">` and is put on the page with textContent only,
so that nothing a model wrote is ever markup. A Content-Security-Policy forbids all network and
runs only the scripts whose hashes it names. What is shown of each question is packed where it is
much, and moves to script files beside the page above `MAX_BYTES` (see shards.py).

    >>> write_report(open_run("runs/demo"))                                      # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.declaration import Shown, analysis
from analysis.figures.text import decimal, percent, visible
from analysis.page.downloads import Downloads, pack
from analysis.page.evidence import Evidence, gather, overview
from analysis.page.figures import Embedded, embedded
from analysis.page.section import Section, registered
from analysis.page.shards import (
    FOLDER,
    PLAIN_BYTES,
    Blocks,
    as_files,
    clear,
    pack_blocks,
    write_shards,
)
from cot.store.atomic import replace_file
from cot.store.run import Run

__all__ = ["as_json", "report", "write_report"]

SCRIPTS = [
    "dom.js",
    "address.js",
    "theme.js",
    "navigation.js",
    "heat.js",
    "figures.js",
    "downloads.js",
]
"""Joined in this order into the page's own script, then the sections', then `main.js`."""

FORMULA = re.compile(r"\\[(\[a-zA-Z]|\$[^\s$]")
"""A LaTeX command, or the beginning of a formula."""

MAX_BYTES = 25_000_000
"""Of a page in one file."""


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
    page, files = _render(run, max_bytes, plain_bytes)
    if files:
        write_shards(run.path / FOLDER, files)
    path = run.path / "report.html"
    with replace_file(path) as handle:
        handle.write(page.encode())
    clear(run.path / FOLDER, len(files))
    return path


def as_json(value: Any) -> Markup:
    """JSON that is safe inside a script element, whatever the strings hold; a dataclass is an
    object of its fields."""
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_fields
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _fields(value: Any) -> dict[str, Any]:
    names = _field_names(type(value))  # type: ignore[arg-type]  # mypy: a class isn't hashable
    return {name: getattr(value, name) for name in names}


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    """Kept, as a page has many objects of few classes."""
    return tuple(field.name for field in fields(kind))


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section as it stands on the page."""

    section: Section
    """Which."""
    html: Markup
    """Its markup, that of sections within it included; blank where it shows nothing."""


def _render(run: Run, max_bytes: int, plain_bytes: int) -> tuple[str, list[str]]:
    """The page, and the texts of the files beside it; none where it is small enough."""
    evidence = gather(run)
    data = {each.name: each.data(evidence) if each.data else None for each in registered()}
    figures = embedded(evidence, registered())
    downloads = pack(evidence)
    parts = _parts(evidence, data, figures, downloads)
    drawn = figures or any(each.plots and each.plots(evidence) for each in registered())
    plotly = _plotly() if drawn else None
    temml = _temml() if _has_formulas(evidence) else None
    scripts = [*([plotly] if plotly else []), *([temml] if temml else []), _own_script()]
    ids = evidence.most_suspicious
    details = [(as_json(key), as_json(shown)) for key, shown in _details(evidence, data, ids)]
    styles = [_read("report.css"), *(style for each in registered() for style in each.styles)]
    settings = {
        "css": Markup("".join(styles)),
        "plotly": Markup(plotly) if plotly else None,
        "temml": Markup(temml) if temml else None,
        "script": Markup(_own_script()),
        "overview": overview(evidence),
        "parts": [part for part in parts if part.html.strip()],
        "packed": as_json(downloads.packed),
    }
    sent = {
        each.name: None if each.absent(evidence) else each.sends(data[each.name])
        for each in registered()
        if each.sends
    }
    known = {**sent, "figures": {name: made.drawing for name, made in figures.items()}}
    template = _environment().get_template("report.html.jinja")

    def rendered(details: str, told: Blocks | None, blocks: Sequence[str], beside: bool) -> str:
        page = as_json({**known, "shards": told})
        csp = _policy(scripts, beside)
        stored = [Markup(block) for block in blocks]
        return template.render(csp=csp, page=page, details=details, blocks=stored, **settings)

    if sum(len(key) + len(detail) for key, detail in details) <= plain_bytes:
        inside = Markup("{" + ",".join(f"{key}:{detail}" for key, detail in details) + "}")
        told, blocks = None, list[str]()
    else:
        inside = Markup("{}")
        told, blocks = pack_blocks(details)
    whole = rendered(inside, told, blocks, beside=False)
    if len(whole.encode("utf-8", "surrogatepass")) <= max_bytes:
        return whole, []
    if told is None:
        told, blocks = pack_blocks(details)
    told, files = as_files(told, blocks)
    return rendered(Markup("{}"), told, [], beside=True), files


def _details(
    evidence: Evidence, data: Mapping[str, Any], ids: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the sections show of each question, by id."""
    found = [each.details(evidence, data[each.name], ids) for each in registered() if each.details]
    for key in ids:
        yield key, {name: value for shown in found for name, value in _named(shown[key]).items()}


def _named(value: Any) -> Mapping[str, Any]:
    """A section's details of a question by name, whether a dataclass or a mapping."""
    return value if isinstance(value, Mapping) else _fields(value)


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
        source = _environment().from_string(template) if template else _plain()
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


def _plain() -> Any:
    """The template of a section that has none."""
    return _environment().get_template("section.html.jinja")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis.page", "base"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, decimal=decimal)
    return environment


def _policy(scripts: list[str], beside: bool = False) -> str:
    """No network; only these scripts, and those beside the page; styles may be set, as plotly
    does."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    sources = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    sources += " 'self'" if beside else ""
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _temml() -> str:
    """What typesets formulas (see vendor/README.md)."""
    vendor = resources.files("analysis.page") / "vendor"
    return (vendor / "temml.min.js").read_text(encoding="utf-8")


def _has_formulas(evidence: Evidence) -> bool:
    """Whether a question or a trace has a LaTeX command or delimiter."""
    texts = (evidence.questions["text"], evidence.traces["text"])
    return any(FORMULA.search(text) is not None for each in texts for text in each)


def _own_script() -> str:
    own = [script for each in registered() for script in each.scripts]
    texts = [*map(_read, SCRIPTS), *own, _read("main.js")]
    return '(function () {\n"use strict";\n' + "\n".join(texts) + "})();\n"


@cache
def _read(name: str) -> str:
    return (resources.files("analysis.page") / "base" / name).read_text(encoding="utf-8")
